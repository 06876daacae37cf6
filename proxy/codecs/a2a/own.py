"""What midstream says itself in this protocol.

An agent answers with a message or a task, as it likes: a denial is always an error, which every client shows.
"""

from collections.abc import Mapping

from proxy.codecs import Json, Request, ToolResult
from proxy.codecs.jsonrpc import Message, answers, at, deny, error
from proxy.codecs.splicing import Change


def answer_calls(document: Json, request: Request, notices: Mapping[int, str]) -> bytes:
    """The JSON answer to a POST of which messages are denied."""
    return answers(document, {request.makes[index].path: notice for index, notice in notices.items()}, _answer)


def _answer(message: Message, notice: str) -> dict[str, Json]:
    return {"error": error(notice)}


def deny_result(document: Json, result: ToolResult, notice: str) -> list[Change]:
    """An error in the place of all that a message says."""
    return deny(at(document, result.content[:1] if isinstance(document, list) else ()), notice)
