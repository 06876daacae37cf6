"""Notices in the place of cut calls, when the message that says them comes back in the history of a request.

Only what formats with content blocks share lives here. A stream may have told one call when the next is denied, so that
a notice stands behind a call. Claude's API wants calls last: text behind them has been refused ("Did not find 1
`tool_result` block(s) at the beginning of this message", claude-code 473; under extended thinking, mecatl 1465).
"""

from collections.abc import Callable, Mapping
from typing import Final

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.splicing import Change, Insert, Remove
from proxy.codecs.walk import array, table

OURS: Final = "[midstream] "
"""How every notice begins."""


def says_notice(text: Json) -> bool:
    """Whether a text is a notice."""
    return isinstance(text, str) and text.lstrip("\n").startswith(OURS)


def before_calls(
    document: Json, is_call: Callable[[Mapping[str, Json]], bool], is_reasoning: Callable[[Mapping[str, Json]], bool]
) -> list[Change]:
    """Puts notices that stand behind a call before the first call of their message.

    Depends on the message alone, so that the conversation's prefix is the same on every turn. A notice behind reasoning
    stays: no message may end with that.
    """
    changes: list[Change] = []
    for number, message in enumerate(map(table, array(table(document).get("messages")))):
        if message.get("role") != "assistant":
            continue
        first = -1
        before: Mapping[str, Json] = {}
        for index, block in enumerate(map(table, array(message.get("content")))):
            here: Path = ("messages", number, "content")
            if first < 0 and is_call(block):
                first = index
            elif first >= 0 and says_notice(block.get("text")) and not is_reasoning(before):
                changes += [Remove((*here, index)), Insert((*here, first), orjson.dumps(block))]
            before = block
    return changes
