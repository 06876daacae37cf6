"""The stand-in provider of the SDK tests, in every format: one module writes one provider's answers.

`reply` routes by path, as the providers' documents name them, and leaves what the demo's stand-in knows to it. Pure;
not the codecs: those read, and must not be tested against their own idea of a format.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from proxy.demo import authority, replies
from proxy.demo.answers import Answer, Failure, Raw, Received, Scenario
from tests.sdk.provider import bedrock, cohere, gemini, mistral, ollama, openai

HOSTS = (
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "api.mistral.ai",
    "api.cohere.com",
    "ollama.com",
)
"""The names it is reached by."""
CERTIFIED = tuple(dict.fromkeys((*authority.HOSTS, *HOSTS, "chatgpt.com")))
"""The names it has a certificate for: those, the ones of the demo's stand-in, and what Codex asks for its models."""

type Writer = Callable[[Received, Answer], Raw]

_MODELS = "/v1(beta1?)?/(publishers/google/)?models/"
_WRITERS: Mapping[str, Writer] = {
    "/v1/responses": openai.response,
    "/v1/embeddings": openai.embeddings,
    _MODELS + "[^/]*:generateContent": gemini.whole,
    _MODELS + "[^/]*:streamGenerateContent": gemini.streamed,
    _MODELS + "[^/]*:(batchEmbedContents|predict|embedContent)": gemini.embeddings,
    "/model/.*/converse": bedrock.converse,
    "/model/.*/converse-stream": bedrock.converse_stream,
    "/model/amazon.titan-embed.*/invoke": bedrock.embedding,
    "/model/.*/invoke": bedrock.invoke,
    "/model/.*/invoke-with-response-stream": bedrock.invoke_stream,
    "/v2/chat": cohere.chat,
    "/v1/chat": cohere.chat_v1,
    "/v2/embed": cohere.embeddings,
    "/api/chat": ollama.chat,
    "/api/generate": ollama.generate,
    "/api/embed": ollama.embeddings,
}


def reply(scenario: Scenario, request: Received) -> Raw:
    """What goes back for this request, as bytes."""
    writer = _writer(request)
    if writer is None:
        return replies.reply(scenario, request)
    answer = scenario(request)
    assert not isinstance(answer, Failure), "no test needs an error of these providers yet"
    return answer if isinstance(answer, Raw) else writer(request, answer)


def _writer(request: Received) -> Writer | None:
    path = unquote(request.path.partition("?")[0])
    if path == "/v1/chat/completions" and request.host == "api.mistral.ai":
        return mistral.chat
    return next((writer for pattern, writer in _WRITERS.items() if re.fullmatch(pattern, path)), None)
