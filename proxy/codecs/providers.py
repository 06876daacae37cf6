"""Which provider a request goes to, and which codec reads it: the rows of providers.yaml, compiled once.

First matching row wins. Hosts and paths are globs; knowledge of formats is in the codecs.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache
from importlib.resources import files
from posixpath import normpath
from typing import Any, NamedTuple
from urllib.parse import unquote

import yaml

from proxy.codecs import (
    Json,
    a2a,
    anthropic,
    anthropic_complete,
    bedrock_agent,
    bedrock_checks,
    bedrock_converse,
    bedrock_invoke,
    cohere_v1,
    cohere_v2,
    gemini,
    gemini_interactions,
    gemini_live,
    jsonrpc,
    mcp,
    mistral_chat,
    mistral_conversations,
    mistral_fim,
    ollama,
    ollama_web,
    openai_assistants,
    openai_chat,
    openai_completions,
    openai_realtime,
    openai_responses,
    plain,
    unrecognised,
    xai_grpc,
)
from proxy.codecs.a2a import detect as a2a_requests
from proxy.codecs.codec import Codec
from proxy.codecs.mcp import detect as mcp_requests

_CODECS: Mapping[str, Codec] = {
    each.name: each
    for each in (
        anthropic.CODEC,
        anthropic.COUNT,
        anthropic.BATCHES,
        anthropic.BATCH_RESULTS,
        openai_chat.CODEC,
        mcp.CODEC,
        a2a.CODEC,
        openai_realtime.CODEC,
        openai_realtime.OVER_HTTP,
        openai_responses.CODEC,
        openai_responses.COMPACT,
        openai_responses.AUX,
        openai_completions.CODEC,
        anthropic_complete.CODEC,
        *xai_grpc.CODECS,
        mistral_chat.CODEC,
        mistral_fim.CODEC,
        mistral_conversations.CODEC,
        cohere_v2.CODEC,
        cohere_v1.CODEC,
        cohere_v1.GENERATE,
        ollama.CODEC,
        ollama.GENERATE,
        ollama_web.CODEC,
        gemini.CODEC,
        gemini.EMBEDDING,
        gemini.ADMIN,
        gemini_interactions.CODEC,
        gemini_live.CODEC,
        bedrock_converse.CODEC,
        bedrock_invoke.CODEC,
        bedrock_agent.CODEC,
        bedrock_agent.RETRIEVAL,
        bedrock_agent.FLOW,
        bedrock_checks.CODEC,
        openai_assistants.CODEC,
        openai_assistants.THREADS,
        *plain.CODECS,
        unrecognised.CODEC,
    )
}


_NO_HEADERS: Mapping[str, str] = {}


class Route(NamedTuple):
    """A provider (`gen_ai.provider.name`), and the codec that reads this path of it.

    None for `codec`: the provider's host, but a path that no codec reads. It is scanned as plain strings.
    """

    provider: str
    codec: str | None
    asks_usage: bool = False
    """Streams of this provider count tokens only where the request asks for it."""
    model: str | None = None
    """The model, where the path names it (Gemini, Bedrock, Azure)."""
    streams: bool = False
    """The path says that the answer is a stream."""
    follows: str | None = None
    """What is kept by the server and goes on here, where the path names it (a conversation)."""
    guessed: bool = False
    """Only what the request accepts, or a usual path, says so: its body must confirm it (`confirmed`)."""
    host_of: str | None = None
    """Of a guess: the provider whose host it is nevertheless."""


MCP = Route("mcp", mcp.CODEC.name)
"""A tool server, at any host."""
A2A = Route("a2a", a2a.CODEC.name)
"""Another agent, at any host."""


class Row(NamedTuple):
    """One provider: patterns of its hosts, and per method and codec of the paths that are asked."""

    provider: str
    host: re.Pattern[str]
    paths: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]
    only_paths: bool
    """A row for any host, or for one that serves other things too: it says nothing about paths it does not list."""
    asks_usage: bool


def _any_of(globs: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob.lower()) for glob in globs))


def _row(row: Mapping[str, Any]) -> Row:
    methods = {"POST": row["post"], "GET": row.get("get", {})}
    unknown = {codec for paths in methods.values() for codec in paths} - _CODECS.keys()
    if unknown:
        raise ValueError(f"providers.yaml: {row['name']}: no codec is named {', '.join(sorted(unknown))}")
    paths = {
        method: tuple((_any_of(globs), codec) for codec, globs in of_method.items())
        for method, of_method in methods.items()
    }
    only_paths = row["hosts"] == ["*"] or row.get("paths") == "only"
    return Row(row["name"], _any_of(row["hosts"]), paths, only_paths, row.get("usage") == "asked")


def _load() -> tuple[Row, ...]:
    text = files("proxy.codecs").joinpath("providers.yaml").read_text(encoding="utf-8")
    return tuple(_row(row) for row in yaml.safe_load(text))


ROWS = _load()


def match(host: str, method: str, path: str, headers: Mapping[str, str] = _NO_HEADERS) -> Route | None:
    """The route of a request, or None for no provider's. Case, port and a trailing dot of `host` are ignored.

    `headers` by lower-case name: a WebSocket (a GET, RFC 6455 §4.1) goes where a POST to its path would.
    """
    verb = "POST" if headers.get("upgrade", "").lower() == "websocket" else method.upper()
    found = _match(host, verb, path.partition("?")[0])
    if found is not None and found.codec is not None:
        return found
    told = _anywhere(verb, path, headers)
    if told is not None and told.guessed and found is not None:
        return told._replace(host_of=found.provider)
    return told or found


def _streams_json(method: str, headers: Mapping[str, str]) -> bool:
    """JSON is posted, and a stream of events asked for: agents before A2A 1.0 say no more than that."""
    kind = headers.get("content-type", "").lower()
    return method == "POST" and kind.startswith("application/json") and "text/event-stream" in headers.get("accept", "")


def _anywhere(method: str, path: str, headers: Mapping[str, str]) -> Route | None:
    """Protocols that are spoken at any host and path, told by what a request says of itself."""
    if mcp_requests.is_mcp(method, path, headers):
        return MCP._replace(guessed=method == "POST" and not mcp_requests.is_marked(headers))
    if a2a_requests.is_a2a(method, path, headers):
        return A2A._replace(guessed=not a2a_requests.is_marked(method, path, headers))
    return A2A._replace(guessed=True) if _streams_json(method, headers) else None


def confirmed(guess: Route, document: Json) -> Route | None:
    """What a request speaks whose headers could be anybody's, by its body. None: none of the protocols of any host."""
    if mcp_requests.speaks(document):
        return MCP
    if a2a_requests.speaks(document):
        return A2A
    return guess if jsonrpc.shares(document) else None


@lru_cache(maxsize=4096)
def _match(host: str, method: str, path: str) -> Route | None:
    bare = _bare(host)
    plain = _plain(path)
    for row in ROWS:
        if not row.host.match(bare):
            continue
        codec = next((codec for pattern, codec in row.paths.get(method, ()) if pattern.match(plain)), None)
        if codec is not None or not row.only_paths:
            streams = _STREAMS.search(plain) is not None
            return Route(row.provider, codec, row.asks_usage, _model_in(path), streams, _kept_in(path))
    return None


# A colon belongs to the name on Bedrock (`amazon.nova-lite-v1:0`), and begins the method at Google's.
_MODEL = re.compile(r"/(?:model/([^/]+)|(?:models|deployments|engines)/([^/:]+))", re.IGNORECASE)
_STREAMS = re.compile(
    r":(?:stream(?:generatecontent|rawpredict)|serverstreamingpredict)|(?:converse-|response-|generate)stream$"
)


_KEPT = re.compile(r"/(?:conversations|threads)/([^/]+)")


def _kept_in(path: str) -> str | None:
    """`/v1/conversations/conv_1`, `/v1/threads/thread_1/messages`."""
    found = _KEPT.search(path)
    return unquote(found[1]) if found else None


def _model_in(path: str) -> str | None:
    """`/models/gemini-3-pro:generateContent`, `/model/anthropic.claude-v2%3A1/converse`, `/deployments/gpt-5/…`."""
    found = _MODEL.search(path)
    return unquote(found[1] or found[2]) if found else None


def _bare(host: str) -> str:
    if host.startswith("["):  # an IPv6 literal (RFC 3986 §3.2.2)
        return host[1:].partition("]")[0].lower()
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() and ":" not in name else host).rstrip(".").lower()


def _plain(path: str) -> str:
    """The path as a lenient server may read it, so that no spelling of it escapes its codec.

    Servers differ in whether they decode once more, take `\\` for `/`, leave out `;parameters` (RFC 3986 §3.3) and dot
    segments (§5.2.4), and care for case: what any of them takes for a path that a codec reads, is one.
    """
    decoded = unquote(unquote(path.partition("#")[0])).replace("\\", "/").lower()
    return normpath("/" + re.sub(";[^/]*", "", decoded).lstrip("/"))


def hosts() -> tuple[str, ...]:
    """The providers' host names that are no patterns, for certificates made ahead."""
    text = files("proxy.codecs").joinpath("providers.yaml").read_text(encoding="utf-8")
    return tuple(host for row in yaml.safe_load(text) for host in row["hosts"] if "*" not in host)


def codec(name: str | None) -> Codec:
    """The codec of a route; for None the one that reads anything."""
    return _CODECS[name or "unrecognised"]
