"""Results for calls that were cut out of an answer which OpenAI keeps (`previous_response_id`, `conversation`).

Without them the next request is refused: "No tool output found for function call call_…" (openai-agents-python 673; of
local shells, 1855; of custom tools, OmniRoute 8946). They stand before what the client says, as if it had called.
"""

from collections.abc import Sequence

import orjson

from proxy.codecs import Json, Owed, Path
from proxy.codecs.openai_responses.request import body_path
from proxy.codecs.openai_responses.results import BLANK
from proxy.codecs.splicing import Append, Change, Insert, Replace
from proxy.codecs.walk import table


def answer_kept(document: Json, owed: Sequence[Owed]) -> list[Change]:
    """Adds a result for each call to the input."""
    if not owed:
        return []
    body = body_path(document)
    path: Path = (*body, "input")
    root = table(document)
    given = table(root["response"] if body else root).get("input")
    results = [*map(_result, owed), *_told(owed)]
    if isinstance(given, list):
        texts = map(orjson.dumps, results)
        return [Insert((*path, 0), text) for text in texts] if given else [Append(path, text) for text in texts]
    said = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else []
    return [Replace(path, orjson.dumps([*results, *said]))]


def _result(owed: Owed) -> dict[str, Json]:
    """A result in the shape of its call."""
    made: dict[str, Json] = {"type": f"{owed.form}_output", "call_id": owed.call_id}
    match owed.form:
        case "mcp_approval_request":
            answer = {"approval_request_id": owed.call_id, "approve": False, "reason": owed.notice}
            return {"type": "mcp_approval_response", **answer}
        case "tool_search_call":
            return made | {"type": "tool_search_output", "execution": "client", "status": "completed", "tools": []}
        case "local_shell_call":
            said = {"stdout": "", "stderr": owed.notice, "exit_code": 1}
            return made | {"output": orjson.dumps(said).decode()}
        case "shell_call":
            return made | {"output": [{"stdout": "", "stderr": owed.notice, "outcome": _FAILED}]}
        case "apply_patch_call":
            return made | {"status": "failed", "output": owed.notice}
        case "computer_call":
            return made | {"output": {"type": "computer_screenshot", "image_url": BLANK}}
        case _:
            return made | {"output": owed.notice}


_FAILED = {"type": "exit", "exit_code": 1}
_WORDLESS = ("computer_call", "tool_search_call")


def _told(owed: Sequence[Owed]) -> list[dict[str, Json]]:
    """Notices of calls whose results have no words."""
    notices = [{"type": "input_text", "text": each.notice} for each in owed if each.form in _WORDLESS]
    return [{"type": "message", "role": "user", "content": notices}] if notices else []
