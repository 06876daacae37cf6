"""OpenAI Responses: each item of wire-formats §2.1 in requests and whole answers, and what midstream says itself."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Key, Part, Request, Response, openai_responses, trees
from proxy.codecs.openai_responses.mend import mend
from proxy.codecs.splicing import splice
from proxy.events import Usage
from tests.codecs import recorded

CODEC = openai_responses.CODEC
TOOL = {"type": "function", "name": "f", "description": "does f", "parameters": {"type": "object"}}


def said(read: Request | Response) -> dict[str, Part]:
    return {part.text: part for part in read.parts}


def call(name: str = "f", arguments: str = "{}", call_id: str = "c1", **more: Any) -> dict[str, Any]:
    item = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments}
    return item | {"status": "completed"} | more


def says(text: str, **more: Any) -> dict[str, Any]:
    piece = {"type": "output_text", "text": text, "annotations": [], "logprobs": []} | more
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [piece]}


def reasons(identity: str = "rs_1") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "hm"}]
    return {"type": "reasoning", "id": identity, "summary": summary, "encrypted_content": "gAAAA"}


def result(output: Any = "found", call_id: str = "c1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


REQUEST: dict[str, Any] = {
    "model": "gpt-5",
    "stream": True,
    "max_output_tokens": 100,
    "instructions": "sys",
    "previous_response_id": "resp_0",
    "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Paris", "sk-live-123": "v"}},
    "metadata": {"mail": "a@b.example"},
    "tools": [TOOL, {"type": "mcp", "server_label": "wiki", "authorization": "token"}, {"type": "web_search"}],
    "text": {"format": {"type": "json_schema", "schema": {"description": "schema text"}}},
    "input": [
        {"role": "developer", "content": "dev"},
        user([{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "data:image/png;base64,AA"}]),
        reasons(),
        call(arguments='{"p": ".env"}'),
        result(),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}], "phase": "final"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "exec", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "files"}]},
        user([{"type": "input_file", "file_data": "data:application/pdf;base64,BB", "filename": "n.pdf"}]),
        {"type": "item_reference", "id": "msg_9"},
        user("now"),
    ],
}


def test_a_request_is_read() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    assert recorded.misplaced(REQUEST, request) == []
    assert (request.model, request.stream, request.max_output, request.turn) == ("gpt-5", True, 100, 2)
    assert request.follows == "resp_0"
    assert list(request.tools) == ["f", "wiki", "web_search"]
    assert request.calls == {"c1": ("f", {"p": ".env"}), "c2": ("exec", {"input": "ls"})}
    texts = said(request)
    told = ("sys", "dev", "hi", "hm", "found", "so", "files", "now", "Paris", "does f")
    assert [(texts[t].role, texts[t].kind, texts[t].new) for t in told] == [
        ("system", "text", False),
        ("system", "text", False),
        ("user", "text", False),
        ("assistant", "reasoning", False),
        ("tool", "tool_result", False),
        ("assistant", "text", False),
        ("tool", "tool_result", True),
        ("user", "text", True),
        ("user", "text", False),
        ("system", "tool_definition", False),
    ]
    sealed = ("gAAAA", "data:image/png;base64,AA", "data:application/pdf;base64,BB", "f", "exec")
    assert all(texts[text].sealed for text in sealed)
    assert texts['{"p": ".env"}'].json
    assert not texts["ls"].json
    assert texts["sk-live-123"].path == ("prompt", "variables", Key("sk-live-123"))


def test_results_name_their_call() -> None:
    request = CODEC.read_request(REQUEST)
    found = [(r.call_id, r.name, r.content, [request.parts[i].text for i in r.parts], r.new) for r in request.results]
    assert found == [
        ("c1", "f", ("input", 4, "output"), ["found"], False),
        ("c2", "exec", ("input", 7, "output"), ["files"], True),
    ]


def test_a_text_as_input() -> None:
    request = CODEC.read_request({"model": "m", "input": "hi", "instructions": None})
    assert [(part.text, part.role, part.kind, part.new) for part in request.parts] == [("hi", "user", "text", True)]


def test_a_socket_message_is_a_request() -> None:
    flat = CODEC.read_request({"type": "response.create", "generate": False, "stream_id": "a"} | REQUEST)
    nested = CODEC.read_request({"type": "response.create", "response": REQUEST, "event": "beside"})
    assert flat.parts == CODEC.read_request(REQUEST).parts
    assert [part.path[1:] for part in nested.parts if part.path[0] == "response"] == [part.path for part in flat.parts]
    assert "beside" in said(nested)
    assert (nested.model, nested.calls, nested.follows, nested.turn) == ("gpt-5", flat.calls, "resp_0", 2)
    assert CODEC.read_request({"type": "response.create", "input": "x"}).stream
    assert [CODEC.begins(m) for m in ({"type": "response.create"}, {"type": "response.cancel"}, REQUEST, None)] == [
        True,
        False,
        False,
        False,
    ]
    steered = {"type": "response.steer", "previous_response_id": "resp_1", "input": [user("rather this")]}
    assert said(CODEC.read_request(steered))["rather this"].role == "user"


@pytest.mark.parametrize(
    ("members", "session"),
    [
        ({"prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53"}, "0199a213-81c0-7800-8aa1-bbab2a035a53"),
        ({"prompt_cache_key": "ses_5e2f"}, "ses_5e2f"),
        ({"prompt_cache_key": "my-app-v1"}, None),
        ({"client_metadata": {"session_id": "s", "thread_id": "t"}}, "s"),
        ({"client_metadata": {"x-codex-turn-metadata": '{"session_id":"s2","turn_id":"u"}'}}, "s2"),
        ({"client_metadata": {"x-codex-turn-metadata": "no json"}}, None),
        ({"client_metadata": "text"}, None),
        ({}, None),
    ],
)
def test_sessions(members: dict[str, Any], session: str | None) -> None:
    assert CODEC.read_request({"input": "x"} | members).session == session


def test_what_a_request_goes_on_with() -> None:
    assert CODEC.read_request({"input": "x", "conversation": "conv_1"}).follows == "conv_1"
    assert CODEC.read_request({"input": "x", "conversation": {"id": "conv_1"}}).follows == "conv_1"
    assert CODEC.read_request({"input": "x"}).follows is None


def test_a_request_that_sums_up() -> None:
    document = {"input": [user("x"), {"type": "compaction_trigger"}]}
    assert CODEC.read_request(document).compacts
    assert not CODEC.read_request({"input": [user("x")]}).compacts
    assert openai_responses.COMPACT.read_request({"input": [user("x")]}).compacts


# items: (item, texts with their roles and kinds, the call with what it says, whether the provider carries it out)

CALLS: list[tuple[dict[str, Any], str, dict[str, Any], bool, str | None]] = [
    (call(arguments='{"p": 1}'), "f", {"p": 1}, False, None),
    (call(arguments='{"p": '), "f", {"input": '{"p": '}, False, None),
    (call(namespace="files", caller={"type": "program", "caller_id": "c0"}), "f", {}, False, None),
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": '{"a": 1}'},
        "exec",
        {"input": '{"a": 1}'},
        False,
        None,
    ),
    (
        {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["ls"], "env": {"K": "v"}}},
        "local_shell",
        {"type": "exec", "command": ["ls"], "env": {"K": "v"}},
        False,
        None,
    ),
    (
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
        "shell",
        {"commands": ["ls"]},
        False,
        None,
    ),
    (
        {"type": "shell_call", "call_id": "c", "action": {}, "environment": {"type": "container_reference"}},
        "shell",
        {},
        True,
        None,
    ),
    (
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "create_file", "path": "p", "diff": "+x"}},
        "apply_patch",
        {"type": "create_file", "path": "p", "diff": "+x"},
        False,
        None,
    ),
    (
        {"type": "computer_call", "call_id": "c", "action": {"type": "type", "text": "typed"}},
        "computer",
        {"type": "type", "text": "typed"},
        False,
        None,
    ),
    (
        {
            "type": "computer_call",
            "call_id": "c",
            "actions": [{"type": "keypress", "keys": ["a"]}],
            "pending_safety_checks": [{"id": "i", "message": "risky"}],
        },
        "computer",
        {"actions": [{"type": "keypress", "keys": ["a"]}]},
        False,
        None,
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"queries": ["q"]}},
        "tool_search",
        {"queries": ["q"]},
        False,
        None,
    ),
    (
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": '{"q": "x"}'},
        "tool_search",
        {"q": "x"},
        True,
        None,
    ),
    (
        {"type": "mcp_approval_request", "id": "mcpr", "name": "ask", "arguments": "{}", "server_label": "wiki"},
        "ask",
        {},
        False,
        "wiki",
    ),
    (
        {"type": "mcp_call", "id": "m", "name": "ask", "arguments": '{"q":1}', "server_label": "wiki", "output": "o"},
        "ask",
        {"q": 1},
        True,
        "wiki",
    ),
    (
        {"type": "mcp_list_tools", "id": "m", "server_label": "wiki", "tools": [{"name": "ask", "description": "d"}]},
        "mcp_list_tools",
        {},
        True,
        "wiki",
    ),
    (
        {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "q", "sources": [{"url": "u"}]}},
        "web_search",
        {"type": "search", "query": "q", "sources": [{"url": "u"}]},
        True,
        None,
    ),
    (
        {"type": "web_search_call", "id": "w", "call_id": "", "name": "web_search", "arguments": '{"query":"q"}'},
        "web_search",
        {"query": "q"},
        True,
        None,
    ),
    (
        {"type": "x_search_call", "id": "x", "call_id": "", "name": "x_semantic_search", "arguments": '{"query":"q"}'},
        "x_semantic_search",
        {"query": "q"},
        True,
        None,
    ),
    (
        {"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"text": "t", "filename": "n"}]},
        "file_search",
        {"queries": ["q"]},
        True,
        None,
    ),
    (
        {"type": "code_interpreter_call", "id": "i", "code": "1+1", "outputs": [{"type": "logs", "logs": "2"}]},
        "code_interpreter",
        {"code": "1+1"},
        True,
        None,
    ),
    (
        {"type": "image_generation_call", "id": "g", "result": "iVBOR", "revised_prompt": "a cat"},
        "image_generation",
        {"revised_prompt": "a cat"},
        True,
        None,
    ),
    ({"type": "brand_new_call", "call_id": "c", "arguments": {"x": "y"}}, "brand_new", {"x": "y"}, False, None),
]


@pytest.mark.parametrize(("item", "name", "arguments", "by_provider", "server"), CALLS)
def test_calls(item: dict[str, Any], name: str, arguments: Any, by_provider: bool, server: str | None) -> None:
    answer = {"output": [says("before"), item]}
    response = CODEC.read_response(answer)
    (told,) = response.calls
    assert (told.name, told.arguments, told.by_provider, told.server) == (name, arguments, by_provider, server)
    assert told.path == ("output", 1)
    assert all(response.parts[i].kind == "tool_call" for i in told.parts)
    assert recorded.unread(answer, response) == []
    assert recorded.misplaced(answer, response) == []
    request = CODEC.read_request({"input": [item, user("x")]})
    assert request.calls == {told.call_id: (name, arguments)}
    assert request.turn == 1


OTHERS: list[tuple[dict[str, Any], dict[str, tuple[str, str, bool]]]] = [
    (
        reasons() | {"content": [{"type": "reasoning_text", "text": "deep"}]},
        {"deep": ("assistant", "reasoning", False)},
    ),
    ({"type": "compaction", "id": "cmp", "encrypted_content": "E"}, {"E": ("other", "text", True)}),
    (
        {"type": "program", "id": "p", "call_id": "c", "code": "await f()", "fingerprint": "F"},
        {"await f()": ("assistant", "tool_call", False), "F": ("other", "text", True)},
    ),
    ({"type": "program_output", "call_id": "c", "result": "r"}, {"r": ("tool", "tool_result", False)}),
    (
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "out", "stderr": "err"}]},
        {"out": ("tool", "tool_result", False), "err": ("tool", "tool_result", False)},
    ),
    (
        {"type": "additional_tools", "role": "developer", "tools": [TOOL]},
        {"does f": ("system", "tool_definition", False)},
    ),
    (
        {"type": "tool_search_output", "call_id": "c", "tools": [{"type": "namespace", "name": "n", "tools": [TOOL]}]},
        {"does f": ("system", "tool_definition", False), "n": ("system", "tool_definition", False)},
    ),
    (
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"no": ("assistant", "text", False)},
    ),
    ({"type": "message", "role": "assistant", "content": "plain"}, {"plain": ("assistant", "text", False)}),
    (
        {"type": "message", "role": "user", "content": [{"type": "brand_new", "body": {"deep": "t"}}]},
        {"t": ("other", "text", False)},
    ),
    (
        {"type": "configuration_update", "id": "i", "text": {"format": {"schema": {"description": "d"}}}},
        {"d": ("other", "text", False)},
    ),
    ({"type": "brand_new", "body": {"deep": "t"}, "arguments": {"a key": 1}}, {"a key": ("other", "text", False)}),
    ({"type": "image_generation_call", "result": "iVBOR"}, {"iVBOR": ("assistant", "media", True)}),
]


@pytest.mark.parametrize(("item", "texts"), OTHERS)
def test_items(item: dict[str, Any], texts: dict[str, tuple[str, str, bool]]) -> None:
    for read, document in (
        (CODEC.read_response, {"output": [item]}),
        (CODEC.read_request, {"input": [item, user("x")]}),
    ):
        found = read(document)
        assert {t: (said(found)[t].role, said(found)[t].kind, said(found)[t].sealed) for t in texts} == texts
        assert recorded.unread(document, found) == []
        assert recorded.misplaced(document, found) == []


RESULTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (result(), {"output": "NO"}),
    (result([{"type": "input_text", "text": "t"}]), {"output": [{"type": "input_text", "text": "NO"}]}),
    ({"type": "custom_tool_call_output", "call_id": "c1", "output": "o"}, {"output": "NO"}),
    ({"type": "local_shell_call_output", "id": "c1", "output": '{"output":"o"}'}, {"output": "NO"}),
    (
        {"type": "shell_call_output", "call_id": "c1", "output": [{"stdout": "o", "stderr": ""}]},
        {"output": [{"stdout": "", "stderr": "NO", "outcome": {"type": "exit", "exit_code": 1}}]},
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed", "output": "o"},
        {"output": "NO", "status": "failed"},
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed"},
        {"output": "NO", "status": "failed"},
    ),
    (
        {"type": "mcp_approval_response", "approval_request_id": "c1", "approve": True},
        {"approve": False, "reason": "NO"},
    ),
    ({"type": "mcp_call", "id": "c1", "name": "ask", "arguments": "{}", "output": "o"}, {"output": "NO"}),
    (
        {"type": "code_interpreter_call", "id": "c1", "code": "x", "outputs": [{"type": "logs", "logs": "o"}]},
        {"outputs": [{"type": "logs", "logs": "NO"}]},
    ),
    (
        {"type": "file_search_call", "id": "c1", "queries": [], "results": [{"text": "o"}]},
        {"results": [{"file_id": "", "filename": "", "score": 0, "attributes": {}, "text": "NO"}]},
    ),
    ({"type": "program_output", "call_id": "c1", "result": "o"}, {"result": "NO"}),
    ({"type": "brand_new_call_output", "call_id": "c1", "output": "o"}, {"output": "NO"}),
]


@pytest.mark.parametrize(("item", "changed"), RESULTS)
def test_results_are_denied_in_their_own_shape(item: dict[str, Any], changed: dict[str, Any]) -> None:
    document = {"input": [user("x"), item]}
    (found,) = CODEC.read_request(document).results
    assert (found.call_id, found.new) == ("c1", True)
    out = orjson.loads(splice(orjson.dumps(document), CODEC.deny_result(document, found, "NO")))
    assert out == {"input": [user("x"), item | changed]}


def test_a_denied_picture_is_blank_and_told_of() -> None:
    shot = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA"}
    document = {"input": [{"type": "computer_call_output", "call_id": "c1", "output": shot}, user("x")]}
    (found,) = CODEC.read_request(document).results
    blank, notice, last = orjson.loads(splice(orjson.dumps(document), CODEC.deny_result(document, found, "NO")))[
        "input"
    ]
    assert (blank["call_id"], blank["output"]["type"]) == ("c1", "computer_screenshot")
    assert blank["output"]["image_url"] != shot["image_url"]
    assert notice["content"] == [{"type": "input_text", "text": "NO"}]
    assert last == user("x")


def test_failed_results() -> None:
    failed = [
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed"},
        {"type": "mcp_approval_response", "approval_request_id": "c", "approve": False},
        {"type": "mcp_call", "id": "c", "output": "o", "error": "e"},
    ]
    assert [found.is_error for found in CODEC.read_request({"input": failed}).results] == [True] * 3
    assert not CODEC.read_request({"input": [result()]}).results[0].is_error


def test_calls_without_a_result_have_none() -> None:
    items = [{"type": "mcp_call", "id": "m", "output": None}, {"type": "file_search_call", "id": "f", "results": None}]
    assert list(CODEC.read_request({"input": items}).results) == []


def test_tools_offered_on_the_way() -> None:
    search = {"type": "tool_search_output", "tools": [{"type": "namespace", "name": "n", "tools": [TOOL]}]}
    wrapped = {"type": "function", "function": {"name": "g"}}
    more = {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "exec"}, wrapped]}
    assert list(CODEC.read_request({"input": [search, more]}).tools) == ["n", "f", "exec", "g"]


# whole answers

ANSWER: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "instructions": "sys",
    "tools": [TOOL],
    "output": [reasons(), says("Let me look."), call(call_id="c1"), call("g", call_id="c2")],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 2},
    },
}


def test_an_answer_is_read() -> None:
    response = CODEC.read_response(ANSWER)
    assert (response.model, response.stop_reason, response.keeps) == ("gpt-5", "completed", "resp_1")
    assert response.usage == Usage(input=10, output=3, cache_read=8, cache_write=1)
    assert [told.call_id for told in response.calls] == ["c1", "c2"]
    assert said(response)["Let me look."].kind == "text"


def test_what_the_client_sent_itself_is_no_answer() -> None:
    response = CODEC.read_response(
        ANSWER | {"instructions": [{"type": "message", "role": "system", "content": "list"}]}
    )
    assert [(said(response)[t].role, said(response)[t].kind) for t in ("list", "does f")] == [
        ("system", "tool_definition"),
        ("system", "tool_definition"),
    ]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"status": "incomplete"}, "incomplete"),
        ({"status": "failed", "error": {"code": "server_error", "message": "oh"}}, "failed"),
        ({"status": "in_progress"}, None),
        ({"status": "queued"}, None),
        ({}, None),
    ],
)
def test_why_an_answer_ended(members: dict[str, Any], reason: str | None) -> None:
    assert CODEC.read_response({"id": "resp_1", "output": []} | members).stop_reason == reason


def test_answers_in_a_conversation_are_kept_there() -> None:
    assert CODEC.read_response({"id": "resp_1", "conversation": {"id": "conv_1"}, "output": []}).keeps == "conv_1"


def test_answers_without_usage() -> None:
    assert CODEC.read_response({"id": "resp_1", "usage": None}).usage is None


def test_a_list_of_items_is_read_and_calls_nothing() -> None:
    document = {"object": "list", "data": [user([{"type": "input_text", "text": "hi"}]), call()], "first_id": "msg_1"}
    response = CODEC.read_response(document)
    assert (list(response.calls), said(response)["hi"].role, response.keeps) == ([], "user", None)
    assert recorded.unread(document, response) == []


def test_copies_of_a_text_follow_its_edit() -> None:
    logprobs = [{"token": "s", "bytes": [115], "top_logprobs": []}]
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 6}
    answer = {"output": [says("secret", logprobs=logprobs, annotations=[note])]}
    response = CODEC.read_response(answer)
    assert recorded.unread(answer, response) == []
    (index,) = [i for i, part in enumerate(response.parts) if part.text == "secret"]
    assert {part for part, _ in response.when_edited} == {index}
    out = orjson.loads(splice(orjson.dumps(answer), [change for _, change in response.when_edited]))
    assert out == {"output": [says("secret")]}
    assert {"u", "t"} <= said(response).keys()


# cuts


def cut(document: dict[str, Any], *indexes: int) -> Any:
    response = CODEC.read_response(document)
    changes = CODEC.cut_calls(document, response, {index: f"NO {index}" for index in indexes})
    return orjson.loads(splice(orjson.dumps(document), changes))


def notice(item: Any) -> str:
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["id"].startswith("msg_")
    assert len(item["id"]) <= 64
    (piece,) = item["content"]
    assert (piece["type"], piece["annotations"]) == ("output_text", [])
    return str(piece["text"])


def test_calls_become_messages() -> None:
    out = cut(ANSWER, 0, 1)
    assert [notice(item) for item in out["output"][2:]] == ["\n\nNO 0", "\n\nNO 1"]
    assert out["output"][2]["id"] != out["output"][3]["id"]
    assert out["output"][:2] == ANSWER["output"][:2]
    assert {name: value for name, value in out.items() if name != "output"} == {
        name: value for name, value in ANSWER.items() if name != "output"
    }


def test_a_call_that_stays_is_kept() -> None:
    assert cut(ANSWER, 0)["output"][3] == ANSWER["output"][3]


def test_reasoning_goes_with_its_call() -> None:
    alone = cut({"output": [reasons(), call()]}, 0)
    assert [notice(item) for item in alone["output"]] == ["NO 0"]
    two = cut({"output": [reasons("rs_1"), call(), reasons("rs_2"), says("so")]}, 0)
    assert [item["type"] for item in two["output"]] == ["message", "reasoning", "message"]
    several = cut({"output": [reasons("rs_1"), reasons("rs_2"), call(call_id="a"), call(call_id="b")]}, 0, 1)
    assert [notice(item) for item in several["output"]] == ["NO 0", "\n\nNO 1"]


def test_reasoning_stays_with_a_call_that_stays() -> None:
    out = cut({"output": [reasons(), call(call_id="a"), call(call_id="b")]}, 0)
    assert [item["type"] for item in out["output"]] == ["reasoning", "message", "function_call"]


def test_a_request_after_a_cut_is_mended() -> None:
    ours = cut({"output": [call()]}, 0)["output"][0]
    document = {"input": [user("a"), reasons(), ours, user("b"), reasons("rs_2"), says("so")]}
    out = orjson.loads(splice(orjson.dumps(document), mend(document)))
    assert out["input"] == [user("a"), ours, user("b"), reasons("rs_2"), says("so")]


def test_calls_of_the_same_turn_lose_what_pairs_them() -> None:
    ours = cut({"output": [call()]}, 0)["output"][0]
    document = {
        "type": "response.create",
        "response": {"input": [reasons(), ours, call(call_id="b"), result("o", "b")]},
    }
    out = orjson.loads(splice(orjson.dumps(document), mend(document)))["response"]["input"]
    kept = {name: value for name, value in call(call_id="b").items() if name != "id"}
    assert out == [ours, kept, result("o", "b")]


def test_references_to_messages_that_nobody_knows() -> None:
    ours = {"type": "item_reference", "id": cut({"output": [call()]}, 0)["output"][0]["id"]}
    document = {"input": [user("a"), {"type": "item_reference", "id": "rs_1"}, ours, user("b")]}
    out = orjson.loads(splice(orjson.dumps(document), mend(document)))
    assert out["input"] == [user("a"), user("b")]


@pytest.mark.parametrize("document", [REQUEST, {"input": "x"}, {}, None, [], {"input": [None, "x", 1, {"id": 1}]}])
def test_nothing_is_mended_where_nothing_was_cut(document: Any) -> None:
    assert mend(document) == []


def test_what_was_cut_in_a_stream_and_whole_is_the_same_message() -> None:
    first, second = (cut({"output": [call(call_id="c1")]}, 0)["output"][0]["id"] for _ in range(2))
    assert first == second
    assert first != cut({"output": [call(call_id="c2")]}, 0)["output"][0]["id"]


# anything

NAMES = [
    "type",
    "role",
    "content",
    "text",
    "id",
    "call_id",
    "name",
    "arguments",
    "input",
    "action",
    "output",
    "tools",
    "summary",
    "logprobs",
    "annotations",
    "code",
    "operation",
    "results",
    "signature",
]
TYPES = [
    "message",
    "reasoning",
    "function_call",
    "mcp_call",
    "shell_call",
    "program",
    "x_call",
    "additional_tools",
    "function_call_output",
    "computer_call_output",
    "mcp_approval_response",
    "code_interpreter_call",
    "new",
]

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, "a b"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
items = st.builds(
    lambda kind, item: item | {"type": kind} if isinstance(item, dict) else item, st.sampled_from(TYPES), json
)


@given(st.one_of(json, st.builds(lambda held, more: {"input": held, "tools": more}, st.lists(items, max_size=3), json)))
def test_any_request_is_read_whole(document: Any) -> None:
    request = CODEC.read_request(document)
    assert recorded.unread(document, request) == []
    assert recorded.misplaced(document, request) == []
    for found in request.results:
        splice(orjson.dumps(document), CODEC.deny_result(document, found, "NO"))
    mend(document)


@given(st.one_of(json, st.builds(lambda held, more: {"output": held, "text": more}, st.lists(items, max_size=3), json)))
def test_any_answer_is_read_whole_and_cut(document: Any) -> None:
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    assert recorded.misplaced(document, response) == []
    assert len({part.path for part in response.parts}) == len(response.parts)
    cuts = {index: "NO" for index, told in enumerate(response.calls) if not told.by_provider}
    out = orjson.loads(splice(orjson.dumps(document), CODEC.cut_calls(document, response, cuts)))
    left = CODEC.read_response(out)
    assert all(told.by_provider for told in left.calls)


# what midstream says itself


@pytest.mark.parametrize("path", [(), ("response",)])
def test_inject(path: tuple[str, ...]) -> None:
    def injected(value: Any) -> Any:
        document: Any = {"type": "response.create", "response": {"input": value}} if path else {"input": value}
        out = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "X")))
        return (out["response"] if path else out)["input"]

    added = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "X"}]}
    assert injected("hi") == "hi\n\nX"
    assert injected([user("hi")]) == [user("hi\n\nX")]
    parts = [{"type": "input_text", "text": "hi"}]
    assert injected([user(parts)]) == [user([*parts, {"type": "input_text", "text": "X"}])]
    assert injected([user("hi"), call(), result()]) == [user("hi"), call(), result(), added]
    assert injected([]) == [added]
    trigger = {"type": "compaction_trigger"}
    assert injected([user("hi"), trigger]) == [user("hi"), added, trigger]


@pytest.mark.parametrize("document", [{}, {"input": None}, None, {"prompt": {"id": "p"}}])
def test_no_place_for_a_text(document: Any) -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject(document, "X")


def test_refusals() -> None:
    error = orjson.loads(CODEC.refusal(400, "no"))["error"]
    assert (error["message"], error["type"]) == ("no", "invalid_request_error")
    assert CODEC.socket_refusal is not None
    (event,) = CODEC.socket_refusal(400, "no")
    assert orjson.loads(event) == {"type": "error", "status": 400, "error": error}


def test_its_own_answer_is_read_back() -> None:
    response = CODEC.read_response(trees.parse(CODEC.message("m", "t")))
    assert (response.model, response.stop_reason, said(response)["t"].role) == ("m", "completed", "assistant")
