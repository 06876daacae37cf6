"""Cutting calls out of a run. A run waits for the outputs of all its calls at once, and goes on with none of them alone
("submit tool outputs", OpenAI API reference): so where one is denied the run is told as failed, with the notice, and no
call of it is left to the client.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Channel, Json, Path, Reading, Response
from proxy.codecs.framings import Event, Frame
from proxy.codecs.openai_assistants.objects import CALLS, at
from proxy.codecs.splicing import Change, Remove, Replace, splice
from proxy.codecs.walk import array, number, table

_FAILED: Final = "thread.run.failed"


class Writer:
    """Cuts calls out of one stream, event by event."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> Sequence[Event] | None:
        """See `StreamWriter`."""
        notices = {path: cuts[channel] for path, channel in reading.entries if channel in cuts}
        if not notices:
            return None
        if any(path[: len(CALLS)] == CALLS for path in notices):
            return [Event(event.name and _FAILED, splice(event.data, _failed(document, (), list(notices.values()))))]
        arrays: dict[Path, list[Path]] = {}
        for path in notices:
            arrays.setdefault(path[:-1], []).append(path)
        if _only_calls(document) and all(len(of) == len(array(at(document, holder))) for holder, of in arrays.items()):
            return []
        return [Event(event.name, splice(event.data, [Remove(path) for path in notices]))]


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def _only_calls(document: Json) -> bool:
    return table(document).get("object") == "thread.run.step.delta"


def _failed(document: Json, path: Path, notices: Sequence[str]) -> list[Change]:
    """The run at `path` as one that failed with these notices."""
    error = {"code": "server_error", "message": "\n\n".join(notices)}
    changes: list[Change] = [
        Replace((*path, "status"), b'"failed"'),
        Replace((*path, "required_action"), b"null"),
        Replace((*path, "last_error"), orjson.dumps(error)),
    ]
    run = table(at(document, path))
    if "failed_at" in run:
        changes.append(Replace((*path, "failed_at"), b"%d" % number(run.get("created_at"))))
    return changes


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """The runs whose calls are denied, as failed."""
    notices: dict[Path, list[str]] = {}
    for index, text in cuts.items():
        notices.setdefault(response.calls[index].path[: -len(CALLS) - 1], []).append(text)
    return [change for path, texts in notices.items() for change in _failed(document, path, texts)]
