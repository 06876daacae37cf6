"""Logging of the process: standard library, one handler on stderr, quiet unless told otherwise.

Set-up, formats and the filter that keeps bodies out live here; who logs what does not. Secrets travel in exceptions
and in bytes, so neither is printed: an exception is named by its type and place, bytes by their number. Only
midstream's own exceptions keep their message, which is written for people.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import orjson

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")
MESSAGE_LIMIT: Final = 500
"""Characters of a message or of one field; a body is longer."""

_QUIET: Final = ("mitmproxy", "asyncio", "h2", "hpack", "hyperframe", "redis", "genai_prices")
"""Loggers of libraries: they speak of connections and frames at levels below, which only `debug` lets through."""
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_HANDLER: Final = "midstream"


def configure(level: str = "warning", form: str = "text", stream: TextIO | None = None) -> None:
    """Send the process's logs to `stream` (stderr), from `level` up, as `text` or `json`. May be called again.

    Raises ValueError for a level or format that is not one of LEVELS and FORMATS.
    """
    if level not in LEVELS or form not in FORMATS:
        raise ValueError(f"log level {level!r} or format {form!r}: use one of {', '.join(LEVELS + FORMATS)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name(_HANDLER)
    handler.addFilter(without_bodies)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(traces=level == "debug"))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == _HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def without_bodies(record: logging.LogRecord) -> logging.LogRecord:
    """A copy of the record in which bytes are counted, exceptions named, and long texts cut."""
    safe = logging.makeLogRecord(record.__dict__)
    if isinstance(record.args, Mapping):
        safe.args = {key: _safe(value) for key, value in record.args.items()}
    elif record.args:
        safe.args = tuple(_safe(value) for value in record.args)
    safe.msg = _message(safe)
    safe.args = None
    safe.exc_text = safe.stack_info = None
    safe.__dict__.update({key: _safe(value) for key, value in fields_of(record).items()})
    return safe


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def describe(error: BaseException) -> str:
    """An exception in words that are safe to print: its type, its place, and its message where midstream wrote it."""
    place = _place(error.__traceback__)
    own = type(error).__module__.split(".", 1)[0] in ("proxy", "certs", "policies")
    detail = f": {error}" if own and str(error) else ""
    return f"{type(error).__qualname__}{detail}{f' at {place}' if place else ''}"


class TextFormatter(logging.Formatter):
    """`2026-11-21T07:05:09Z warning proxy.serve: message key=value`; tracebacks, without messages, for `traces`."""

    def __init__(self, *, traces: bool = False) -> None:
        super().__init__()
        self._traces = traces

    def format(self, record: logging.LogRecord) -> str:
        """One line a record; each line of a trace after it is indented."""
        error = _error(record)
        words = [f"{_time(record)} {record.levelname.lower()} {record.name}: {_one_line(record.getMessage())}"]
        words += [f"{key}={_one_line(str(value))}" for key, value in fields_of(record).items()]
        if error is not None:
            words.append(f"({_one_line(describe(error))})")
        line = " ".join(words)
        return line + _trace(error) if error is not None and self._traces else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, the fields, and `error` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line a record."""
        error = _error(record)
        members = fields_of(record) | {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if error is not None:
            members["error"] = describe(error)
        return orjson.dumps(members, default=_shape).decode("utf-8")


def _message(record: logging.LogRecord) -> str:
    message = record.msg if isinstance(record.msg, str) else _safe(record.msg)
    try:
        text = str(message) % record.args if record.args else str(message)
    except (TypeError, ValueError):
        text = str(message)  # the arguments do not fit the format; a log line must not fail for it
    return _cut(text)


def _safe(value: object) -> object:
    """A value as it may be printed: scalars as they are, texts cut, exceptions named, anything else by its shape."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _cut(value)
    return describe(value) if isinstance(value, BaseException) else _shape(value)


def _shape(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MESSAGE_LIMIT else f"{clean[:MESSAGE_LIMIT]}… ({len(clean)} characters)"


def _one_line(text: str) -> str:
    """Control characters escaped, so that nothing from the wire can forge a line or steer a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _place(trace: TracebackType | None) -> str:
    """`proxy/codecs/trees.py:41 in read`: where it was raised."""
    frames = traceback.extract_tb(trace, limit=-1)
    return f"{_short(frames[0].filename)}:{frames[0].lineno} in {frames[0].name}" if frames else ""


def _trace(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(f"\n    {_short(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames)


def _short(filename: str) -> str:
    return "/".join(filename.rsplit("/", 3)[1:]) or filename
