"""The short way for the chunk that comes most: one more piece of the text that came before, and counts.

Only whether a chunk is one of those; it is never the only way to read it (`candidate`).
"""

from typing import Final

from proxy.codecs import Json, Path
from proxy.codecs.walk import LONGEST_WORD

TEXT: Final[Path] = ("candidates", 0, "content", "parts", 0, "text")

_WORDS: Final = frozenset({"modelVersion", "responseId", "createTime"})
_CHUNK: Final = _WORDS | {"candidates", "usageMetadata"}
_CANDIDATE: Final = frozenset({"content", "index"})
_CONTENT: Final = frozenset({"parts", "role"})
_COUNTS: Final = frozenset(
    [
        "promptTokenCount",
        "candidatesTokenCount",
        "totalTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "toolUsePromptTokenCount",
    ]
)
_USAGE_WORDS: Final = frozenset({"trafficType", "serviceTier"})
_DETAILS: Final = frozenset({"promptTokensDetails", "candidatesTokensDetails", "cacheTokensDetails"})
_DETAIL: Final = frozenset({"modality", "tokenCount"})


def flowing_text(event: Json) -> str | None:
    """The text, of a chunk of one candidate that says nothing else."""
    if type(event) is not dict or not event.keys() <= _CHUNK:
        return None
    candidates = event.get("candidates")
    if type(candidates) is not list or len(candidates) != 1 or type(candidates[0]) is not dict:
        return None
    text = _text(candidates[0])
    if text is None or not all(_short(event.get(name)) for name in _WORDS):
        return None
    return text if _counts(event.get("usageMetadata")) else None


def _text(candidate: dict[str, Json]) -> str | None:
    """The text of a first candidate that has only one."""
    content = candidate.get("content")
    if not candidate.keys() <= _CANDIDATE or candidate.get("index", 0) != 0:
        return None
    if type(content) is not dict or not content.keys() <= _CONTENT or not _short(content.get("role")):
        return None
    parts = content.get("parts")
    if type(parts) is not list or len(parts) != 1 or type(parts[0]) is not dict or len(parts[0]) != 1:
        return None
    text = parts[0].get("text")
    return text if type(text) is str and text else None


def _short(value: Json) -> bool:
    return value is None or (type(value) is str and len(value) <= LONGEST_WORD)


def _counts(used: Json) -> bool:
    """Whether token counts hold no text."""
    if used is None:
        return True
    if type(used) is not dict:
        return False
    for name, value in used.items():
        if name in _COUNTS:
            if type(value) is not int:
                return False
        elif name in _USAGE_WORDS:
            if not _short(value):
                return False
        elif name not in _DETAILS or type(value) is not list or not all(map(_is_detail, value)):
            return False
    return True


def _is_detail(detail: Json) -> bool:
    if type(detail) is not dict or not detail.keys() <= _DETAIL:
        return False
    return type(detail.get("tokenCount")) is int and _short(detail.get("modality"))
