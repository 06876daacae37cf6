"""The provider table: every row, its spelling variants, and what belongs to nobody."""

from itertools import chain
from typing import Any

import pytest

from proxy.codecs import providers
from proxy.codecs.providers import A2A, MCP, Route, match

CHAT = "/v1/chat/completions"
VERTEX = "/v1beta1/projects/p/locations/europe-west4/"

SPELLINGS = [
    "/v1/./chat/completions",
    "/x/../v1/chat/completions",
    "/v1/Chat/COMPLETIONS",
    "/v1/chat/completions;v=2",
    "/v1/chat/complet%2569ons",
    "/v1\\chat\\completions",
]
"""What one server or another takes for CHAT."""


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        ("api.openai.com", CHAT, Route("openai", "openai_chat")),
        ("API.OpenAI.com.:443", CHAT + "?x=1", Route("openai", "openai_chat")),
        ("api.openai.com", "//v1/chat%2Fcompletions/", Route("openai", "openai_chat")),
        *(("127.0.0.1", path, Route("openai_compatible", "openai_chat")) for path in SPELLINGS),
        ("127.0.0.1", "/v1/chat/completions/../models", None),
        ("eu.api.openai.com", CHAT, Route("openai", "openai_chat")),
        ("api.openai.com", "/v1/embeddings", Route("openai", "embeddings")),
        ("api.openai.com", "/v1/unknown", Route("openai", None)),
        ("api.anthropic.com", "/v1/messages?beta=true", Route("anthropic", "anthropic")),
        ("api.anthropic.com", "/v1/messages/count_tokens", Route("anthropic", "anthropic_count_tokens")),
        ("api.anthropic.com", "/v1/messages/batches", Route("anthropic", "anthropic_batches")),
        ("api.anthropic.com", "/v1/messages/batches/b/cancel", Route("anthropic", "anthropic_batch_results")),
        ("api.anthropic.com", "/v1/complain", Route("anthropic", None)),
        ("integrate.api.nvidia.com", CHAT, Route("nvidia", "openai_chat")),
        ("api.novita.ai", "/v3/openai/chat/completions", Route("novita", "openai_chat")),
        ("org.snowflakecomputing.com", "/api/v2/cortex/v1/chat/completions", Route("snowflake", "openai_chat")),
        ("org.snowflakecomputing.com", "/queries/v1/query-request", None),
        ("x.cloud.databricks.com", "/serving-endpoints/claude/invocations", Route("databricks", "openai_chat")),
        ("us-south.ml.cloud.ibm.com", "/ml/v1/text/chat_stream?version=1", Route("ibm.watsonx.ai", "openai_chat")),
        ("api.portkey.ai", "/v1/prompts/p/completions", Route("portkey", "openai_chat")),
        ("gateway.ai.cloudflare.com", "/v1/a/g/anthropic/v1/messages", Route("cloudflare", "anthropic")),
        ("router.huggingface.co", "/novita/v3/openai/chat/completions", Route("huggingface", "openai_chat")),
        ("litellm.internal:4000", "/chat/completions", Route("openai_compatible", "openai_chat")),
        ("gateway.internal", "/llm/v1/messages/count_tokens", Route("anthropic_compatible", "anthropic_count_tokens")),
        (
            "r.openai.azure.com",
            "/openai/deployments/d/chat/completions?api-version=1",
            Route("azure.ai.openai", "openai_chat"),
        ),
        ("api.groq.com", "/openai/v1/chat/completions", Route("groq", "openai_chat")),
        ("api.deepseek.com", "/chat/completions", Route("deepseek", "openai_chat")),
        ("openrouter.ai", "/api/v1/chat/completions", Route("openrouter", "openai_chat")),
        ("api.mistral.ai", CHAT, Route("mistral_ai", "mistral_chat")),
        ("codestral.mistral.ai", "/v1/fim/completions", Route("mistral_ai", "mistral_fim")),
        ("api.mistral.ai", "/v1/conversations#stream", Route("mistral_ai", "mistral_conversations")),
        ("api.mistral.ai", "/v1/conversations/conv_1/restart", Route("mistral_ai", "mistral_conversations")),
        ("api.cohere.com", "/v2/chat", Route("cohere", "cohere_v2")),
        ("api.cohere.ai", "/v1/chat", Route("cohere", "cohere_v1")),
        ("api.cohere.ai", "/v1/generate", Route("cohere", "cohere_generate")),
        ("x.eastus2.models.ai.azure.com", "/v1/chat", Route("azure.ai.inference", "cohere_v1")),
        ("api.cohere.com", "/compatibility/v1/chat/completions", Route("cohere", "openai_chat")),
        ("localhost:11434", "/api/chat", Route("ollama", "ollama")),
        ("localhost:11434", "/api/generate", Route("ollama", "ollama_generate")),
        ("ollama.com", "/api/web_search", Route("ollama_cloud", "ollama_web")),
        ("dashscope-intl.aliyuncs.com", "/compatible-mode/v1/chat/completions", Route("dashscope", "openai_chat")),
        *(
            ("generativelanguage.googleapis.com", path, Route("gcp.gemini", codec))
            for path, codec in (
                ("/v1/models/gemini-3-pro:generateContent", "gemini"),
                ("/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse", "gemini"),
                ("/v1alpha/tunedModels/t:generateContent", "gemini"),
                ("/v1beta/models/gemini-3-pro:countTokens", "gemini_admin"),
                ("/v1beta/cachedContents", "gemini_admin"),
                ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini_embedding"),
                ("/v1beta/interactions", "gemini_interactions"),
                ("/v1beta/openai/chat/completions", "openai_chat"),
                ("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "gemini_live"),
                ("/v1beta/files", None),
            )
        ),
        ("cloudcode-pa.googleapis.com", "/v1internal:streamGenerateContent?alt=sse", Route("gcp.gemini", "gemini")),
        *(
            ("europe-west4-aiplatform.googleapis.com", VERTEX + path, Route("gcp.vertex_ai", codec))
            for path, codec in (
                ("publishers/google/models/gemini-3-pro:generateContent", "gemini"),
                ("publishers/google/models/gemini-embedding-001:predict", "gemini_embedding"),
                ("publishers/google/models/imagen-4:predict", None),
                ("publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict", "anthropic"),
                ("publishers/mistralai/models/mistral-small:rawPredict", "mistral_chat"),
                ("endpoints/openapi/chat/completions", "openai_chat"),
                ("cachedContents", "gemini_admin"),
            )
        ),
        (
            "aiplatform.googleapis.com",
            "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
            Route("gcp.vertex_ai", "gemini_live"),
        ),
        (
            "localhost:8787",
            "/google-vertex/v1beta1/publishers/google/models/gemini-3-pro:generateContent",
            Route("gemini_compatible", "gemini"),
        ),
        *(
            ("bedrock-runtime.us-east-1.amazonaws.com", path, Route("aws.bedrock", codec))
            for path, codec in (
                ("/model/us.amazon.nova-2-lite-v1%3A0/converse", "bedrock_converse"),
                ("/model/us.amazon.nova-2-lite-v1:0/converse-stream", "bedrock_converse"),
                ("/model/anthropic.claude-sonnet-4-6/invoke", "bedrock_invoke"),
                ("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/invoke", "bedrock_invoke"),
                ("/model/meta.llama3/invoke-with-response-stream", "bedrock_invoke"),
                ("/model/anthropic.claude-sonnet-4-6/count-tokens", "bedrock_checks"),
                ("/guardrail/g/version/1/apply", "bedrock_checks"),
                ("/openai/v1/chat/completions", "openai_chat"),
                ("/model/x/invoke-with-bidirectional-stream", None),
                ("/async-invoke", None),
            )
        ),
        *(
            ("bedrock-agent-runtime.eu-west-1.amazonaws.com", path, Route("aws.bedrock", codec))
            for path, codec in (
                ("/agents/A/agentAliases/B/sessions/s/text", "bedrock_agent"),
                ("/agents/s", "bedrock_agent"),
                ("/retrieveAndGenerate", "bedrock_retrieval"),
                ("/retrieveAndGenerateStream", "bedrock_retrieval"),
                ("/flows/F/aliases/B", "bedrock_flow"),
                ("/knowledgebases/K/retrieve", None),
            )
        ),
        *(
            (host, "/model/m/converse", Route("aws.bedrock", "bedrock_converse"))
            for host in (
                "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
                "bedrock-runtime.us-east-1.api.aws",
                "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
            )
        ),
        ("gateway.example", "/bedrock/model/anthropic.x/invoke", Route("bedrock_compatible", "bedrock_invoke")),
        *(
            ("api.openai.com", path, Route("openai", codec))
            for path, codec in (
                ("/v1/completions", "openai_completions"),
                ("/v1/realtime", "openai_realtime"),
                ("/v1/realtime/transcription_sessions", "openai_realtime_http"),
                ("/v1/realtime/calls", "resources"),
                ("/v1/threads/runs", "openai_assistants"),
                ("/v1/threads/thread_1/runs", "openai_assistants"),
                ("/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "openai_assistants"),
                ("/v1/threads/thread_1/runs/run_1/cancel", "openai_threads"),
                ("/v1/threads/thread_1/messages", "openai_threads"),
                ("/v1/assistants", "openai_threads"),
                ("/v1/images/edits", "images"),
                ("/v1/audio/transcriptions", "audio"),
                ("/v1/moderations", "moderations"),
                ("/v1/files", "resources"),
                ("/v1/fine_tuning/jobs/j/cancel", "resources"),
            )
        ),
        *(
            ("r.openai.azure.com", path, Route("azure.ai.openai", codec))
            for path, codec in (
                ("/openai/deployments/d/chat/completions", "openai_chat"),
                ("/openai/deployments/d/completions", "openai_completions"),
                ("//openai/deployments/d/embeddings", "embeddings"),
                ("/openai/deployments/d/images/generations", "images"),
                ("/openai/deployments/d/audio/transcriptions", "audio"),
                ("/openai/v1/realtime", "openai_realtime"),
                ("/openai/v1/realtime/client_secrets", "openai_realtime_http"),
                ("/openai/threads/t/runs", "openai_assistants"),
                ("/openai/v1/responses", "openai_responses"),
            )
        ),
        ("r.services.ai.azure.com", "/voice-live/realtime", Route("azure.ai.openai", "openai_realtime")),
        ("api.anthropic.com", "/v1/complete", Route("anthropic", "anthropic_complete")),
        ("api.mistral.ai", "/v1/ocr", Route("mistral_ai", "ocr")),
        ("api.cohere.com", "/v2/rerank", Route("cohere", "rerank")),
        ("api.voyageai.com", "/v1/multimodalembeddings", Route("voyageai", "embeddings")),
        ("api.writer.com:443", "/v1/chat", Route("writer", "openai_chat")),
        ("us-south.ml.cloud.ibm.com", "/ml/v1/text/generation_stream", Route("ibm.watsonx.ai", "watsonx")),
        ("us-south.ml.cloud.ibm.com", "/ml/v1/text/chat", Route("ibm.watsonx.ai", "openai_chat")),
        ("api.replicate.com", "/v1/models/meta/llama/predictions", Route("replicate", "replicate")),
        (
            "runtime.sagemaker.us-east-1.amazonaws.com",
            "/endpoints/e/invocations",
            Route("aws.sagemaker", "text_generation"),
        ),
        ("api-inference.huggingface.co", "/models/gpt2", Route("huggingface", "text_generation")),
        ("api.aleph-alpha.com", "/complete", Route("aleph_alpha", "aleph_alpha")),
        ("api.deepinfra.com", "/v1/openai/embeddings", Route("deepinfra", "embeddings")),
        ("localhost:8000", "/v1/completions", Route("openai_compatible", "openai_completions")),
        ("localhost:8000", "/v1/audio/speech", Route("openai_compatible", "audio")),
        ("localhost:8000", "/v1/images/42", None),
        ("localhost:11434", "/api/embed", Route("ollama", "embeddings")),
        ("127.0.0.1:8000", CHAT, Route("openai_compatible", "openai_chat")),
        ("[::1]:8000", "/v1/messages", Route("anthropic_compatible", "anthropic")),
        ("example.com", "/", None),
        ("api.openai.com.evil.example", "/v1/files", None),
        ("notapi.openai.com.example", CHAT, Route("openai_compatible", "openai_chat")),
    ],
)
def test_routes(host: str, path: str, route: Route | None) -> None:
    found = match(host, "POST", path)
    assert (found and found[:2]) == (route and route[:2])


@pytest.mark.parametrize(
    ("path", "model", "streams"),
    [
        ("/model/us.amazon.nova-2-lite-v1%3A0/converse", "us.amazon.nova-2-lite-v1:0", False),
        ("/model/us.amazon.nova-2-lite-v1:0/converse-stream", "us.amazon.nova-2-lite-v1:0", True),
        ("/model/arn%3Aaws%3Abedrock%3A%3A1%3Ax%2Fy/invoke-with-response-stream", "arn:aws:bedrock::1:x/y", True),
        ("/retrieveAndGenerateStream", None, True),
    ],
)
def test_bedrocks_paths_name_the_model(path: str, model: str | None, streams: bool) -> None:
    found = match("bedrock-runtime.us-east-1.amazonaws.com", "POST", path)
    assert found is not None
    assert (found.model, found.streams) == (model, streams)


TYPED = {"content-type": "application/json"}
STREAMED = TYPED | {"accept": "text/event-stream"}
BOTH = TYPED | {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "route"),
    [
        ("POST", "/", BOTH | {"mcp-protocol-version": "2025-06-18"}, MCP),
        ("POST", "/", BOTH, MCP._replace(guessed=True)),
        ("POST", "/mcp", TYPED, MCP._replace(guessed=True)),
        ("POST", "/messages?session_id=s", TYPED, MCP._replace(guessed=True)),
        ("GET", "/sse", {"accept": "text/event-stream"}, MCP),
        ("POST", "/", STREAMED | {"a2a-version": "1.0"}, A2A),
        ("POST", "/v1/message:send", TYPED, A2A),
        ("POST", "/a2a", TYPED, A2A._replace(guessed=True)),
        ("POST", "/", STREAMED, A2A._replace(guessed=True)),
        ("POST", "/", TYPED, None),
    ],
)
def test_protocols_of_any_host(method: str, path: str, headers: dict[str, str], route: Route | None) -> None:
    assert match("tools.example.org", method, path, headers) == route


def test_a_guess_at_a_providers_own_host_knows_whose_it_is() -> None:
    assert match("api.openai.com", "POST", "/mcp", TYPED) == MCP._replace(guessed=True, host_of="openai")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("tools/call", (MCP, MCP)),
        ("message/stream", (A2A, A2A)),
        ("tasks/get", (MCP._replace(guessed=True), A2A._replace(guessed=True))),
        ("eth_call", (None, None)),
    ],
)
def test_a_guess_is_confirmed_by_the_body(method: str, told: Any) -> None:
    document = {"jsonrpc": "2.0", "id": 1, "method": method}
    guesses = (MCP._replace(guessed=True), A2A._replace(guessed=True))
    assert tuple(providers.confirmed(guess, document) for guess in guesses) == told


def test_only_a_post_has_a_codec() -> None:
    assert match("api.openai.com", "GET", CHAT) == Route("openai", None, asks_usage=True)
    assert match("api.openai.com", "post", CHAT) == Route("openai", "openai_chat", asks_usage=True)
    assert match("example.com", "GET", CHAT) is None


def test_every_row_is_reachable_and_every_codec_there() -> None:
    assert len({row.provider for row in providers.ROWS}) == len(providers.ROWS)
    for row in providers.ROWS:
        for _, codec in chain(*row.paths.values()):
            assert codec == providers.codec(codec).name
    assert providers.codec(None).name == "unrecognised"
    assert "api.openai.com" in providers.hosts()
    assert not any("*" in host for host in providers.hosts())


def test_a_row_with_a_codec_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no codec is named gopher"):
        providers._row({"name": "x", "hosts": ["x"], "post": {"gopher": ["/"]}})
