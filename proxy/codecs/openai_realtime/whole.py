"""What a server's message carries whole: items, content parts, answers. Each string of them is told again wherever
the item is; what becomes of a text that is told again is `tellings`'.
"""

from collections.abc import Mapping

from proxy.codecs import Channel, Json, Path
from proxy.codecs.channels import Said
from proxy.codecs.openai_realtime.document import read_usage
from proxy.codecs.openai_realtime.items import read_content, read_item
from proxy.codecs.tellings import Tellings
from proxy.codecs.walk import Parts, array, table, word


def numbered(root: Mapping[str, Json]) -> str:
    """A name for an item whose id a message does not tell."""
    return f"{word(root.get('response_id')) or ''} {root.get('output_index')}"


def tell_item(
    said: Said, texts: Tellings, item: Json, path: Path, otherwise: str, *, begins: bool, ends: bool
) -> Channel | None:
    """An item at `path`; the channel of the call it is. `otherwise`: its name, should it have no id.

    `begins`: a call that was not told of before is the model's. `ends`: the item is complete.
    """
    members, parts = table(item), Parts()
    key = word(members.get("id")) or word(members.get("call_id")) or otherwise
    base: Channel = ("tool_call", key)
    call = read_item(parts, item, path).call
    if call is None or not (begins or texts.called(base)):  # else the client's own, of an earlier conversation
        texts.parts(said, parts, key, len(path))
        return None
    texts.call(said, base, path, members, by_provider=call.by_provider)
    given = members.get("arguments")
    told = {(*path, "name")}
    if isinstance(given, str):
        told.add((*path, "arguments"))
        if given:
            texts.arguments(said, base, (*path, "arguments"), given)
    if ends:
        texts.complete(said, base)
    parts.out = [part for part in parts.out if part.path not in told]
    texts.parts(said, parts, key, len(path))
    return texts.called(base)


def tell_part(said: Said, texts: Tellings, part: Json, key: str, content: int) -> None:
    """A content part of the item `key`."""
    parts = Parts()
    read_content(parts, part, ("part",), "assistant")
    texts.parts(said, parts, key, 1, ("content", content))


def tell_response(said: Said, texts: Tellings, root: Mapping[str, Json], *, ends: bool) -> None:
    """The answer in `root`, with every item of it."""
    response = table(root["response"])
    output = response.get("output")
    for index, item in enumerate(array(output)):
        otherwise = numbered({"response_id": response.get("id"), "output_index": index})
        path = ("response", "output", index)
        channel = tell_item(said, texts, item, path, otherwise, begins=True, ends=ends)
        said.calls += [channel] if channel is not None else []
    skip = frozenset({"output"}) if isinstance(output, list) else frozenset()
    texts.channels.rest(said, response, ("response",), skip)
    if ends:
        details = table(response.get("status_details"))
        said.stop = word(details.get("reason")) or word(response.get("status"))
        said.usage = read_usage(response.get("usage")) or read_usage(root.get("usage"))
        said.end = True
