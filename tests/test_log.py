"""Logging: quiet by default, one line a record, and no body, secret or traceback message in it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from proxy import log
from proxy.store.base import StoreError

PLANTED = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the process's: put back what `configure` changes."""
    names = [None, "mitmproxy", "asyncio", "h2", "hpack", "hyperframe", "redis", "genai_prices"]
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == "midstream"]:
        root.removeHandler(handler)


def configured(level: str = "warning", form: str = "text") -> io.StringIO:
    stream = io.StringIO()
    log.configure(level, form, stream)
    return stream


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_quiet_by_default() -> None:
    stream = configured()
    logging.getLogger("proxy.serve").info("started")
    logging.getLogger("mitmproxy.proxy.server").info("client connect")
    assert stream.getvalue() == ""
    logging.getLogger("proxy.serve").warning("slow", extra={"flow": "f1", "size": 3})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("Z warning proxy.serve: slow flow=f1 size=3")


def test_libraries_stay_quiet_below_debug() -> None:
    stream = configured("info")
    logging.getLogger("mitmproxy.proxy.server").info("client connect")
    logging.getLogger("proxy").info("ours")
    assert len(stream.getvalue().splitlines()) == 1
    stream = configured("debug")
    logging.getLogger("mitmproxy.proxy.server").debug("client connect")
    assert len(stream.getvalue().splitlines()) == 1


def test_json_is_one_object_a_line() -> None:
    stream = configured(form="json")
    logging.getLogger("proxy").warning("two\nlines of %s", "text", extra={"flow": "f1"})
    logging.getLogger("proxy").error("broke", exc_info=raised(KeyError(PLANTED)))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "two\nlines of text"
    assert (first["level"], first["logger"], first["flow"]) == ("warning", "proxy", "f1")
    assert second["error"].startswith("KeyError at ")


@pytest.mark.parametrize("form", log.FORMATS)
@pytest.mark.parametrize("level", log.LEVELS)
def test_no_body_and_no_foreign_message_is_let_through(level: str, form: str) -> None:
    stream = configured(level, form)
    logger = logging.getLogger("proxy.layer")
    body = f"…{PLANTED}…".encode()
    error = raised(ValueError(f"invalid literal: {PLANTED}"))
    logger.error("body %r, %s, %s", body, bytearray(body), {"key": PLANTED})
    logger.error("failed: %s", error)
    logger.error(error)
    logger.error("failed", exc_info=error, extra={"body": body, "parsed": [PLANTED], "cause": error})
    logger.error("named %(body)s", {"body": body})
    logger.error("x" * log.MESSAGE_LIMIT + PLANTED)
    text = stream.getvalue()
    assert PLANTED not in text
    assert f"<{len(body)} bytes>" in text
    assert "ValueError at " in text
    assert len([line for line in text.splitlines() if not line.startswith("    ")]) == 6


def test_arguments_that_do_not_fit_are_left_out() -> None:
    record = logging.makeLogRecord({"msg": "does not fit %d", "args": (PLANTED,)})
    assert log.without_bodies(record).getMessage() == "does not fit %d"


def test_our_own_exceptions_keep_their_words() -> None:
    stream = configured()
    logging.getLogger("proxy").error("no budget", exc_info=raised(StoreError("store redis://h: cannot be reached")))
    assert "no budget (StoreError: store redis://h: cannot be reached at " in stream.getvalue()
    assert "tests/test_log.py:" in stream.getvalue()


def test_no_traceback_unless_debug() -> None:
    error = raised(ValueError("x"))
    quiet, talkative = (configured(level) for level in ("warning", "debug"))
    logging.getLogger("proxy").error("failed", exc_info=error)
    assert quiet.getvalue() == ""  # configuring again replaces the handler
    assert "tests/test_log.py:" in talkative.getvalue().splitlines()[1]


def test_nothing_from_the_wire_forges_a_line() -> None:
    stream = configured()
    logging.getLogger("proxy").warning("host %s", "a\nERROR b\x1b[2J", extra={"path": "x\r\ny\u2028z"})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r"host a\nERROR b\x1b[2J path=x\r\ny\u2028z")


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    logging.getLogger("proxy").warning("here")
    assert "warning proxy: here" in capsys.readouterr().err
    assert sys.stderr


@pytest.mark.parametrize(("level", "form"), [("loud", "text"), ("info", "xml")])
def test_an_unknown_level_or_format_is_refused(level: str, form: str) -> None:
    with pytest.raises(ValueError, match="use one of debug, info, warning, error, text, json"):
        log.configure(level, form)
