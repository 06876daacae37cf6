"""Prices: cached tokens at their own price, and no price that is a bypass."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.effects import prices
from proxy.events import Usage

MILLION = 10**6


def test_input_output_and_cached_tokens_have_their_own_price() -> None:
    # gpt-4o: $2.50 in, $1.25 cached, $10 out a million tokens (openai.com/api/pricing)
    usage = Usage(input=1000, output=100, cache_read=200)
    assert prices.cost("openai", "gpt-4o", usage) == 800 * 2500 + 200 * 1250 + 100 * 10_000
    # claude-opus-4-1: $15 in, $18.75 cache write, $1.50 cache read, $75 out (docs.anthropic.com, pricing)
    usage = Usage(input=1000, output=10, cache_read=300, cache_write=200)
    spent = 500 * 15_000 + 300 * 1500 + 200 * 18_750 + 10 * 75_000
    assert prices.cost("anthropic", "claude-opus-4-1-20250805", usage) == spent


def test_a_fraction_of_a_nano_usd_is_rounded_up() -> None:
    assert prices.cost("groq", "llama-3.1-8b-instant", Usage(input=1)) >= 1


def test_cached_tokens_beyond_the_input_are_counted() -> None:
    assert prices.cost("openai", "gpt-4o", Usage(input=10, cache_read=200)) == 200 * 1250


@pytest.mark.parametrize(
    ("provider", "model", "dearest_of"),
    [
        ("anthropic", "claude-unheard-of", ("anthropic", "claude-opus-4-1-20250805")),
        ("openai", "", ("openai", "o1-pro")),
        ("openai", None, ("openai", "o1-pro")),
        ("openai", "tts-1", ("openai", "o1-pro")),
        ("vllm", "my-own", ("openai", "o1-pro")),
        (None, "my-own", ("openai", "o1-pro")),
    ],
)
def test_an_unknown_price_is_at_least_the_dearest_known(
    provider: str | None, model: str | None, dearest_of: tuple[str, str]
) -> None:
    assert not prices.is_known(provider, model)
    for usage in (Usage(input=MILLION), Usage(output=MILLION), Usage(input=1, output=1)):
        assert prices.cost(provider, model, usage) >= prices.cost(*dearest_of, usage) > 0


def test_a_model_called_free_is_free() -> None:
    assert prices.is_known("mistral", "devstral-small:free")
    assert prices.cost("mistral", "devstral-small:free", Usage(input=MILLION)) == 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.gemini", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("mistral_ai", "mistral-large-latest"),
        ("x_ai", "grok-3"),
        ("groq", "llama-3.3-70b-versatile"),
        ("deepseek", "deepseek-chat"),
        ("openrouter", "anthropic/claude-sonnet-4.5"),
    ],
)
def test_provider_names_are_those_of_opentelemetry(provider: str, model: str) -> None:
    assert prices.is_known(provider, model)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-5"),
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-sonnet-4-5"),
        ("groq", "llama-3.1-8b-instant"),
    ],
)
@given(
    plain=st.integers(0, 300_000),
    read=st.integers(0, 300_000),
    write=st.integers(0, 50_000),
    out=st.integers(0, 99_999),
)
@settings(max_examples=40, deadline=None)
def test_a_flat_price_is_what_the_list_itself_says(
    provider: str, model: str, plain: int, read: int, write: int, out: int
) -> None:
    usage = Usage(input=plain + read + write, output=out, cache_read=read, cache_write=write)
    priced = prices._find(provider, model)
    assert priced is not None
    owner, info = priced
    asked = info.calc_price(prices._priced_usage(usage), owner).total_price
    assert prices.cost(provider, model, usage) == math.ceil(asked * prices.NANO)
