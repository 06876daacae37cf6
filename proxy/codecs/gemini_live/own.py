"""Cutting calls out of what the server sends, and what midstream says itself on the connection."""

from collections.abc import Mapping, Sequence

import orjson

from proxy.codecs import Channel, Json, Reading
from proxy.codecs.framings import Event, Frame
from proxy.codecs.gemini.own import error
from proxy.codecs.gemini.writer import Entry, cut
from proxy.codecs.splicing import splice
from proxy.codecs.walk import table


class Writer:
    """Cuts calls out of one answer: a message that calls nothing else gives way to one that says so."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        gone = {path: cuts[channel] for path, channel in reading.entries if channel in cuts}
        if not gone:
            return None
        text = "\n\n".join(dict.fromkeys(gone.values()))
        kept = [path for path, _ in reading.entries if path not in gone]
        if not kept and all(path[0] != "serverContent" for path in gone) and len(table(document)) == 1:
            return [Event(event.name, says(text, ends=True))]
        entries = [Entry(path, "", True) for path in gone]
        notice = Event(event.name, says(text, ends=False))
        return [notice, Event(event.name, splice(event.data, cut(document, entries)))]


def stream_writer() -> Writer:
    """A writer for one answer."""
    return Writer()


def says(text: str, *, ends: bool) -> bytes:
    """A server's message that says `text`. With no call left to wait for, the turn is over for the client."""
    turn: dict[str, Json] = {"modelTurn": {"role": "model", "parts": [{"text": text}]}}
    return orjson.dumps({"serverContent": turn | ({"turnComplete": True} if ends else {})})


def message(model: str | None, text: str) -> bytes:
    """An answer that says `text`."""
    return says(text, ends=True)


def message_stream(model: str | None, text: str) -> Sequence[Event]:
    """The same as its only message."""
    return (Event(None, says(text, ends=True)),)


def socket_refusal(status: int, text: str) -> Sequence[bytes]:
    """One message. Google's SDK takes one without any member it knows for an error, its `code` for the status."""
    told = error(status, text)
    return (orjson.dumps({**told, "error": told}),)
