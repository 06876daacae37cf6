"""What a request must leave out because a call was cut out of an earlier answer, so that it is accepted.

OpenAI keeps which item followed a reasoning item, and refuses one without it: "Item 'rs_…' of type 'reasoning' was
provided without its required following item", and the reverse for what followed. Nor does it know midstream's message.
What is left out depends on the items alone, so the conversation's prefix stays the same on every turn.
"""

from collections.abc import Sequence

from proxy.codecs import Json
from proxy.codecs.openai_responses.calls import is_call, item_type
from proxy.codecs.openai_responses.request import body_path
from proxy.codecs.openai_responses.writer import OURS
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import array, table, word


def mend(document: Json) -> list[Change]:
    """Takes out reasoning before messages in the place of cut calls, and references to such messages.

    Calls of the same turn lose their own ids (not their call's), which is how OpenAI knows them to need that reasoning.
    """
    path = (*body_path(document), "input")
    root = table(document)
    items = array(table(root["response"] if len(path) > 1 else root).get("input"))
    changes: list[Change] = []
    position = 0
    while position < len(items):
        end = _turn(items, position)
        changes += [Remove((*path, *place)) for place in _mended(items, position, end)]
        position = end + 1
    return changes


def _turn(items: Sequence[Json], position: int) -> int:
    """Where the model's items that begin here end."""
    while position < len(items) and _is_of_turn(items[position]):
        position += 1
    return position


def _is_of_turn(item: Json) -> bool:
    members = table(item)
    kind = item_type(members)
    said = kind == "message" and members.get("role") == "assistant"
    return said or kind in ("reasoning", "item_reference") or is_call(kind)


def _is_ours(item: Json) -> bool:
    return (word(table(item).get("id")) or "").startswith(OURS)


def _is_reasoning(item: Json) -> bool:
    members = table(item)
    refers = item_type(members) == "item_reference" and (word(members.get("id")) or "").startswith("rs_")
    return refers or item_type(members) == "reasoning"


def _mended(items: Sequence[Json], start: int, end: int) -> list[tuple[int | str, ...]]:
    places: list[tuple[int | str, ...]] = []
    mine = range(start, end)
    for position in mine:
        if not _is_ours(items[position]):
            continue
        before = position
        while before > start and _is_reasoning(items[before - 1]):
            before -= 1
            places.append((before,))
        if item_type(table(items[position])) == "item_reference":
            places.append((position,))
        elif before < position:
            places += _unpaired(items, position + 1, end)
    return sorted(set(places), key=str)


def _unpaired(items: Sequence[Json], start: int, end: int) -> list[tuple[int | str, ...]]:
    """The ids of calls that came of the reasoning that is left out."""
    places: list[tuple[int | str, ...]] = []
    for position in range(start, end):
        if _is_reasoning(items[position]):
            break
        members = table(items[position])
        if is_call(item_type(members)) and members.get("call_id") and "id" in members:
            places.append((position, "id"))
    return places
