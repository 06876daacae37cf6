"""The next request of a conversation is accepted after a denial or an edit, by providers as strict as the real ones."""

from collections.abc import Sequence

import orjson
import pytest

from tests.conformance.strict import FORMS, LIST, MAIL, WEATHER, Form, RefusedError, Turn
from tests.conformance.strict.talk import SocketTalk, Talk, exchange, runtime
from tests.judging import REDACT

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
ADDRESS = "grace.hopper@" + "navy-lab.org"

SCRIPT = (
    Turn("I look first.", "The user wants to know.", [(WEATHER, {"what": "Oslo"}), (MAIL, {"what": "a letter"})]),
    Turn("", "One more.", [(LIST, {"what": "/srv"})]),
    Turn("That is all."),
    Turn("Once more.", "Again both.", [(WEATHER, {"what": "Rome"}), (MAIL, {"what": "a card"})]),
    Turn("Good bye."),
)
"""Two calls beside each other, one alone without a word, an answer without any, and the first two once more."""


def denying(*calls: str, results: Sequence[str] = ()) -> str:
    points = [("pre_tool_execution", name) for name in calls] + [("post_tool_execution", name) for name in results]
    rules = [
        f"  - {{id: no-{name}-{at[:3]}, at: {at}, tools: [{name}], verdict: deny, reason: it stays}}\n"
        for at, name in points
    ]
    return "version: 1\nrules:\n" + "".join(rules) if rules else "version: 1\n"


INJECT = """
version: 1
rules:
  - {id: context, at: pre_llm_request, verdict: modify, edit: {inject: Today is Monday.}}
  - {id: no-mail, at: pre_tool_execution, tools: [send_mail], verdict: deny, reason: it stays}
"""

each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
each_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
each_denial = pytest.mark.parametrize(
    "denied",
    [(), (WEATHER,), (MAIL,), (LIST,), (WEATHER, MAIL), (WEATHER, LIST), (WEATHER, MAIL, LIST)],
    ids=lambda denied: "+".join(denied) or "none",
)


@each_form
@each_way
@each_denial
def test_every_next_request_is_accepted_whichever_calls_are_denied(
    form: Form, streamed: bool, denied: tuple[str, ...]
) -> None:
    talk = Talk(form, runtime(denying(*denied)), streamed).over("How is it?", SCRIPT)
    assert [call.name for call in talk.heard] == [
        name for turn in SCRIPT for name, _ in turn.calls if name not in denied
    ]
    assert len(talk.sent) == len(SCRIPT)
    for tool in denied:
        # the client was told, and the model is told by what comes back
        assert any(f"no-{tool}".encode() in answer for answer in talk.answers)
        assert f"no-{tool}".encode() in b"".join(talk.sent)


@each_form
@each_way
@pytest.mark.parametrize("denied", [(), (MAIL,)], ids=["alone", "with-a-denied-call"])
def test_a_denied_result_leaves_its_call_answered(form: Form, streamed: bool, denied: tuple[str, ...]) -> None:
    rules = denying(*denied, results=[WEATHER, LIST])
    talk = Talk(form, runtime(rules), streamed, results="Rain in Spain.").over("How is it?", SCRIPT)
    told = b"".join(talk.sent)
    assert b"The result of get_weather was denied" in told and b"The result of list_files was denied" in told
    assert (b"Rain in Spain." in told) is (MAIL not in denied)


EDITED = (
    Turn(f"The key is {SECRET}, {ADDRESS} has it.", "No keys here.", [(WEATHER, {"what": f"Oslo {SECRET}"})]),
    Turn("", f"I think of {ADDRESS}.", [(MAIL, {"what": f"to {ADDRESS}"}), (LIST, {"what": f"/home/{SECRET}"})]),
    Turn(f"Sent to {ADDRESS}."),
    Turn("Good bye."),
)


@each_form
@each_way
def test_every_next_request_is_accepted_when_texts_are_edited(form: Form, streamed: bool) -> None:
    """Secrets redacted and addresses replaced in what the user says, in answers, arguments and results."""
    talk = Talk(form, runtime(REDACT), streamed, f"{ADDRESS} wrote {SECRET}", f"Ask {ADDRESS}.")
    talk.over(f"Use {SECRET} for {ADDRESS}", EDITED)
    assert len(talk.sent) == len(EDITED)
    assert SECRET.encode() not in b"".join([*talk.sent, *talk.answers])
    assert all(SECRET not in str(call) for call in talk.heard)
    assert [call.arguments for call in talk.heard if call.name == MAIL] == [{"what": f"to {ADDRESS}"}]


@each_form
@each_way
def test_every_next_request_is_accepted_with_context_added_to_it(form: Form, streamed: bool) -> None:
    talk = Talk(form, runtime(INJECT), streamed).over("How is it?", SCRIPT)
    assert all(b"Today is Monday." in request for request in talk.sent)


HOLD = """
version: 1
rules:
  - {id: no-keys, at: post_llm_response, find: [secret], verdict: deny, reason: keys stay}
"""
HELD = (
    Turn("Hello."),
    Turn(f"The key is {SECRET}.", "Let me see.", [(WEATHER, {"what": "Oslo"}), (MAIL, {"what": "it"})]),
    Turn("", "Well.", [(LIST, {"what": "/srv"})]),
    Turn("Good bye."),
)


@each_form
def test_the_request_after_a_denied_answer_is_accepted(form: Form) -> None:
    """What stands in its place ends the turn; where the provider keeps the denied one, its calls are answered."""
    talk = Talk(form, runtime(HOLD), streamed=True).over("How is it?", HELD)
    assert [call.name for call in talk.heard] == [LIST]
    assert b"denied by rule no-keys" in talk.answers[1] and SECRET[:8].encode() not in talk.answers[1]


# the provider remembers

KEPT = {name: form for name, form in FORMS.items() if name.endswith(("previous", "conversation"))}
each_memory = pytest.mark.parametrize("form", KEPT.values(), ids=KEPT.keys())


@each_memory
@each_way
def test_a_provider_that_remembers_a_cut_call_refuses_a_request_without_its_output(form: Form, streamed: bool) -> None:
    """So it is midstream's output that has it accept the conversations above."""
    talk = Talk(form, runtime(denying(MAIL)), streamed)
    talk.client.say("How is it?")
    talk.step(SCRIPT[0])
    with pytest.raises(RefusedError, match="No tool output found for custom tool call"):
        talk.provider.ask(talk.client.request(streamed=streamed))


@each_memory
@each_way
def test_a_retry_of_the_next_request_is_answered_again(form: Form, streamed: bool) -> None:
    """Nothing of a failed request stays in the provider's memory."""
    talk = Talk(form, runtime(denying(MAIL)), streamed)
    talk.client.say("How is it?")
    talk.step(SCRIPT[0])
    for _ in range(3):  # no answer to the first two
        talk._ask(exchange(talk.running, form.codec), talk.client.request(streamed=streamed))
    talk.step(SCRIPT[2])
    assert len({*talk.sent[1:]}) == 1


@each_memory
@each_way
def test_an_output_is_given_once(form: Form, streamed: bool) -> None:
    """After the answer to it nothing is owed; nor is what the client answers itself."""
    talk = Talk(form, runtime(denying(MAIL)), streamed).over("How is it?", (*SCRIPT[:1], *SCRIPT[1:3]))
    assert [b"custom_tool_call_output" in request for request in talk.sent] == [False, True, False]
    call_id = orjson.loads(talk.sent[1])["input"][0]["call_id"]
    own = Talk(form, runtime(denying(MAIL)), streamed)
    own.client.say("How is it?")
    own.step(SCRIPT[0])
    request = own.client.request(streamed=streamed)
    request["input"] = [{"type": "custom_tool_call_output", "call_id": call_id, "output": "I know."}, *request["input"]]
    assert exchange(own.running, form.codec).on_request(orjson.dumps(request)).body is None


# over a WebSocket

SOCKET = KEPT["openai_responses-previous"]


@each_denial
def test_every_next_message_of_a_socket_is_accepted_whichever_calls_are_denied(denied: tuple[str, ...]) -> None:
    talk = SocketTalk(SOCKET, runtime(denying(*denied)), True).over("How is it?", SCRIPT)
    assert [call.name for call in talk.heard] == [
        name for turn in SCRIPT for name, _ in turn.calls if name not in denied
    ]
    assert len(talk.sent) == len(SCRIPT)


def test_every_next_message_of_a_socket_is_accepted_when_texts_are_edited_and_results_denied() -> None:
    results = denying(LIST, results=[WEATHER]).partition("rules:\n")[2]
    talk = SocketTalk(SOCKET, runtime(REDACT + results), True, f"{ADDRESS} wrote {SECRET}", f"Ask {ADDRESS}.")
    talk.over(f"Use {SECRET} for {ADDRESS}", EDITED)
    assert SECRET.encode() not in b"".join([*talk.sent, *talk.answers])
    assert [call.arguments for call in talk.heard if call.name == MAIL] == [{"what": f"to {ADDRESS}"}]
    assert any(b"The result of get_weather was denied" in request for request in talk.sent)


def test_the_message_after_a_denied_answer_of_a_socket_is_accepted() -> None:
    talk = SocketTalk(SOCKET, runtime(HOLD), True).over("How is it?", HELD)
    assert [call.name for call in talk.heard] == [LIST]


def test_a_new_connection_goes_on_where_the_old_one_left() -> None:
    """Another connection of the same agent follows the same response (Codex reconnects)."""
    talk = SocketTalk(SOCKET, runtime(denying(MAIL, LIST)), True)
    talk.client.say("How is it?")
    for turn in SCRIPT:
        talk.socket = talk.connect()
        talk.step(turn)
    assert len(talk.sent) == len(SCRIPT)


# in the history, where things stand


@each_way
def test_a_notice_behind_a_call_comes_before_it_when_it_comes_back(streamed: bool) -> None:
    """Claude wants calls last (claude-code 473, mecatl 1465); the notice stays readable, and moves as it is."""
    talk = Talk(FORMS["anthropic"], runtime(denying(MAIL)), streamed).over("How is it?", SCRIPT[:2])
    assert [block["type"] for block in talk.client.request(streamed=False)["messages"][1]["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "text",
    ]
    thought, said, notice, call = orjson.loads(talk.sent[1])["messages"][1]["content"]
    assert (thought["type"], said["text"], call["name"]) == ("thinking", "I look first.", WEATHER)
    assert "no-send_mail" in notice["text"]


def test_a_notice_moves_with_the_edits_made_in_it() -> None:
    """The name of a denied tool may itself be what a policy redacts."""
    turn = Turn("", "Hm.", [(WEATHER, {"what": "Oslo"}), (SECRET, {"what": "it"})])
    up = "  - {id: secrets, at: pre_llm_request, find: [secret], verdict: modify, edit: redact}\n"
    rules = denying(SECRET).replace(f"no-{SECRET}-pre", "no-it") + up
    talk = Talk(FORMS["anthropic"], runtime(rules)).over("How is it?", [turn, Turn("Good bye.")])
    kinds = [block["type"] for block in orjson.loads(talk.sent[1])["messages"][1]["content"]]
    assert kinds == ["thinking", "text", "tool_use"]
    assert b"The call of [REDACTED" in talk.sent[1] and SECRET.encode() not in talk.sent[1]
