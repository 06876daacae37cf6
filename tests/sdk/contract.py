"""What an agent may expect of midstream with any model SDK. Each `test_<sdk>.py` names a client and is held to it.

The SDK is the judge: what it cannot parse, or parses to something else than it would without midstream, fails here.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import pytest

from proxy.demo.answers import Answer, Call, Received, Text, call, says
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import PERMIT_ALL, Lines
from tests.sdk.lines import Line
from tests.serving import DENYING, GUARDED, NOTICE, REASON

# Assembled, so that no scanner takes this file for a leak: the shape of a key, of no account.
SECRET = "AKIA" + "QX5TN3ZD7KLV2WRM"
EMAIL = "grace.hopper@navy-lab.org"
TOOLS = ("get_weather", "read_file", "send")
"""What clients offer: functions of any arguments."""


class Told(NamedTuple):
    """What an SDK made of an answer."""

    text: str
    calls: list[tuple[str, Any]]
    """Names and arguments."""
    stop: str | None
    whole: Any
    """All that was parsed, event by event where it was streamed, as plain data."""


streamed = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])

WORDS = ("Grüße, ", "“all”\n", "\U0001f600 of it.")
WEATHER = call("get_weather", {"city": 'Köln "x"', "days": [1, 2.5], "when": None})
READ_ENV = call("read_file", {"path": "/srv/app/.env"}, call_id="call_env")
READ_README = call("read_file", {"path": "/srv/app/README.md"}, call_id="call_readme")

_OF_THE_MOMENT = {"amz-sdk-invocation-id"}
"""Headers in which two requests of one client differ."""


class TextContract(ABC):
    """For endpoints that answer with text: one client, made anew for each request."""

    refused: ClassVar[type[Exception]]
    """The SDK's own error for a request that the provider will not have."""

    @abstractmethod
    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        """One question with `TOOLS` on offer, over `line`."""

    @streamed
    @pytest.mark.parametrize("chunk_size", [0, 1, 7])
    def test_a_text_is_as_without_midstream(
        self, straight: Line, lines: Lines, stand_in: StandIn, streaming: bool, chunk_size: int
    ) -> None:
        stand_in.scenario = _always(says(*WORDS, chunk_size=chunk_size))
        self._same_either_way(straight, lines(PERMIT_ALL), stand_in, streaming)

    def _same_either_way(self, straight: Line, permitted: Line, stand_in: StandIn, streaming: bool) -> Told:
        got = [self.ask(line, "Grüße “to” \U0001f600.\n", streaming=streaming) for line in (straight, permitted)]
        assert got[1] == got[0]
        one, two = stand_in.requests
        assert two.body == one.body
        assert _lasting(two) == _lasting(one)
        assert (straight.sent, permitted.sent) == (1, 1)
        return got[0]

    def test_the_words_arrive(self, lines: Lines, stand_in: StandIn) -> None:
        stand_in.scenario = _always(says(*WORDS))
        for streaming in (False, True):
            assert self.ask(lines(GUARDED), "Go.", streaming=streaming).text == "".join(WORDS)

    @streamed
    def test_a_secret_does_not_go_up(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        stand_in.scenario = _always(says("Noted."))
        told = self.ask(lines(GUARDED), f"The key is {SECRET}, keep it.", streaming=streaming)
        assert told.text == "Noted."
        assert prompt(stand_in.requests[0], "The key is ").startswith("The key is [REDACTED")
        assert SECRET not in stand_in.requests[0].text

    @streamed
    def test_a_secret_does_not_come_down(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        got = set()
        for pieces in [
            (f"Use {SECRET} today.",),
            ("Use ", SECRET[:9], SECRET[9:], " today."),
            tuple(f"Use {SECRET} today."),
        ]:
            stand_in.scenario = _always(says(*pieces))
            told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
            assert SECRET not in told.text + repr(told.whole)
            got.add(told.text)
        assert len(got) == 1
        assert (only := got.pop()).startswith("Use [REDACTED") and only.endswith(" today.")

    def test_a_secret_whatever_the_network_cuts(self, lines: Lines, stand_in: StandIn) -> None:
        for chunk_size in (1, 3, 64):
            stand_in.scenario = _always(says("Use ", SECRET[:9], SECRET[9:], " today.", chunk_size=chunk_size))
            told = self.ask(lines(GUARDED), "Go.", streaming=True)
            assert told.text.startswith("Use [REDACTED") and told.text.endswith(" today.")
            assert SECRET not in repr(told.whole)

    @streamed
    def test_a_placeholder_is_restored_in_text(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        def echo(request: Received) -> Answer:
            shown = _placeholder(request)
            return says("To ", shown[:7], shown[7:12], shown[12:], ": done.")

        stand_in.scenario = echo
        told = self.ask(lines(GUARDED), f"Write to {EMAIL} now.", streaming=streaming)
        assert told.text == f"To {EMAIL}: done."
        assert EMAIL not in stand_in.requests[0].text

    @streamed
    def test_a_refusal_is_the_sdk_s_own_error_at_once(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        line = lines(DENYING)
        with pytest.raises(self.refused, match=REASON):
            self.ask(line, "Go.", streaming=streaming)
        assert line.sent == 1
        assert stand_in.requests == []


class Contract(TextContract):
    """For endpoints that call tools too."""

    ended: ClassVar[str]
    """The stop reason of a text."""
    calling: ClassVar[str]
    """The stop reason of an answer with calls."""

    @abstractmethod
    def give(self, line: Line, name: str, result: str) -> Told:
        """The next turn: the tool `name` was called with {"city": "Paris"} and this is its result. Not streamed."""

    @streamed
    @pytest.mark.parametrize("chunk_size", [0, 1])
    def test_calls_are_as_without_midstream(
        self, straight: Line, lines: Lines, stand_in: StandIn, streaming: bool, chunk_size: int
    ) -> None:
        other = call("send", {}, call_id="call_2")
        stand_in.scenario = _always(Answer((Text("Two ", "calls."), WEATHER, other), chunk_size=chunk_size))
        told = self._same_either_way(straight, lines(PERMIT_ALL), stand_in, streaming)
        assert told[:3] == ("Two calls.", [(c.name, json.loads(c.arguments)) for c in (WEATHER, other)], self.calling)

    @streamed
    def test_permitted_calls_arrive(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        stand_in.scenario = _always(Answer((WEATHER,)))
        told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
        assert told[:3] == ("", [("get_weather", json.loads(WEATHER.arguments))], self.calling)

    @streamed
    def test_a_secret_in_arguments_does_not_come_down(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        whole = json.dumps({"city": f"Use {SECRET} “today”"})
        got = []
        for fragments in [(whole,), (whole[:20], whole[20:]), tuple(whole)]:
            stand_in.scenario = _always(Answer((Call("get_weather", fragments),)))
            told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
            assert SECRET not in repr(told.whole)
            got += told.calls
        assert got == [got[0]] * 3
        only = got[0][1]["city"]
        assert only.startswith("Use [REDACTED") and only.endswith(" “today”")

    @streamed
    def test_a_placeholder_is_restored_in_arguments(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        stand_in.scenario = lambda request: Answer((call("send", {"to": _placeholder(request), "n": 1}),))
        told = self.ask(lines(GUARDED), f"Write to {EMAIL} now.", streaming=streaming)
        assert told.calls == [("send", {"to": EMAIL, "n": 1})]

    @streamed
    def test_a_denied_call_arrives_as_a_text(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        stand_in.scenario = _always(Answer((Text("I will ", "read it."), READ_ENV)))
        told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
        assert told.text.startswith("I will read it.")
        assert NOTICE in told.text
        assert (told.calls, told.stop) == ([], self.ended)
        assert "/srv" not in repr(told.whole)

    @streamed
    def test_a_denied_call_alone_arrives_as_a_text(self, lines: Lines, stand_in: StandIn, streaming: bool) -> None:
        stand_in.scenario = _always(Answer((READ_ENV,)))
        told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
        assert NOTICE in told.text
        assert (told.calls, told.stop) == ([], self.ended)

    @streamed
    @pytest.mark.parametrize("order", [(READ_ENV, READ_README), (READ_README, READ_ENV)], ids=["first", "last"])
    def test_only_the_denied_call_of_two_is_cut_out(
        self, lines: Lines, stand_in: StandIn, streaming: bool, order: tuple[Call, Call]
    ) -> None:
        stand_in.scenario = _always(Answer((Text("Both."), *order)))
        told = self.ask(lines(GUARDED), "Go.", streaming=streaming)
        assert NOTICE in told.text
        assert told.calls == [("read_file", {"path": "/srv/app/README.md"})]
        assert told.stop == self.calling

    def test_a_result_goes_up_as_without_midstream(self, straight: Line, lines: Lines, stand_in: StandIn) -> None:
        stand_in.scenario = _always(says("Noted."))
        assert self.give(lines(PERMIT_ALL), "get_weather", "9 °C") == self.give(straight, "get_weather", "9 °C")
        one, two = stand_in.requests
        assert one.body == two.body

    def test_a_secret_in_a_result_does_not_go_up(self, lines: Lines, stand_in: StandIn) -> None:
        stand_in.scenario = _always(says("Noted."))
        assert self.give(lines(GUARDED), "get_weather", f"Weather by {SECRET}: 9 °C").text == "Noted."
        assert prompt(stand_in.requests[0], "Weather by ").startswith("Weather by [REDACTED")
        assert SECRET not in stand_in.requests[0].text

    def test_a_denied_result_becomes_a_notice_and_the_run_goes_on(self, lines: Lines, stand_in: StandIn) -> None:
        stand_in.scenario = _always(says("Noted."))
        assert self.give(lines(GUARDED), "payroll", "everybody earns 100").text == "Noted."
        assert "everybody earns" not in stand_in.requests[0].text
        assert prompt(stand_in.requests[0], REASON)


def _always(answer: Answer) -> Callable[[Received], Answer]:
    return lambda _: answer


def _lasting(request: Received) -> list[tuple[str, str]]:
    return [header for header in request.headers if header[0] not in _OF_THE_MOMENT]


def prompt(request: Received, within: str) -> str:
    """The one text of a request that holds `within`."""
    (found,) = [text for text in _strings(request.json) if within in text]
    return found


def _placeholder(request: Received) -> str:
    """What the provider was shown instead of the address."""
    return prompt(request, "Write to ").removeprefix("Write to ").removesuffix(" now.")


def _strings(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for item in value.values():
                yield from _strings(item)
        case list():
            for item in value:
                yield from _strings(item)
        case str():
            yield value
