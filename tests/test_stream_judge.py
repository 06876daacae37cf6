"""The judgement of a stream: what is told twice must say the same. Streams as bytes are test_guard's."""

import pytest

from proxy.codecs import Channel, Fragment, OpenCall, Reading
from proxy.stream_judge import StreamJudge, StreamRefusedError
from tests.judging import REDACT, exchange

CALL: Channel = ("tool_call", 0)


def told_twice(policy: str, once: str, again: str) -> None:
    """A call's arguments as they grew, and as a later event repeats them."""
    judge = StreamJudge(exchange(policy, "openai_responses"))
    judge.read(Reading((Fragment(CALL, ("delta",), once),), (OpenCall(CALL, "call_1", "run"),), (CALL,)))
    judge.read(Reading(repeats=(Fragment(CALL, ("arguments",), again),)))


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ('{"path": "/srv"', '{"path": "/etc"'),  # neither is JSON: both cut short
        ("rm -r build", "rm -r /"),
        ('{"path": "/srv"}', '{"path": "/srv"'),
        ('{"path": "/srv"', '{"path": "/srv"}'),
        ('{"path": "/srv"}', '{"path": "/etc"}'),
    ],
)
def test_arguments_that_are_told_twice_and_differ_are_refused(once: str, again: str) -> None:
    with pytest.raises(StreamRefusedError, match="told twice and differ"):
        told_twice(REDACT, once, again)


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ("rm -r build", "rm -r build"),
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ("", ""),
        ('{"a": "ü"}', '{"a": "\\u00fc"}'),
    ],
)
def test_arguments_that_say_the_same_are_one_call(once: str, again: str) -> None:
    told_twice(REDACT, once, again)


def test_where_nobody_looks_nothing_is_refused() -> None:
    told_twice("version: 1\n", "rm -r build", "rm -r /")
