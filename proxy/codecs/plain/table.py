"""Formats without conversation or tools, read by a table of their members' names: who says what, and what is opaque.

Every string is a part; a table only says whose. Bodies may be forms (`multipart`). Which tables there are is
`formats`', what grows in streams `stream`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.codecs import Json, Path, Request, Response
from proxy.codecs.multipart.form import SDP, Form
from proxy.codecs.splicing import Change, Remove, Replace
from proxy.codecs.trees import PLAIN_NAME
from proxy.codecs.walk import ARBITRARY, LONGEST_WORD, Parts, array, number, table, word
from proxy.events import Usage

_NONE: Final = frozenset[str]()
_NUMBERS: Final = {int, float}
"""Vectors and token ids come by the thousand."""

_SWITCHES: Final = ("true", "false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The members of one format, by name, at any depth."""

    asks: frozenset[str] = _NONE
    """What the user says, in requests; in answers the same, said again."""
    instructs: frozenset[str] = _NONE
    answers: frozenset[str] = _NONE
    """What the model says."""
    sealed: frozenset[str] = _NONE
    """Media and vectors, as base64."""
    limits: tuple[Path, ...] = ()
    """Where a request bounds its output tokens."""
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By a text's name: members beside it that say it again in pieces, taken out once it was edited."""


def read_request(of: Table, document: Json) -> Request:
    """A request's body: a JSON document, or a form."""
    parts = Parts()
    if isinstance(document, Form):
        members: Mapping[str, Json] = _form(parts, of, document)
    else:
        members = table(document)
        _Walk(parts, _asked(of), of.sealed, frozenset()).tell(document, (), "other")
    limit = next((found for path in of.limits if (found := number(at(document, path)))), None)
    model = word(members.get("model")) or word(members.get("model_id"))
    return Request(model, members.get("stream") in (True, "true"), parts.out, max_output=limit)


def read_response(of: Table, document: Json) -> Response:
    """A whole answer, or an error."""
    parts, root = Parts(), table(document)
    tell_answer(parts, of, document)
    copies = [(index, change) for index, part in enumerate(parts.out) for change in _copies(of, document, part.path)]
    said = next((table(result) for result in array(root.get("results"))), root)
    stop = word(said.get("stop_reason")) or word(said.get("finish_reason"))
    return Response(word(root.get("model")), parts.out, (), stop, read_usage(root), when_edited=copies)


def tell_answer(parts: Parts, of: Table, document: Json, skip: frozenset[Path] = frozenset()) -> None:
    """Every string of what came down, but for those at `skip`."""
    roles = dict.fromkeys(of.asks, "user") | dict.fromkeys(of.answers, "assistant")
    _Walk(parts, roles, of.sealed, skip).tell(document, (), "other")


def _asked(of: Table) -> Mapping[str, str]:
    return dict.fromkeys(of.asks, "user") | dict.fromkeys(of.instructs, "system")


class _Walk(NamedTuple):
    """What holds for the whole of a document."""

    parts: Parts
    roles: Mapping[str, str]
    sealed: frozenset[str]
    skip: frozenset[Path]

    def tell(self, value: Json, path: Path, role: str) -> None:
        """Every string in `value`, which stands at `path` in what `role` says."""
        if isinstance(value, str):
            self.parts.add(path, value, role, "text")
        elif isinstance(value, list) and not set(map(type, value)) <= _NUMBERS:
            for index, item in enumerate(value):
                self.tell(item, (*path, index), role)
        elif isinstance(value, dict):
            told = {name for name, item in value.items() if self._member(name, item, (*path, name), role)}
            self.parts.members(value, path, role, "text", frozenset(told))

    def _member(self, name: str, item: Json, path: Path, role: str) -> bool:
        """Whether a member is told here, as the table or the member's value wants it."""
        if path in self.skip:
            return True
        if name in self.sealed:
            self._seal(item, path, role)
        elif name in self.roles and name in ARBITRARY and isinstance(item, dict):
            self.parts.walk_any(item, path, self.roles[name], "text")
        elif name in self.roles:
            self.tell(item, path, self.roles[name])
        elif isinstance(item, dict | list) and name not in ARBITRARY:
            self.parts.members({name: None}, path[:-1], role, "text", frozenset())
            self.tell(item, path, role)
        else:
            return False
        return True

    def _seal(self, value: Json, path: Path, role: str) -> None:
        """Media and vectors; addresses of media are texts."""
        if isinstance(value, str):
            self.parts.add(path, value, role, "media", sealed=not value.startswith(("http://", "https://")))
        elif isinstance(value, list) and not set(map(type, value)) <= _NUMBERS:
            for index, item in enumerate(value):
                self._seal(item, (*path, index), role)
        elif isinstance(value, dict):
            self.tell(value, path, role)


def _copies(of: Table, document: Json, path: Path) -> Iterator[Change]:
    last = path[-1] if path else None
    for name in of.copies.get(last, ()) if isinstance(last, str) else ():
        copy = table(at(document, path[:-1])).get(name)
        if copy is not None:
            here = (*path[:-1], name)
            yield Replace(here, b"[]") if isinstance(copy, list) else Remove(here)


def at(document: Json, path: Path) -> Json:
    """What stands at a path; None where nothing does."""
    for step in path:
        if isinstance(step, int):
            document = document[step] if isinstance(document, list) and step < len(document) else None
        else:
            document = table(document).get(step) if isinstance(step, str) else None
    return document


# forms


def _form(parts: Parts, of: Table, form: Form) -> Mapping[str, Json]:
    """Every text of a form; its fields by name."""
    fields: dict[str, Json] = {}
    roles = _asked(of)
    for index, part in enumerate(form["parts"]):
        path, name, text = ("parts", index), part.get("name", ""), part.get("text")
        fields.setdefault(name, text)
        role = roles.get(name, "user" if "filename" in part or not name else "other")
        is_sdp = str(part.get("type", "")).lower().startswith(SDP)  # an edited one connects to nothing
        if not PLAIN_NAME.fullmatch(name.removesuffix("[]")):
            parts.walk(name, (*path, "name"), "other", "text")
        for member in ("filename", "type", "headers"):
            parts.members({member: part.get(member)}, path, "other", "text", frozenset())
        is_word = name == "model" and text is not None and len(text) <= LONGEST_WORD
        if not (is_word or (name == "stream" and text in _SWITCHES)):
            parts.walk(text, (*path, "text"), role, "text", sealed=is_sdp)
        for member in ("json", "lines"):
            parts.walk_any(part.get(member), (*path, member), role, "text")
    return fields


_INPUT: Final = ("prompt_tokens", "input_tokens", "input_token_count", "num_tokens_prompt_total", "total_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "generated_token_count", "num_tokens_generated")


def read_usage(root: Mapping[str, Json]) -> Usage | None:
    """Token counts under any of the names that these formats have for them."""
    billed = table(root.get("meta")).get("billed_units")
    used = table(root.get("usage")) or table(billed) or next((table(each) for each in array(root.get("results"))), root)
    told = [next((found for name in names if (found := number(used.get(name)))), 0) for names in (_INPUT, _OUTPUT)]
    return Usage(input=told[0], output=told[1]) if any(told) else None
