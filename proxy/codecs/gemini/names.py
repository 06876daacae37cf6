"""Google's names of members: camelCase and snake_case mean the same (ProtoJSON), in one object too.

Only spelling lives here; what a member means is read where it stands.
"""

from collections.abc import Mapping
from functools import cache
from re import sub

from proxy.codecs import Json


def camel(name: str) -> str:
    """The name as it is in JSON by itself: `function_call` is `functionCall`."""
    if "_" not in name:
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


@cache
def _snake(name: str) -> str:
    return sub("([A-Z])", lambda match: "_" + match[1].lower(), name)


def spelling(members: Mapping[str, Json], name: str) -> str:
    """How an object spells a member (of a fixed, camelCase name); that name if it has none."""
    other = _snake(name)
    return other if name not in members and other in members else name


def member(members: Mapping[str, Json], name: str) -> Json:
    """A member in either spelling, None where there is none."""
    return members.get(spelling(members, name))
