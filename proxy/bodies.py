"""What becomes of any body of an exchange: refused, spliced, or, where it is no document, scanned as one text.

Which events it stands for, and who decides them, is `answers`' and `exchange`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxy import texts
from proxy.codecs import AmbiguousError, DecodeError, Part
from proxy.codecs.codec import Codec, Syntax
from proxy.codecs.splicing import Change
from proxy.context import Context, fingerprint
from proxy.decision import Verdict
from proxy.effects.redact import apply
from proxy.events import Point
from proxy.judge import Found, Judge, Ordered, Runtime, notice

STOP_RETRYING: Final = (("x-should-retry", "false"),)
"""With 400, this header and the provider's error JSON agents stop at once and show the message (clients-notes)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A denial in the provider's own shape."""

    status: int
    message: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = STOP_RETRYING


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a body: refused, replaced (`body`), or, both None, forwarded as it came."""

    body: bytes | None = None
    refusal: Refusal | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers that change with it: their new values, None for one that goes."""


UNTOUCHED: Final = Outcome()


class Bodies:
    """The bodies of one exchange, in whatever direction."""

    def __init__(self, runtime: Runtime, codec: Codec, context: Context) -> None:
        self.judge = Judge(runtime, context)
        self.policy = runtime.policy
        self.context = context
        self.codec = codec
        self.problems: list[str] = []
        """What could not be read as what it claims to be, in words without content."""

    def refuse(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = STOP_RETRYING) -> Refusal:
        """A refusal in this exchange's provider's shape."""
        body = self.codec.refusal(status, message)
        if self.codec.refusal_head is not None:
            return Refusal(200, message, body, tuple(self.codec.refusal_head(status, message)))
        return Refusal(status, message, body, headers)

    def _undecodable(self, body: bytes, point: Point, error: DecodeError) -> Outcome:
        """A body that is no JSON: denied if the policy denies what is unrecognised, else scanned as one plain text.

        What another reader may read otherwise, a request or an answer, is denied in any case: it could hide anything.
        """
        up = point is Point.PRE_LLM_REQUEST
        if up or not is_prose(body):
            self.problems.append(f"{'request' if up else 'response'}: {error}")
        if self.policy.unrecognised == "deny" and not self._expects(body, up):
            return self._unread(f"the policy denies what it cannot read: {error}")
        text = body.decode("utf-8", "surrogateescape")
        units = [texts.Unit(0, text)]
        found = self._look(units, point)
        if self.context.format is not None and (up or self._looks_at_answers):
            if isinstance(error, AmbiguousError) or not is_utf8(body) or not (up or is_prose(body)):
                return self._unread(f"it can be read in more than one way: {error}")
            if len(self._look([texts.Unit(0, texts.unescaped(text))], point)) > len(found):
                return self._unread(f"escapes in it hide what the policy looks for: {error}")
        refusal, decided = self._judge_text(units, found, point, body)
        if refusal:
            return Outcome(refusal=refusal)
        edits = self.judge.edits(decided + self.judge.restorations(found))
        if not edits:
            return UNTOUCHED
        return Outcome(body=apply(text, edits[0][1]).encode("utf-8", "surrogateescape"))

    def _expects(self, body: bytes, up: bool) -> bool:
        """Whether a body that is no document is one that the format has all the same."""
        return False

    def _look(self, units: Sequence[texts.Unit], point: Point) -> list[Found]:
        """What is found in a body that is no document."""
        up = point is Point.PRE_LLM_REQUEST
        return self.judge.scan(units, self.policy.classes_at(point) if up else self.judge.response_classes(point))

    def _judge_text(
        self, units: Sequence[texts.Unit], found: Sequence[Found], point: Point, body: bytes
    ) -> tuple[Refusal | None, list[Ordered]]:
        """Decide a body that is no document, as one text."""
        if not self.judge.tells(point):
            return None, []
        decision, ordered = self.judge.decide(point, fingerprint(body), found)
        if decision.verdict is Verdict.DENY:
            return self.refuse(decision.status or 400, notice(decision, "this body")), []
        return None, ordered

    @property
    def _looks_at_answers(self) -> bool:
        points = (Point.POST_LLM_RESPONSE, Point.PRE_TOOL_EXECUTION)
        return any(self.policy.rules_at(point) for point in points) or bool(len(self.judge.pseudonyms))

    def _unread(self, why: str) -> Outcome:
        return Outcome(refusal=self.refuse(400, f"[midstream] This body is none of the format's, and {why}"))

    def _spliced(
        self,
        body: bytes,
        parts: Sequence[Part],
        ordered: Sequence[Ordered],
        changes: Sequence[Change],
        when_edited: Sequence[tuple[int, Change]] = (),
        *,
        syntax: Syntax | None = None,
    ) -> Outcome:
        """The body with everything spliced in. Edits inside a value that is replaced or removed go with it.

        `when_edited`: what follows from an edit of a part (repetitions by token, offsets into it).
        """
        edits = self.judge.edits(ordered)
        edited = {unit.part for unit, unit_edits in edits if unit_edits}
        following = dict.fromkeys(change for part, change in when_edited if part in edited)
        every = [*changes, *texts.changes(parts, edits), *following]
        syntax = syntax or self.codec.syntax
        return Outcome(body=syntax.splice(body, every)) if every else UNTOUCHED


def is_prose(body: bytes) -> bool:
    """Whether an answer is text or HTML, which no reader takes for a document of the format."""
    return not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def is_utf8(body: bytes) -> bool:
    """Whether every reader takes it for UTF-8: some guess UTF-16 and UTF-32 from zero bytes (RFC 4627 §3)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body
