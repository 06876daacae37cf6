"""One answer of a stream: its items, and what the events about the answer as a whole repeat. Events are `stream`'s."""

from collections.abc import Mapping

from proxy.codecs import Channel, Json, Path
from proxy.codecs.channels import Channels, Said
from proxy.codecs.openai_responses.calls import item_type
from proxy.codecs.openai_responses.document import keeps, read_envelope, read_usage, stop_reason
from proxy.codecs.openai_responses.item import Item
from proxy.codecs.openai_responses.texts import Texts
from proxy.codecs.walk import Parts, array, table, word


class Answer:
    """State of one answer."""

    def __init__(self, channels: Channels, lane: Channel) -> None:
        self._channels = channels
        self._lane = lane
        self._items: dict[int | str, Item] = {}
        self._by_call: dict[tuple[str, str], Item] = {}
        self._envelope = Texts(channels, (*lane, "response"))
        self.spoke = False
        """It has said something."""

    def item(self, root: Mapping[str, Json]) -> Item:
        """The item that an event speaks of."""
        index = root.get("output_index")
        return self._at(index if isinstance(index, int) else 0)

    def _at(self, index: int | str) -> Item:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item(self._channels, (*self._lane, index))
        return item

    def carry(self, said: Said, root: Mapping[str, Json], *, begins: bool) -> None:
        """An item that is added or done."""
        self._carry(said, self.item(root), root.get("item"), ("item",), begins=begins)

    def _carry(self, said: Said, item: Item, given: Json, path: Path, *, begins: bool) -> None:
        if item.call is None:
            item.after_text = self.spoke
        item.carry(said, given, path, begins=begins)
        if call_id := word(table(given).get("call_id")):
            self._by_call[item.kind, call_id] = item
        self.spoke |= item.kind == "message"

    def response(self, said: Said, response: Mapping[str, Json], *, over: bool) -> None:
        """The answer as a whole, as it begins, goes on or is over."""
        output = response.get("output")
        for position, given in enumerate(array(output)):
            item = self._same(given, position)
            self._carry(said, item, given, ("response", "output", position), begins=not over)
        if not isinstance(output, list):
            self._channels.walked(said, output, ("response", "output"))
        parts = Parts()
        read_envelope(parts, response, ("response",))
        for part in parts.out:
            self._envelope.tell(said, part, part.path[1:], begins=False)
        said.model = word(response.get("model"))
        said.keeps = keeps(response)
        said.usage = read_usage(response.get("usage"))
        if over:
            said.stop = stop_reason(response)
            said.calls += self.calls()
            said.closes += self.close()

    def _same(self, given: Json, position: int) -> Item:
        """The item that one of a whole answer is: by its call's id, else by its position.

        Gateways leave items out of the answer, or put them in another order.
        """
        members = table(given)
        kind, call_id = item_type(members), word(members.get("call_id")) or ""
        if (kind, call_id) in self._by_call:
            return self._by_call[kind, call_id]
        item = self._items.get(position)
        if item is None or item.kind in ("", kind):
            return self._at(position)
        return self._at(f"other {position}")

    def calls(self) -> list[Channel]:
        """Every call so far that the client carries out, in order."""
        mine = [item for item in self._items.values() if item.call is not None and not item.call.by_provider]
        return [channel for item in mine for channel in item.calls]

    def close(self) -> list[Channel]:
        """Everything of this answer is complete."""
        return [*self._envelope.close(), *(channel for item in self._items.values() for channel in item.close())]
