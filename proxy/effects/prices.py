"""What a request costs, in integer nano-USD, by the price list of `genai-prices` that is installed. Never the network.

Only the mapping of our provider names, the lookup and the fallback live here; budgets are `budget`'s. A price that is
not known is no bypass: it is taken to be the highest of that provider's, or of all.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final, NamedTuple

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from proxy.events import Usage

NANO: Final = 10**9
_MEGA: Final = 10**6

_PROVIDER_IDS: Final = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
"""OpenTelemetry's `gen_ai.provider.name` -> genai-prices' provider id, where they differ."""


class _Ceiling(NamedTuple):
    """The highest price of an input and of an output token, in nano-USD."""

    input: int
    output: int


def cost(provider: str | None, model: str | None, usage: Usage) -> int:
    """Price of `usage` in nano-USD, rounded up; the cached part of the input at its own price.

    `provider` is a `gen_ai.provider.name`, `model` as the wire names it. Where either is not in the list, every token
    costs what the provider's dearest model (of all providers', where that is unknown too) asks for.
    """
    priced = _find(provider, model)
    if priced is None:
        ceiling = _ceiling(provider)
        return usage.input * ceiling.input + usage.output * ceiling.output
    flat = _flat(provider, model)
    if flat is not None:
        return flat.cost(usage)
    owner, info = priced
    return _nano(info.calc_price(_priced_usage(usage), owner).total_price)


def is_known(provider: str | None, model: str | None) -> bool:
    """Whether the price list names this model, or `cost` falls back to the dearest."""
    return _find(provider, model) is not None


def warm() -> None:
    """Compute the fallback over the whole list (0.4 s, once), so that no request waits for it."""
    _dearest_of_all()


@lru_cache(maxsize=1024)  # model names come off the wire: bounded
def _find(provider: str | None, model: str | None) -> tuple[Provider, ModelInfo] | None:
    owner = _provider(provider)
    if owner is None or not model:
        return None
    info = owner.find_model(model, all_providers=get_snapshot().providers)
    return (owner, info) if info is not None and _has_token_price(info, owner) else None


@cache
def _provider_by_id() -> dict[str, Provider]:
    return {provider.id: provider for provider in get_snapshot().providers}


def _provider(name: str | None) -> Provider | None:
    return _provider_by_id().get(_PROVIDER_IDS.get(name, name)) if name else None


class _Flat(NamedTuple):
    """Prices that depend on neither time nor length, so that they are asked for once: nano-USD per million tokens."""

    request: int
    input: int
    cache_read: int
    cache_write: int
    output: int

    def cost(self, usage: Usage) -> int:
        plain = max(usage.input - usage.cache_read - usage.cache_write, 0)
        rows = ((plain, self.input), (usage.cache_read, self.cache_read), (usage.cache_write, self.cache_write))
        spent = sum(tokens * price for tokens, price in (*rows, (usage.output, self.output)))
        return self.request + -(-spent // _MEGA)


@lru_cache(maxsize=1024)
def _flat(provider: str | None, model: str | None) -> _Flat | None:
    """The prices of a model whose price has no tiers and no conditions, read off the list by asking for a million."""
    priced = _find(provider, model)
    if priced is None:
        return None
    owner, info = priced
    if not isinstance(info.prices, ModelPrice) or any(isinstance(p, TieredPrices) for p in vars(info.prices).values()):
        return None

    def asked(usage: Usage) -> Decimal:
        return info.calc_price(_priced_usage(usage), owner).total_price * NANO

    request = asked(Usage())
    each = [
        asked(Usage(input=_MEGA)),
        asked(Usage(input=_MEGA, cache_read=_MEGA)),
        asked(Usage(input=_MEGA, cache_write=_MEGA)),
        asked(Usage(output=_MEGA)),
    ]
    whole = [amount - request for amount in each]
    exact = all(amount == int(amount) for amount in (request, *whole))
    return _Flat(int(request), *map(int, whole)) if exact else None


def _priced_usage(usage: Usage) -> genai_prices.Usage:
    """Our usage in genai-prices' words; an input smaller than its cached parts (a slip upstream) is raised to them."""
    return genai_prices.Usage(
        input_tokens=max(usage.input, usage.cache_read + usage.cache_write),
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )


def _has_token_price(info: ModelInfo, owner: Provider) -> bool:
    """False for models without a price, or priced by the picture or second: here they would be free.

    A `:free` model is free by its name (OpenRouter's convention, which the list follows).
    """
    return info.id.endswith(":free") or sum(_model_ceiling(info, owner)) > 0


def _ceiling(provider: str | None) -> _Ceiling:
    owner = _provider(provider)
    return _dearest(owner.id) if owner is not None else _dearest_of_all()


@cache
def _dearest(provider_id: str) -> _Ceiling:
    owner = _provider_by_id()[provider_id]
    highest = _highest(_model_ceiling(info, owner) for info in owner.models)
    # A provider that sells nothing by the token gives no bound: then that of all.
    return highest if highest.input and highest.output else _dearest_of_all()


@cache
def _dearest_of_all() -> _Ceiling:
    return _highest(_model_ceiling(info, owner) for owner in _provider_by_id().values() for info in owner.models)


def _highest(ceilings: Iterable[_Ceiling]) -> _Ceiling:
    rows = [_Ceiling(0, 0), *ceilings]
    return _Ceiling(max(row.input for row in rows), max(row.output for row in rows))


def _model_ceiling(info: ModelInfo, owner: Provider) -> _Ceiling:
    """A million tokens each way, so that a tier for long contexts is the one that counts."""
    only_input = info.calc_price(genai_prices.Usage(input_tokens=_MEGA, output_tokens=0), owner).total_price
    with_output = info.calc_price(genai_prices.Usage(input_tokens=_MEGA, output_tokens=_MEGA), owner).total_price
    return _Ceiling(_nano(only_input / _MEGA), _nano((with_output - only_input) / _MEGA))


def _nano(usd: Decimal) -> int:
    return math.ceil(usd * NANO)
