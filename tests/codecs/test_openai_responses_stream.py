"""Streams of OpenAI Responses: each event of wire-formats §2.2, texts that are sent again, calls cut, many answers."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Channel, Fragment, OpenCall, Reading, openai_responses, trees
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.sse import Sse
from proxy.codecs.splicing import Remove, Replace, splice
from proxy.codecs.walk import LONGEST_WORD, STRUCTURE
from proxy.events import Usage
from tests.codecs.test_openai_responses import TOOL, call, json, reasons, says

CODEC = openai_responses.CODEC


def numbered(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def event(kind: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "item_id": f"it_{index}", "output_index": index} | more


def begun(**more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "gpt-5", "status": "in_progress", "instructions": "sys", "output": []}
    return {"type": "response.created", "response": response | more}


def over(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": status, "instructions": "sys", "output": list(output)}
    return {"type": f"response.{status}", "response": response | more}


def text_events(text: str, index: int = 0, pieces: int = 2) -> list[dict[str, Any]]:
    """One text five times."""
    step = -(-len(text) // pieces)
    item, piece = says(text), says(text)["content"][0]
    return [
        event("output_item.added", index, item=item | {"status": "in_progress", "content": []}),
        event("content_part.added", index, content_index=0, part=piece | {"text": ""}),
        *(
            event("output_text.delta", index, content_index=0, delta=text[at : at + step], logprobs=[])
            for at in range(0, len(text), step)
        ),
        event("output_text.done", index, content_index=0, text=text, logprobs=[]),
        event("content_part.done", index, content_index=0, part=piece),
        event("output_item.done", index, item=item),
    ]


def call_events(index: int, name: str = "f", pieces: tuple[str, ...] = ('{"p"', ":1}")) -> list[dict[str, Any]]:
    item = call(name, "".join(pieces), f"c{index}")
    return [
        event("output_item.added", index, item=item | {"arguments": "", "status": "in_progress"}),
        *(event("function_call_arguments.delta", index, delta=piece, obfuscation="abc") for piece in pieces),
        event("function_call_arguments.done", index, arguments="".join(pieces)),
        event("output_item.done", index, item=item),
    ]


def reasoning_events(index: int = 0) -> list[dict[str, Any]]:
    part = {"type": "summary_text", "text": "hm"}
    return [
        event("output_item.added", index, item=reasons() | {"summary": [], "encrypted_content": "first"}),
        event("reasoning_summary_part.added", index, summary_index=0, part=part | {"text": ""}),
        event("reasoning_summary_text.delta", index, summary_index=0, delta="hm"),
        event("reasoning_summary_text.done", index, summary_index=0, text="hm"),
        event("reasoning_summary_part.done", index, summary_index=0, part=part),
        event("output_item.done", index, item=reasons()),
    ]


def done_items(events: list[dict[str, Any]]) -> list[Any]:
    return [one["item"] for one in events if one["type"] == "response.output_item.done"]


def answer(*parts: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """A whole stream of these items."""
    middle = [one for part in parts for one in part]
    return numbered(begun(), middle[0], *middle[1:], over(*done_items(middle), **more))


def read(events: list[Any]) -> list[Reading]:
    reader = CODEC.stream_reader()
    readings = [reader.read(one) for one in events]
    return [*readings, reader.finish()]


class Told:
    """What a stream's readings say, checked as they must be."""

    def __init__(self, events: list[Any]) -> None:
        self.texts: dict[Channel, str] = {}
        self.repeats: dict[Channel, int] = {}
        self.opens: dict[Channel, OpenCall] = {}
        self.sealed: set[Channel] = set()
        self.closed: list[Channel] = []
        for document, reading in zip([*events, None], read(events), strict=True):
            self._check_paths(document, [*reading.fragments, *reading.repeats])
            self.opens |= {opened.channel: opened for opened in reading.opens}
            assert not {opened.channel for opened in reading.opens} & set(self.closed)
            self.sealed |= set(reading.sealed)
            for channel, _, text in reading.fragments:
                assert channel not in self.closed
                self.texts[channel] = self.texts.get(channel, "") + text
            self.closed += reading.closes
            for channel, _, text in reading.repeats:
                assert self.texts[channel] == text or "tool_call" in channel
                self.repeats[channel] = self.repeats.get(channel, 0) + 1
        assert {*self.texts, *self.opens} <= set(self.closed)

    def _check_paths(self, document: Any, fragments: list[Fragment]) -> None:
        assert len({fragment.path for fragment in fragments}) == len(fragments)
        for fragment in fragments:
            value = document
            for step in fragment.path:
                value = value[step] if isinstance(step, str | int) else step.name
            assert str(value) == fragment.text

    def said(self, kind: str) -> list[str]:
        return [text for channel, text in self.texts.items() if channel[0] == kind]


# reading


def test_a_text_is_told_once_and_known_again() -> None:
    told = Told(answer(text_events("Hello you.")))
    channel: Channel = ("text", 0, "content", 0, "text")
    assert told.texts[channel] == "Hello you."
    assert told.repeats[channel] == 4
    assert told.said("text").count("Hello you.") == 1


def test_a_text_closes_when_it_is_done() -> None:
    readings = read(answer(text_events("Hello you.")))
    assert [list(reading.closes) for reading in readings[3:6]] == [[], [], [("text", 0, "content", 0, "text")]]


@pytest.mark.parametrize("kept", [["output_item.done", "completed"], ["completed"], ["output_text.done", "completed"]])
def test_texts_without_pieces_are_read(kept: list[str]) -> None:
    events = [one for one in answer(text_events("Hello.")) if one["type"].removeprefix("response.") in kept]
    told = Told(events)
    assert told.said("text").count("Hello.") == 1


def test_a_copy_that_says_something_else_is_a_text_of_its_own() -> None:
    events = answer(text_events("Hello."))
    events[-1] = over(says("Bye."))
    assert {"Hello.", "Bye."} <= set(Told(events).said("text"))


def test_texts_are_told_apart_by_place_and_not_by_id() -> None:
    events = answer(text_events("one", 0), text_events("two", 1))
    for number, one in enumerate(events):
        one["item_id"] = f"rotating {number}"
    told = Told(events)
    assert (told.texts["text", 0, "content", 0, "text"], told.texts["text", 1, "content", 0, "text"]) == ("one", "two")


def test_a_call_is_read() -> None:
    events = answer(text_events("Let me see."), call_events(1))
    told = Told(events)
    assert told.texts["tool_call", 1] == '{"p":1}'
    opened = told.opens["tool_call", 1]
    assert (opened.call_id, opened.name, opened.after_text, opened.by_provider) == ("c1", "f", True, False)
    assert told.repeats["tool_call", 1] == 3
    last = read(events)[-2]
    assert (last.stop_reason, list(last.calls), last.keeps) == ("completed", [("tool_call", 1)], "resp_1")


def test_every_element_of_a_call_is_told() -> None:
    entries = [list(reading.entries) for reading in read(answer(call_events(0)))]
    channel = ("tool_call", 0)
    assert entries[1:-1] == [
        [(("item",), channel)],
        *[[((), channel)]] * 3,
        [(("item",), channel)],
        [(("response", "output", 0), channel)],
    ]


def test_parallel_calls_are_told_apart() -> None:
    first, second = call_events(0, pieces=("{", "}")), call_events(1, "g", ("[", "]"))
    mixed = [one for pair in zip(first, second, strict=True) for one in pair]
    told = Told(numbered(begun(), *mixed, over(*done_items(mixed))))
    assert (told.texts["tool_call", 0], told.texts["tool_call", 1]) == ("{}", "[]")
    assert [opened.name for opened in told.opens.values()] == ["f", "g"]


@pytest.mark.parametrize(
    "without", ["function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
)
def test_calls_that_some_events_lack(without: str) -> None:
    events = [one for one in answer(call_events(0)) if one["type"] != f"response.{without}"]
    told = Told(events)
    assert (list(told.opens), told.texts["tool_call", 0]) == ([("tool_call", 0)], '{"p":1}')


def test_a_call_that_comes_only_at_the_end() -> None:
    told = Told([begun(), over(call(arguments='{"p":1}'))])
    assert [(opened.name, told.texts[channel]) for channel, opened in told.opens.items()] == [("f", '{"p":1}')]


def test_a_call_that_nothing_announced() -> None:
    told = Told([begun(), *call_events(0)[1:], over()])
    assert [(opened.name, told.texts[channel]) for channel, opened in told.opens.items()] == [("f", '{"p":1}')]


@pytest.mark.parametrize("changed", [{"arguments": '{"p":2}'}, {"name": "g"}])
def test_a_call_that_is_told_otherwise_later_is_another(changed: dict[str, str]) -> None:
    events = answer(call_events(0))
    events[-2] = events[-2] | {"item": events[-2]["item"] | changed}
    told = Told(events[:-1])
    assert [(opened.name, told.texts[channel]) for channel, opened in told.opens.items()] == [
        ("f", '{"p":1}'),
        (changed.get("name", "f"), changed.get("arguments", '{"p":1}')),
    ]
    entries = read(events[:-1])[-2].entries
    assert [path for path, _ in entries] == [("item",), ("item",)]


def test_free_text_told_otherwise_later_is_another_call() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "ls"}
    told = Told(
        [
            event("output_item.added", item=item | {"input": ""}),
            event("custom_tool_call_input.delta", delta="ls"),
            event("custom_tool_call_input.done", input="rm -r /"),
            event("output_item.done", item=item | {"input": "rm -r /"}),
        ]
    )
    assert [told.texts[channel] for channel in told.opens] == ["ls", "rm -r /"]


def test_arguments_written_otherwise_are_the_same() -> None:
    events = answer(call_events(0))
    events[-2] = events[-2] | {"item": events[-2]["item"] | {"arguments": '{ "p": 1 }'}}
    assert list(Told(events).opens) == [("tool_call", 0)]


def test_pieces_after_the_end_are_another_call() -> None:
    events = [*call_events(0), event("function_call_arguments.delta", delta='{"q":1}')]
    told = Told(events)
    assert [told.texts[channel] for channel in told.opens] == ['{"p":1}', '{"q":1}']


def test_free_text_is_the_input() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": '{"a":1}'}
    events = [
        event("output_item.added", item=item | {"input": ""}),
        event("custom_tool_call_input.delta", delta='{"a":1}'),
        event("custom_tool_call_input.done", input='{"a":1}'),
        event("output_item.done", item=item),
    ]
    told = Told(events)
    assert told.opens["tool_call", 0].arguments == {"input": '{"a":1}'}
    assert told.texts["tool_call", 0] == '{"a":1}'


SHELL = {"type": "shell_call", "id": "sh", "call_id": "c", "status": "completed", "action": {"commands": ["ls", "pwd"]}}
PATCH = {"type": "apply_patch_call", "id": "ap", "call_id": "c"}
PATCHES = {"type": "create_file", "path": "a.md", "diff": "+a\n+b"}


def test_shell_commands_are_arguments_of_their_call() -> None:
    events = [
        event("output_item.added", item=SHELL | {"action": {"commands": []}}),
        event("shell_call_command.added", command_index=0, command="l"),
        event("shell_call_command.delta", command_index=0, delta="s"),
        event("shell_call_command.done", command_index=0, command="ls"),
        event("shell_call_command.added", command_index=1, command=""),
        event("shell_call_command.delta", command_index=1, delta="pwd"),
        event("shell_call_command.done", command_index=1, command="pwd"),
        event("output_item.done", item=SHELL),
        over(SHELL),
    ]
    told = Told(events)
    assert [told.texts["tool_call", 0, "action", "commands", index] for index in (0, 1)] == ["ls", "pwd"]
    (opened,) = told.opens.values()
    assert (opened.name, opened.arguments) == ("shell", {"commands": ["ls", "pwd"]})
    while_growing = read(events[:4])[3]
    assert while_growing.opens[0].arguments == {"commands": ["ls"]}
    assert list(while_growing.entries) == [((), ("tool_call", 0))]
    assert ("tool_call", 0) in read(events)[7].closes


def test_a_patch_is_an_argument_of_its_call() -> None:
    told = Told(
        [
            event("output_item.added", item=PATCH | {"operation": PATCHES | {"diff": ""}}),
            event("apply_patch_call_operation_diff.delta", delta="+a\n"),
            event("apply_patch_call_operation_diff.delta", delta="+b"),
            event("apply_patch_call_operation_diff.done", diff="+a\n+b"),
            event("output_item.done", item=PATCH | {"operation": PATCHES}),
            over(PATCH | {"operation": PATCHES}),
        ]
    )
    assert told.texts["tool_call", 0, "operation", "diff"] == "+a\n+b"
    (opened,) = told.opens.values()
    assert (opened.name, opened.arguments) == ("apply_patch", PATCHES)


@pytest.mark.parametrize(
    ("item", "pieces", "name", "arguments"),
    [
        (
            {"type": "code_interpreter_call", "id": "i", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]},
            [
                event("code_interpreter_call_code.delta", delta="1+1"),
                event("code_interpreter_call_code.done", code="1+1"),
            ],
            "code_interpreter",
            {"code": "1+1"},
        ),
        (
            {"type": "mcp_call", "id": "m", "name": "ask", "arguments": "{}", "server_label": "wiki", "output": "o"},
            [event("mcp_call_arguments.delta", delta="{}"), event("mcp_call_arguments.done", arguments="{}")],
            "ask",
            None,
        ),
        (
            {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "q"}},
            [event("web_search_call.searching"), event("web_search_call.completed")],
            "web_search",
            {"type": "search", "query": "q"},
        ),
        (
            {"type": "mcp_list_tools", "id": "l", "server_label": "wiki", "tools": [TOOL]},
            [event("mcp_list_tools.in_progress")],
            "mcp_list_tools",
            {},
        ),
        (
            {"type": "x_search_call", "id": "x", "call_id": "", "name": "x_search", "arguments": '{"q":1}'},
            [],
            "x_search",
            None,
        ),
    ],
)
def test_what_the_provider_carries_out_is_told(
    item: dict[str, Any], pieces: list[Any], name: str, arguments: Mapping[str, Any] | None
) -> None:
    blank = item | {
        "code": "",
        "arguments": item.get("arguments") if not pieces else "",
        "action": {},
        "output": None,
        "outputs": None,
        "tools": [],
    }
    added = {key: blank[key] for key in item}
    told = Told([event("output_item.added", item=added), *pieces, event("output_item.done", item=item), over(item)])
    (opened,) = told.opens.values()
    assert (opened.name, opened.arguments, opened.by_provider) == (name, arguments, True)
    assert list(read([over(item)])[0].calls) == []


@pytest.mark.parametrize(
    ("item", "texts", "server"),
    [
        (
            {"type": "mcp_call", "id": "c", "name": "a", "arguments": "{}", "server_label": "w", "output": "o"},
            ["o"],
            "w",
        ),
        ({"type": "code_interpreter_call", "id": "c", "code": "1", "outputs": [{"logs": "2"}]}, ["2"], None),
        ({"type": "file_search_call", "id": "c", "queries": ["q"], "results": [{"text": "t"}]}, ["t"], None),
        ({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "o", "stderr": "e"}]}, ["o", "e"], None),
    ],
)
def test_results_of_what_the_provider_carried_out(item: dict[str, Any], texts: list[str], server: str | None) -> None:
    readings = read([event("output_item.added", item={"type": item["type"]}), event("output_item.done", item=item)])
    ((result,),) = [reading.results for reading in readings if reading.results]
    assert (result.call_id, result.server, [readings[1].fragments[i].text for i in result.parts]) == (
        "c",
        server,
        texts,
    )
    assert [reading.results for reading in read([event("output_item.done", item=item), over(item)])[1:]] == [[], ()]
    response = CODEC.read_response({"output": [item]})
    (whole,) = response.results
    assert (whole.call_id, whole.server, [response.parts[i].text for i in whole.parts]) == ("c", server, texts)


def test_reasoning_is_read_and_its_seal_kept() -> None:
    told = Told(answer(reasoning_events(), text_events("so", 1)))
    assert told.texts["reasoning", 0, "summary", 0, "text"] == "hm"
    assert told.repeats["reasoning", 0, "summary", 0, "text"] == 4
    assert sorted(told.texts[channel] for channel in told.sealed) == ["first", "gAAAA", "gAAAA"]


@pytest.mark.parametrize("subject", ["content_part", "reasoning_part"])
def test_reasoning_that_is_open(subject: str) -> None:
    part = {"type": "reasoning_text", "text": "deep"}
    told = Told(
        [
            event("output_item.added", item={"type": "reasoning", "summary": []}),
            event(f"{subject}.added", content_index=0, part=part | {"text": ""}),
            event("reasoning_text.delta", content_index=0, delta="deep"),
            event("reasoning_text.done", content_index=0, text="deep"),
            event(f"{subject}.done", content_index=0, part=part),
            event("output_item.done", item={"type": "reasoning", "summary": [], "content": [part]}),
        ]
    )
    assert told.said("reasoning") == ["deep"]


def test_refusals_are_texts() -> None:
    part = {"type": "refusal", "refusal": "I cannot."}
    told = Told(
        [
            event("content_part.added", content_index=0, part=part | {"refusal": ""}),
            event("refusal.delta", content_index=0, delta="I can"),
            event("refusal.delta", content_index=0, delta="not."),
            event("refusal.done", content_index=0, refusal="I cannot."),
            event("content_part.done", content_index=0, part=part),
            over(says("x") | {"content": [part]}),
        ]
    )
    assert told.texts["text", 0, "content", 0, "refusal"] == "I cannot."


def test_output_of_a_shell_grows() -> None:
    output = {"stdout": "a\nb", "stderr": "e", "outcome": {"type": "exit", "exit_code": 0}}
    item = {"type": "shell_call_output", "call_id": "c", "output": [output]}
    told = Told(
        [
            event("shell_call_output_content.delta", command_index=0, delta={"stdout": "a\n", "stderr": "e"}),
            event("shell_call_output_content.delta", command_index=0, delta={"stdout": "b"}),
            event("shell_call_output_content.done", command_index=0, output=[output]),
            event("output_item.done", item=item),
            over(item),
        ]
    )
    assert told.said("tool_result") == ["a\nb", "e"]


def test_what_the_client_sent_is_told_once_and_known_again() -> None:
    told = Told([begun(tools=[TOOL]), {"type": "response.in_progress", "response": begun()["response"]}, over()])
    assert sorted(told.said("tool_definition")) == ["does f", "f", "sys"]
    assert told.repeats["tool_definition", "response", "instructions"] == 2


NOTE = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}


def test_sources_and_probabilities_follow_an_edit() -> None:
    logprobs = [{"token": "so", "bytes": [115, 111]}]
    piece = says("so", logprobs=logprobs, annotations=[NOTE])["content"][0]
    events = [
        event("output_text.delta", content_index=0, delta="so", logprobs=logprobs),
        event("output_text.annotation.added", content_index=0, annotation_index=0, annotation=NOTE),
        event("output_text.done", content_index=0, text="so", logprobs=logprobs),
        event("content_part.done", content_index=0, part=piece),
        event("output_item.done", item=says("so") | {"content": [piece]}),
    ]
    channel: Channel = ("text", 0, "content", 0, "text")
    follows = [[change for at, change in reading.when_edited if at == channel] for reading in read(events)]
    assert follows[:5] == [
        [Replace(("logprobs",), b"[]")],
        [Remove(())],
        [Replace(("logprobs",), b"[]")],
        [Replace(("part", name), b"[]") for name in ("logprobs", "annotations")],
        [Replace(("item", "content", 0, name), b"[]") for name in ("logprobs", "annotations")],
    ]
    told = Told(events)
    assert {"u", "t"} <= set(told.said("text"))
    assert told.repeats["text", 0, "content", 0, "annotations", 0, "url"] == 2


@pytest.mark.parametrize(
    ("one", "texts"),
    [
        ({"type": "error", "code": "c", "message": "m", "param": None}, ["c", "m"]),
        ({"type": "error", "status": 400, "error": {"type": "t", "message": "m"}}, ["m"]),
        ({"type": "response.failed", "response": {"status": "failed", "error": {"message": "m"}}}, ["failed", "m"]),
        (event("image_generation_call.partial_image", partial_image_b64="AA"), ["AA"]),
        ({"type": "response.audio.delta", "delta": "AA"}, ["AA"]),
        ({"type": "response.audio.transcript.delta", "delta": "heard"}, ["heard"]),
        ({"type": "response.audio.transcript.done"}, []),
        ({"type": "response.audio.done"}, []),
        ({"type": "keepalive", "sequence_number": 3}, []),
        (event("compaction.compacting"), []),
        (event("brand_new.delta", delta="new", note="x"), ["new", "x"]),
        (event("brand_new.delta", delta={"deep": "new"}), ["new"]),
        (event("brand_new", body={"deep": "new"}), ["new"]),
        ({"type": "codex.rate_limits", "plan_type": "pro"}, ["pro"]),
        (event("output_text.delta", content_index=0, delta="t", more="x"), ["t", "x"]),
        (event("output_text.delta", content_index=0, delta={"a": "t"}), ["t"]),
        (event("output_text.delta", content_index=0, delta="", logprobs="x"), ["x"]),
        (event("content_part.added", part={"type": []}), []),
        (event("output_item.added", item={"type": {"deep": "t"}}), ["t"]),
        (event("output_item.added", item=None), []),
        (event("output_item.done", item="text"), ["text"]),
        ({"type": "response.completed", "response": "text"}, ["text"]),
        ({"type": "response.completed", "response": {"output": "text"}}, ["text"]),
        ({"type": ["t"]}, ["t"]),
        ("text", ["text"]),
        (["a"], ["a"]),
        (5, []),
        (None, []),
    ],
)
def test_other_events_are_read(one: Any, texts: list[str]) -> None:
    reading = CODEC.stream_reader().read(one)
    assert [fragment.text for fragment in reading.fragments] == texts


@pytest.mark.parametrize(
    "kind",
    [
        f"{call}.{step}"
        for call in (
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
            "image_generation_call",
            "mcp_call",
        )
        for step in ("in_progress", "searching", "interpreting", "generating", "completed", "failed")
    ],
)
def test_progress_says_nothing(kind: str) -> None:
    reading = CODEC.stream_reader().read(event(kind))
    assert [*reading.fragments, *reading.opens, *reading.closes, *reading.sealed, *reading.entries] == []


def test_a_long_id_is_sealed() -> None:
    one = event("output_text.delta", content_index=0, delta="t") | {"item_id": "x" * 400}
    told = Told([one, one])
    assert [told.texts[channel] for channel in told.sealed] == ["x" * 400] * 2
    assert told.texts["text", 0, "content", 0, "text"] == "tt"


def test_the_short_way_hides_nothing() -> None:
    piece = event("output_text.delta", content_index=0, delta="t")
    for more in ({"obfuscation": {"a": "x"}}, {"sequence_number": "x"}, {"logprobs": ["x"]}, {"note": "x"}):
        told = Told([piece, piece | more])
        read_all = "x" in told.said("text") or "logprobs" in more
        assert read_all
        assert told.texts["text", 0, "content", 0, "text"] == "tt"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (over(), "completed"),
        (over(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_output_tokens"),
        (over(status="failed"), "failed"),
        ({"type": "error", "message": "m"}, "error"),
    ],
)
def test_how_an_answer_ends(last: dict[str, Any], reason: str) -> None:
    reading = read([begun(), *call_events(0), last])[-2]
    assert (reading.stop_reason, reading.end, list(reading.calls)) == (reason, True, [("tool_call", 0)])


def test_model_and_usage() -> None:
    used = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2}
    first, last, _ = read([begun(), over(usage=used)])
    assert (first.model, first.keeps, first.usage) == ("gpt-5", "resp_1", None)
    assert last.usage == Usage(input=5, output=2, cache_read=4)


def test_answers_that_follow_each_other_are_told_apart() -> None:
    told = Told([*answer(text_events("one")), *answer(text_events("two"), call_events(1))])
    assert told.texts["text", 0, "content", 0, "text"] == "one"
    assert told.texts["text", 0, "content", 0, "text", "again", 1] == "two"


def test_an_answer_that_broke_off_is_closed_by_the_next() -> None:
    reader = CODEC.stream_reader()
    for one in answer(call_events(0))[:3]:
        reader.read(one)
    assert ("tool_call", 0) in reader.read(begun()).closes


def test_lanes_are_told_apart() -> None:
    lanes = [[one | {"stream_id": lane} for one in answer(text_events(lane))] for lane in "ab"]
    told = Told([one for pair in zip(*lanes, strict=True) for one in pair])
    assert [told.texts["text", lane, 0, "content", 0, "text"] for lane in "ab"] == ["a", "b"]


def test_a_whole_answer_in_another_order_is_the_same() -> None:
    events = answer(text_events("so"), call_events(1), call_events(2))
    events[-1]["response"]["output"] = [
        call(arguments='{"p":1}', call_id="c2"),
        call(arguments='{"p":1}', call_id="c1"),
    ]
    told = Told(events)
    assert list(told.opens) == [("tool_call", 1), ("tool_call", 2)]


# any event at any time

kinds = st.sampled_from(
    [
        one["type"]
        for events in (
            answer(text_events("x"), call_events(1), reasoning_events(2)),
            [event("shell_call_command.delta")],
        )
        for one in events
    ]
    + [f"response.{name}" for name in ("output_text.annotation.added", "shell_call_output_content.done", "x.delta")]
)
anything = st.one_of(
    json,
    st.builds(
        lambda kind, more, held: more | {"type": kind} | held if isinstance(more, dict) else more,
        kinds,
        json,
        st.dictionaries(
            st.sampled_from(
                [
                    "delta",
                    "item",
                    "part",
                    "response",
                    "text",
                    "arguments",
                    "output_index",
                    "content_index",
                    "annotation",
                ]
            ),
            json,
            max_size=4,
        ),
    ),
    st.sampled_from(answer(text_events("Hello."), call_events(1), reasoning_events(2))),
)


@given(st.lists(anything, max_size=8))
def test_any_events_are_read_whole(events: list[Any]) -> None:
    told = Told(events)
    for document, reading in zip(events, read(events)[:-1], strict=True):
        paths = {fragment.path for fragment in [*reading.fragments, *reading.repeats]}
        copies = [change.path for _, change in reading.when_edited if change.path]
        for path, text in trees.strings(document):
            assert not text or path in paths or _is_word(path, text) or any(path[: len(c)] == c for c in copies)
    assert set(told.opens) <= set(told.closed)


def _is_word(path: tuple[Any, ...], text: str) -> bool:
    return bool(path) and path[-1] in STRUCTURE and len(text) <= LONGEST_WORD


@given(st.lists(anything, max_size=8), st.sets(st.integers(0, 3)))
def test_any_events_are_cut(events: list[Any], chosen: set[int]) -> None:
    reader = CODEC.stream_reader()
    readings = [reader.read(one) for one in events]
    channels = [opened.channel for reading in readings for opened in reading.opens if not opened.by_provider]
    rewritten(events, {channel: "NO" for number, channel in enumerate(channels) if number in chosen})


# cuts


def rewritten(events: list[Any], cuts: Mapping[Channel, str], named: bool = True) -> list[Any]:
    """The documents of the stream that leaves with these calls cut out."""
    writer, reader = CODEC.stream_writer(), CODEC.stream_reader()
    out: list[Any] = []
    for one in events:
        kind = one["type"] if named and isinstance(one, dict) and isinstance(one.get("type"), str) else None
        frame = Frame(b"", kind, orjson.dumps(one))
        new = writer.rewrite(frame, one, reader.read(one), cuts)
        for leaving in [Event(kind, frame.data)] if new is None else new:
            out.append(orjson.loads(leaving.data))
            assert leaving.name == (None if kind is None else out[-1]["type"])
    return out


def assembled(events: list[Any]) -> list[Any]:
    """A client's view: items made of their events, as the official SDKs do it."""
    items: dict[int, Any] = {}
    complete: dict[int, Any] = {}
    for one in events:
        index, kind = one.get("output_index"), one["type"]
        if kind == "response.output_item.added":
            assert index not in items
            items[index] = orjson.loads(orjson.dumps(one["item"]))
        elif kind == "response.content_part.added":
            items[index]["content"].append(one["part"])
        elif kind == "response.output_text.delta":
            items[index]["content"][one["content_index"]]["text"] += one["delta"]
        elif kind == "response.function_call_arguments.delta":
            items[index]["arguments"] += one["delta"]
        elif kind == "response.output_item.done":
            made, item = items[index], one["item"]
            assert (made["type"], made["id"]) == (item["type"], item["id"])
            if item["type"] == "message":
                assert made["content"] == item["content"]
            complete[index] = item
        elif kind == "response.completed":
            assert one["response"]["output"] == [complete[at] for at in sorted(complete)]
            return list(one["response"]["output"])
    raise AssertionError("no end")


def shown(items: list[Any]) -> list[Any]:
    return [item["content"][0]["text"] if item["type"] == "message" else item.get("name") for item in items]


def assert_numbered(events: list[Any]) -> None:
    assert [one["sequence_number"] for one in events] == list(range(len(events)))


@pytest.mark.parametrize("pieces", [('{"p":1}',), ('{"p"', ":1}"), tuple('{"p":"a long value"}')])
def test_a_call_becomes_a_message(pieces: tuple[str, ...]) -> None:
    events = answer(reasoning_events(), call_events(1, pieces=pieces), text_events("so", 2))
    out = rewritten(events, {("tool_call", 1): "NO"})
    assert shown(assembled(out)) == [None, "NO", "so"]
    assert_numbered(out)
    assert not any("function_call" in one["type"] for one in out)
    assert out[: len(reasoning_events()) + 1] == events[: len(reasoning_events()) + 1]


def test_both_calls_are_cut() -> None:
    out = rewritten(
        answer(text_events("Look."), call_events(1), call_events(2)), {("tool_call", 1): "A", ("tool_call", 2): "B"}
    )
    assert shown(assembled(out)) == ["Look.", "\n\nA", "\n\nB"]
    assert_numbered(out)


@pytest.mark.parametrize("index", [0, 1])
def test_a_call_that_stays_is_as_it_was(index: int) -> None:
    events = answer(call_events(0), call_events(1, "g"))
    out = rewritten(events, {("tool_call", index): "NO"})
    assert shown(assembled(out)) == (["NO", "g"] if index == 0 else ["f", "NO"])
    assert_numbered(out)


def test_a_cut_in_a_stream_is_the_cut_of_the_whole() -> None:
    events = answer(text_events("Look."), call_events(1))
    whole = events[-1]["response"]
    response = CODEC.read_response(whole)
    cut = orjson.loads(splice(orjson.dumps(whole), CODEC.cut_calls(whole, response, {0: "NO"})))
    assert assembled(rewritten(events, {("tool_call", 1): "NO"})) == cut["output"]


def test_a_shell_call_is_cut_with_its_commands() -> None:
    events = numbered(
        begun(),
        event("output_item.added", item=SHELL | {"action": {"commands": []}, "status": "in_progress"}),
        event("shell_call_command.added", command_index=0, command=""),
        event("shell_call_command.delta", command_index=0, delta="ls"),
        event("shell_call_command.done", command_index=0, command="ls"),
        event("output_item.done", item=SHELL),
        over(SHELL),
    )
    out = rewritten(events, {("tool_call", 0): "NO"})
    assert shown(assembled(out)) == ["NO"]
    assert_numbered(out)
    assert "commands" not in orjson.dumps(out).decode()


def test_a_call_told_otherwise_at_the_end_is_cut_there() -> None:
    events = [begun(), *call_events(0)[:-1], event("output_item.done", item=call("g"))]
    out = rewritten(events, {("tool_call", 0, "again", 1): "NO"})
    assert '"g"' not in orjson.dumps(out).decode()


def test_without_cuts_nothing_is_rewritten() -> None:
    events = answer(text_events("Look."), call_events(1))
    assert rewritten(events, {}) == events


def test_a_socket_has_no_names_of_events_and_keeps_lanes() -> None:
    events = [one | {"stream_id": "a"} for one in answer(call_events(0))]
    other = [one | {"stream_id": "b"} for one in answer(call_events(0))]
    out = rewritten([*events, *other], {("tool_call", "a", 0): "NO"}, named=False)
    mine = [one for one in out if one["stream_id"] == "a"]
    assert shown(assembled(mine)) == ["NO"]
    assert_numbered(mine)
    assert [one for one in out if one["stream_id"] == "b"] == other


def test_numbers_begin_again_with_the_next_answer() -> None:
    first, second = answer(call_events(0)), answer(text_events("so"))
    out = rewritten([*first, *second], {("tool_call", 0): "NO"})
    assert out[-len(second) :] == second


def test_events_without_numbers_get_none() -> None:
    events = [{k: v for k, v in one.items() if k != "sequence_number"} for one in answer(call_events(0))]
    assert all("sequence_number" not in one for one in rewritten(events, {("tool_call", 0): "NO"}))


# framing, and what midstream says itself


def _stream(events: list[Any]) -> bytes:
    frames = Sse()
    return b"".join(frames.encode(Event(one["type"], orjson.dumps(one))) for one in events)


def _cut_at(raw: bytes, size: int, trailing: bytes = b"") -> list[Reading]:
    frames, reader = Sse(), CODEC.stream_reader()
    whole = raw + trailing
    found = [frame for at in range(0, len(whole), size) for frame in frames.feed(whole[at : at + size])]
    found += frames.finish()
    return [reader.read(trees.parse(frame.data)) for frame in found if frame.data]


def test_a_stream_cut_anywhere_says_the_same() -> None:
    raw = _stream(answer(reasoning_events(), text_events("Hello you."), call_events(2)))
    whole = _cut_at(raw, len(raw))
    assert _cut_at(raw, 1) == whole
    assert _cut_at(raw, 7) == whole
    assert _cut_at(raw, 7, b": trailing\n\n") == whole


def test_its_own_stream_is_read_back() -> None:
    events = [orjson.loads(one.data) for one in CODEC.message_stream("m", "t")]
    assert [one.name for one in CODEC.message_stream("m", "t")] == [one["type"] for one in events]
    assert shown(assembled(events)) == ["t"]
    assert_numbered(events)
    readings = read(events)
    assert (readings[0].model, readings[-2].stop_reason, readings[-2].end) == ("m", "completed", True)
    assert events[-1]["response"] == orjson.loads(CODEC.message("m", "t"))
