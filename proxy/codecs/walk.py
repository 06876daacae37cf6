"""Turning JSON into parts: every string of a document becomes one, but for the short words of its structure.

Only what all formats share lives here: names of sealed fields, ids and enumerations, media payloads, arbitrary
objects. What a place means (role, kind) is the codecs' business.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from proxy.codecs import Json, Key, Kind, Part, Path
from proxy.codecs.trees import PLAIN_NAME, leaves

SEALED: Final = frozenset(
    [
        "signature",
        "thought_signature",
        "thoughtSignature",
        "encrypted_content",
        "encryptedContent",
        "encrypted_index",
        "encrypted_stdout",
        "redactedContent",
        "fingerprint",
        "fallback_credit_token",
        "continuationToken",
        "continuation_token",
        "googleMapsWidgetContextToken",
        "google_maps_widget_context_token",
        "newHandle",
        "new_handle",
        "requestState",
    ]
)
"""Names whose string is signed, encrypted or opaque in every format (wire-formats §12)."""

_SEALED_DATA: Final = frozenset({"redacted_thinking", "reasoning.encrypted"})
"""Block types whose `data` is."""

STRUCTURE: Final = frozenset(
    [
        "type",
        "role",
        "object",
        "model",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "file_id",
        "event_id",
        "item_id",
        "previous_item_id",
        "previous_response_id",
        "approval_request_id",
        "container_id",
        "caller_id",
        "stream_id",
        "response_id",
        "conversation_id",
        "thread_id",
        "assistant_id",
        "run_id",
        "message_id",
        "log_id",
        "responseId",
        "interaction_id",
        "previous_interaction_id",
        "cachedContent",
        "cached_content",
        "modelVersion",
        "model_version",
        "createTime",
        "create_time",
        "event_type",
        "media_type",
        "mimeType",
        "mime_type",
        "modality",
        "trafficType",
        "traffic_type",
        "serviceTier",
        "toolType",
        "tool_type",
        "format",
        "finish_reason",
        "finishReason",
        "stop_reason",
        "stopReason",
        "native_finish_reason",
        "service_tier",
        "system_fingerprint",
        "obfuscation",
        "event_type",
        "done_reason",
        "generation_id",
        "response_id",
        "conversation_id",
        "created_at",
        "completed_at",
    ]
)
"""Names whose string is an enumeration, an id or padding. Longer than LONGEST_WORD it is a sealed part all the same:
ids of some gateways carry signatures, and nothing that could hold a text goes unseen."""

LONGEST_WORD: Final = 128

ARBITRARY: Final = frozenset({"input", "arguments", "args", "metadata", "variables", "input_examples", "location"})
"""Names of objects whose members belong to the user or the tool, not to the format: nothing in them is structure."""

_MEDIA: Final = frozenset({"image_url", "video_url", "file_url", "document_url", "file_data", "input_audio", "audio"})


class Parts:
    """Collects the parts of one document, in document order."""

    def __init__(self) -> None:
        self.out: list[Part] = []
        self.new = True
        """Whether parts added from now on come after the last assistant turn."""

    def add(self, path: Path, text: str, role: str, kind: Kind, *, sealed: bool = False, json: bool = False) -> None:
        """One part."""
        self.out.append(Part(path, text, role, kind, sealed, json, self.new))

    def walk(self, value: Json, path: Path, role: str, kind: Kind, sealed: bool = False) -> None:
        """Every string in a value of the format's own."""
        if isinstance(value, str):
            self.add(path, value, role, kind, sealed=sealed)
        elif isinstance(value, dict):
            self._members(value, path, role, kind, sealed)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, str | dict | list):  # embeddings have thousands of numbers
                    self.walk(item, (*path, index), role, kind, sealed)

    def walk_any(self, value: Json, path: Path, role: str, kind: Kind, sealed: bool = False) -> None:
        """Every string, name and long integer of an arbitrary value."""
        for inner, text in leaves(value):
            self.add((*path, *inner), text, role, kind, sealed=sealed)

    def members(self, value: Mapping[str, Json], path: Path, role: str, kind: Kind, skip: frozenset[str]) -> None:
        """Every member of an object but those that the codec reads itself."""
        self._members({name: item for name, item in value.items() if name not in skip}, path, role, kind, False)

    def _members(self, value: Mapping[str, Json], path: Path, role: str, kind: Kind, sealed: bool) -> None:
        # Models sign their own words only: elsewhere a member of that name must not hide its neighbours.
        signed = sealed or (bool(value.get("signature")) and (kind == "reasoning" or role == "assistant"))
        for name, item in value.items():
            self._name(name, path, role, kind)
            here = (*path, name)
            if isinstance(item, str):
                self._string(value, name, item, here, role, kind, signed)
            elif name in ARBITRARY:
                self.walk_any(item, here, role, kind, sealed)
            elif isinstance(item, dict | list):
                self.walk(item, here, role, kind, signed if name == "thinking" else sealed)

    def _string(
        self, value: Mapping[str, Json], name: str, text: str, path: Path, role: str, kind: Kind, signed: bool
    ) -> None:
        if name in STRUCTURE:
            if len(text) > LONGEST_WORD:
                self.add(path, text, role, kind, sealed=True)
        elif name in SEALED or (name == "data" and word(value.get("type")) in _SEALED_DATA):
            self.add(path, text, role, kind, sealed=True)
        elif _payload(value, name, text, path):
            self.add(path, text, role, "media", sealed=True)
        elif signed:
            self.add(path, text, role, "reasoning" if name in ("thinking", "text") else kind, sealed=True)
        else:
            self.add(path, text, role, "media" if name in _MEDIA else kind)

    def _name(self, name: str, path: Path, role: str, kind: Kind) -> None:
        if not PLAIN_NAME.fullmatch(name):
            self.add((*path, Key(name)), name, role, kind)


def _payload(value: Mapping[str, Json], name: str, text: str, path: Path) -> bool:
    """Whether a string is media as such: a data: URL, base64, not an address or a text."""
    if name == "data":
        return value.get("type") == "base64" or (len(path) > 1 and path[-2] in _MEDIA)
    if name == "input_audio":  # Mistral: base64 as it is, or an address
        return "://" not in text[:16]
    if name == "bytes":  # Bedrock
        return len(path) > 1 and path[-2] == "source"
    return text.startswith("data:") and (name in _MEDIA or name == "url")


def arguments(text: str) -> Mapping[str, Any]:
    """A call's arguments from their JSON text, read as leniently as any client might.

    {"input": text} for what is no JSON object: free-text tools, calls cut short. `NaN` and lone surrogates are read
    too, so that no client sees arguments that a policy did not.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            value = text
    if isinstance(value, dict):
        return value
    return {"input": value} if value != "" else {}


def word(value: Json) -> str | None:
    """A string, or None for anything else."""
    return value if isinstance(value, str) else None


def number(value: Json) -> int:
    """A count: 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def table(value: Json) -> Mapping[str, Json]:
    """An object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def array(value: Json) -> Sequence[Json]:
    """An array, empty for anything else."""
    return value if isinstance(value, list) else ()
