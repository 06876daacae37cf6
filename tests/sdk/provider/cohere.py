"""Cohere's chat, v2 (server-sent events) and v1 (JSON lines), and embeddings (API reference: "Chat", "Streaming")."""

from collections.abc import Iterator
from typing import Any

from proxy.demo.answers import Answer, Call, Raw, Received
from tests.sdk.provider.writing import VECTOR, arguments, data, document, lines, sse, stream


def chat(request: Received, answer: Answer) -> Raw:
    """`POST /v2/chat`. What is said beside a call is the `tool_plan`."""
    if request.json.get("stream"):
        events = (*_events(answer), b"data: [DONE]\n\n")
        return sse(events, answer)
    message: dict[str, Any] = {"role": "assistant"}
    if answer.calls:
        message |= {"tool_plan": answer.text, "tool_calls": [_call(part, part.arguments) for part in answer.calls]}
    else:
        message["content"] = [{"type": "text", "text": answer.text}]
    return document({"id": "standin", "message": message, "finish_reason": _finish(answer), "usage": _usage(answer)})


def _finish(answer: Answer) -> str:
    return "TOOL_CALL" if answer.calls else "COMPLETE"


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    return {"billed_units": tokens, "tokens": tokens}


def _call(part: Call, written: str) -> dict[str, Any]:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": written}}


def _events(answer: Answer) -> Iterator[bytes]:
    opening = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield data({"id": "standin", "type": "message-start", "delta": {"message": opening}}, "message-start")
    yield from _plan_and_calls(answer) if answer.calls else _content(answer)
    yield _event("message-end", delta={"finish_reason": _finish(answer), "usage": _usage(answer)})


def _event(name: str, /, **members: Any) -> bytes:
    return data({"type": name, **members}, name)


def _said(name: str, index: int, /, **message: Any) -> bytes:
    return _event(name, index=index, delta={"message": message})


def _content(answer: Answer) -> Iterator[bytes]:
    yield _said("content-start", 0, content={"type": "text", "text": ""})
    for part in answer.content:
        assert not isinstance(part, Call)
        yield from (_said("content-delta", 0, content={"text": piece}) for piece in part.pieces)
    yield _event("content-end", index=0)


def _plan_and_calls(answer: Answer) -> Iterator[bytes]:
    index = 0
    for part in answer.content:
        if isinstance(part, Call):
            yield _said("tool-call-start", index, tool_calls=_call(part, ""))
            for fragment in part.fragments:
                yield _said("tool-call-delta", index, tool_calls={"function": {"arguments": fragment}})
            yield _event("tool-call-end", index=index)
            index += 1
        else:
            yield from (_event("tool-plan-delta", delta={"message": {"tool_plan": piece}}) for piece in part.pieces)


# v1


def chat_v1(request: Received, answer: Answer) -> Raw:
    """`POST /v1/chat`; streamed as JSON lines, and the last line repeats everything."""
    if request.json.get("stream"):
        return stream("application/stream+json", lines(_events_v1(answer)), answer)
    return document(_response_v1(answer))


def _calls_v1(answer: Answer) -> list[dict[str, Any]]:
    return [{"name": part.name, "parameters": arguments(part)} for part in answer.calls]


def _response_v1(answer: Answer) -> dict[str, Any]:
    calls = {"tool_calls": _calls_v1(answer)} if answer.calls else {}
    return {
        "response_id": "standin",
        "text": answer.text,
        "generation_id": "standin",
        "chat_history": [{"role": "CHATBOT", "message": answer.text}],
        "finish_reason": "COMPLETE",
        "meta": {"api_version": {"version": "1"}, **_usage(answer)},
        **calls,
    }


def _events_v1(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"is_finished": False, "event_type": "stream-start", "generation_id": "standin"}
    for part in answer.content:
        if not isinstance(part, Call):
            for piece in part.pieces:
                yield {"is_finished": False, "event_type": "text-generation", "text": piece}
    if answer.calls:
        yield {"is_finished": False, "event_type": "tool-calls-generation", "tool_calls": _calls_v1(answer)}
    response = _response_v1(answer)
    yield {"is_finished": True, "event_type": "stream-end", "response": response, "finish_reason": "COMPLETE"}


def embeddings(request: Received, answer: Answer) -> Raw:
    """`POST /v2/embed`."""
    texts = request.json["texts"]
    billed = {"billed_units": {"input_tokens": answer.input_tokens}}
    vectors = {"float": [VECTOR] * len(texts)}
    return document({"id": "standin", "embeddings": vectors, "texts": texts, "meta": billed})
