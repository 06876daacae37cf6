"""Events that carry whole pieces beside the growing texts: parts of content, sources, outputs of commands, media.

Each is told in the item that it belongs to; which event is which is `stream`'s business.
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_responses.answer import Answer
from proxy.codecs.openai_responses.items import piece_copies, read_piece
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import Parts, number, table

PARTS: Final[Mapping[str, tuple[str, str]]] = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}


def read_part_of(channels: Channels, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
    """A piece of a message's content or of reasoning, as it begins or as it is complete."""
    subject, _, step = str(root.get("type")).rpartition(".")
    holder, index = PARTS[subject]
    place: Path = (holder, number(root.get(index)))
    item = answer.item(root)
    parts = Parts()
    read_piece(parts, root.get("part"), ("part",))
    for part in parts.out:
        item.texts.tell(said, part, (*place, *part.path[1:]), begins=step == "added")
    for at, change in piece_copies(root.get("part"), ("part",)):
        item.follows(said, (*place, *at[1:]), change)
    item.touch(said, ())
    channels.rest(said, root, (), frozenset({"part"}))


def read_annotation(channels: Channels, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
    """A source of the text, with offsets into it: left out where the text was edited."""
    item = answer.item(root)
    place: Path = ("content", number(root.get("content_index")))
    parts = Parts()
    parts.walk(root.get("annotation"), ("annotation",), "assistant", "text")
    for part in parts.out:
        at = (*place, "annotations", number(root.get("annotation_index")), *part.path[1:])
        item.texts.tell(said, part, at, begins=False)
    item.follows(said, (*place, "text"), Remove(()))
    channels.rest(said, root, (), frozenset({"annotation"}))


def read_shell_output(channels: Channels, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
    """What a command in the provider's container printed: its two texts grow beside each other."""
    item = answer.item(root)
    index = number(root.get("command_index"))
    delta = table(root.get("delta"))
    for name, text in delta.items():
        if isinstance(text, str) and text and name in ("stdout", "stderr"):
            item.grows(said, "tool_result", ("output", index, name), ("delta", name), text)
    grown = {name for name in ("stdout", "stderr") if isinstance(delta.get(name), str)}
    channels.rest(said, delta, ("delta",), frozenset(grown))
    channels.rest(said, root, (), frozenset({"delta"} if delta else ()))


def read_shell_outputs(channels: Channels, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
    """The same, complete."""
    item = answer.item(root)
    first = number(root.get("command_index"))
    parts = Parts()
    parts.walk(root.get("output"), ("output",), "tool", "tool_result")
    for part in parts.out:
        offset, inner = (part.path[1], part.path[2:]) if len(part.path) > 1 else (0, ())
        at = first + offset if isinstance(offset, int) else 0
        item.texts.tell(said, part, ("output", at, *inner), begins=False)
    channels.rest(said, root, (), frozenset({"output"}))


def read_media(channels: Channels, said: Said, answer: Answer, root: Mapping[str, Json]) -> None:
    """A picture or a sound in base64."""
    member = "partial_image_b64" if "partial_image_b64" in root else "delta"
    parts = Parts()
    parts.walk(root.get(member), (member,), "assistant", "media", sealed=isinstance(root.get(member), str))
    channels.once(parts.out, said)
    channels.rest(said, root, (), frozenset({member}))
