"""The scripted agent of the demo: the official SDKs, streaming, behind a proxy as HTTPS_PROXY would set it.

The only module that imports the SDKs (extra `demo`).
"""

import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anthropic
import openai
import orjson

from proxy.demo.answers import Api

API_KEY = "key-of-nobody"


@dataclass(frozen=True)
class Got:
    """What one request gave the agent."""

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    """Name and decoded arguments of each tool call."""
    stop: str = ""
    """The provider's word for why the answer ended."""
    error: str = ""
    """The message the SDK raised, if it did."""
    status: int = 0
    """HTTP status of that error."""


class Agent:
    """Both SDKs' clients. `tries` counts the HTTP requests they made, their own retries included."""

    def __init__(self, proxy_url: str, ca_file: Path) -> None:
        self.tries = 0
        trusted = ssl.create_default_context(cafile=str(ca_file))
        options: dict[str, Any] = {"proxy": proxy_url, "verify": trusted, "trust_env": False}
        options["event_hooks"] = {"request": [self._count]}
        self._openai = openai.OpenAI(api_key=API_KEY, http_client=openai.DefaultHttpxClient(**options))
        self._anthropic = anthropic.Anthropic(api_key=API_KEY, http_client=anthropic.DefaultHttpxClient(**options))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._openai)
            stack.enter_context(self._anthropic)
            self._close = stack.pop_all().close
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _count(self, _: object) -> None:
        self.tries += 1

    def ask(self, api: Api, request: Mapping[str, Any]) -> Got:
        """Send one request (the SDK's arguments) and read its stream to the end. Refusals are part of the result."""
        try:
            return self._ask_openai(request) if api == "openai" else self._ask_anthropic(request)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            return Got(error=_message(error), status=error.status_code)

    def _ask_openai(self, request: Mapping[str, Any]) -> Got:
        options: Any = {**request, "stream_options": {"include_usage": True}}
        with self._openai.chat.completions.stream(**options) as stream:
            choice = stream.get_final_completion().choices[0]
        calls = tuple(
            (call.function.name, orjson.loads(call.function.arguments)) for call in choice.message.tool_calls or ()
        )
        return Got(choice.message.content or "", calls, choice.finish_reason)

    def _ask_anthropic(self, request: Mapping[str, Any]) -> Got:
        options: Any = {"max_tokens": 200, **request}
        with self._anthropic.messages.stream(**options) as stream:
            message = stream.get_final_message()
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = tuple((block.name, block.input) for block in message.content if block.type == "tool_use")
        return Got(text, calls, message.stop_reason or "")


def _message(error: openai.APIStatusError | anthropic.APIStatusError) -> str:
    """The sentence of the provider's error JSON, which both SDKs keep as `body`."""
    body: Any = error.body
    inner = body.get("error", body) if isinstance(body, dict) else body
    return str(inner.get("message", inner)) if isinstance(inner, dict) else error.message
