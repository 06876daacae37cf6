"""Strict providers: each refuses what the real one refuses, and hand-written clients that keep a conversation.

Facts: wire-formats.md, the providers' documents, and what users were refused (each check names the issue). Where
reports differ, the stricter one is held.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.conformance.strict import anthropic, bedrock, cohere, gemini, ollama, openai_chat, responses
from tests.conformance.strict.base import LIST, MAIL, WEATHER, Call, Client, Json, Provider, RefusedError, Turn

_SSE = "text/event-stream"


class Form(NamedTuple):
    """A format: its codec, how its streams say what they are, both sides."""

    codec: str
    kind: str
    provider: Callable[[], Provider]
    client: Callable[[], Client]


FORMS = {
    "openai_chat": Form("openai_chat", _SSE, openai_chat.Provider, openai_chat.Client),
    "openai_chat-google": Form("openai_chat", _SSE, openai_chat.Google, openai_chat.Client),
    "openai_responses-client": Form("openai_responses", _SSE, responses.Provider, lambda: responses.Client("client")),
    "openai_responses-stored": Form("openai_responses", _SSE, responses.Provider, lambda: responses.Client("stored")),
    "openai_responses-previous": Form(
        "openai_responses", _SSE, responses.Provider, lambda: responses.Client("previous")
    ),
    "openai_responses-conversation": Form(
        "openai_responses", _SSE, responses.Provider, lambda: responses.Client("conversation")
    ),
    "anthropic": Form("anthropic", _SSE, anthropic.Provider, anthropic.Client),
    "gemini": Form("gemini", _SSE, gemini.Provider, gemini.Client),
    "bedrock_converse": Form(
        "bedrock_converse", "application/vnd.amazon.eventstream", bedrock.Provider, bedrock.Client
    ),
    "cohere_v2": Form("cohere_v2", _SSE, cohere.Provider, cohere.Client),
    "mistral_chat": Form("mistral_chat", _SSE, openai_chat.Mistral, openai_chat.Client),
    "ollama": Form("ollama", "application/x-ndjson", ollama.Provider, ollama.Client),
}

__all__ = ["FORMS", "LIST", "MAIL", "WEATHER", "Call", "Client", "Form", "Json", "Provider", "RefusedError", "Turn"]
