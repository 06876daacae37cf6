"""How the SDK tests reach the stand-in: straight, or through midstream. Everything else of a test is the same."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

from proxy.demo.served import Served
from proxy.demo.stand_in import StandIn
from tests.sdk.lines import Line
from tests.sdk.tunnel import tunnel
from tests.serving import AGENT, TOKEN, StartProxy

OPENAI_MODEL, ANTHROPIC_MODEL = "gpt-5.4-mini", "claude-sonnet-4-6"
KEY = "key-of-nobody"
PERMIT_ALL = "version: 1\n"

pytest.register_assert_rewrite("tests.sdk.contract")


class Way:
    """Makes SDK clients that go one way, closes the synchronous ones, and counts what they send.

    Clients are `Any`: tests write plain dicts where the SDKs' types want their own, and that is what users do.
    """

    def __init__(
        self,
        provider: StandIn,
        served: Served | None,
        credentials: tuple[str, str] = (AGENT, TOKEN),
        *,
        http2: bool = False,
    ) -> None:
        self.sent = 0
        """Requests the clients sent, their own retries included."""
        self.http2 = http2
        self._served, self._stack = served, ExitStack()
        proxy = served.proxy_url(*credentials) if served else None
        trusted = served.ca_file if served else provider.ca_file
        context = ssl.create_default_context(cafile=str(trusted))
        self._http: dict[str, Any] = {"verify": context, "trust_env": False, "proxy": proxy, "http2": http2}
        self._base = {} if served else {"base_url": f"https://localhost:{provider.port}"}

    def close(self) -> None:
        self._stack.close()

    def _count(self, _: object) -> None:
        self.sent += 1

    async def _count_async(self, _: object) -> None:
        self.sent += 1

    def openai(self, **options: Any) -> Any:
        http = DefaultHttpxClient(**self._http, event_hooks={"request": [self._count]})
        client = OpenAI(api_key=KEY, http_client=http, **self._options("/v1"), **options)
        return self._stack.enter_context(client)

    def anthropic(self, **options: Any) -> Any:
        http = DefaultHttpxClient(**self._http, event_hooks={"request": [self._count]})
        client = Anthropic(api_key=KEY, http_client=http, **self._options(""), **options)
        return self._stack.enter_context(client)

    def async_openai(self, **options: Any) -> Any:
        http = DefaultAsyncHttpxClient(**self._http, event_hooks={"request": [self._count_async]})
        return AsyncOpenAI(api_key=KEY, http_client=http, **self._options("/v1"), **options)

    def async_anthropic(self, **options: Any) -> Any:
        http = DefaultAsyncHttpxClient(**self._http, event_hooks={"request": [self._count_async]})
        return AsyncAnthropic(api_key=KEY, http_client=http, **self._options(""), **options)

    def _options(self, suffix: str) -> dict[str, Any]:
        return {name: url + suffix for name, url in self._base.items()}


@pytest.fixture(params=["direct", "proxied", "proxied-h2"])
def way(request: pytest.FixtureRequest, stand_in: StandIn) -> Iterator[Way]:
    """Every way in turn: behind a midstream whose policy says nothing, all must be as without it.

    The SDKs speak HTTP/1.1 unless told otherwise; with HTTP/2 midstream translates, as the stand-in speaks 1.1 only.
    """
    served = None
    if request.param != "direct":
        served = request.getfixturevalue("midstream_proxy")(PERMIT_ALL)
    made = Way(stand_in, served, http2=request.param == "proxied-h2")
    yield made
    made.close()


class Behind:
    """`behind(policy)`: the way through a midstream with that policy."""

    def __init__(self, provider: StandIn, start: StartProxy) -> None:
        self._provider, self._start = provider, start
        self._made: list[Way] = []

    def __call__(self, policy: str, name: str = "", credentials: tuple[str, str] = (AGENT, TOKEN)) -> Way:
        way = Way(self._provider, self._start(policy, name), credentials)
        self._made.append(way)
        return way

    def served(self, policy: str, name: str = "") -> Served:
        """The midstream itself, for its state folder."""
        return self._start(policy, name)

    def close(self) -> None:
        for way in self._made:
            way.close()


@pytest.fixture
def behind(stand_in: StandIn, midstream_proxy: StartProxy) -> Iterator[Behind]:
    """Makes ways through a midstream with a policy of the test's own."""
    made = Behind(stand_in, midstream_proxy)
    yield made
    made.close()


# The SDKs that `Way` makes no clients of: they are told a proxy and a CA, whichever way they go.


@pytest.fixture(scope="session")
def _tunnel(_provider: StandIn) -> Iterator[str]:
    with tunnel(_provider.port) as url:
        yield url


@pytest.fixture
def straight(stand_in: StandIn, _tunnel: str) -> Line:
    """The way to the provider with nothing between."""
    return Line(_tunnel, stand_in.ca_file)


type Lines = Callable[[str], Line]


@pytest.fixture
def lines(midstream_proxy: StartProxy) -> Lines:
    """`lines(policy)`: the way through a midstream with that policy."""

    def through(policy: str) -> Line:
        served = midstream_proxy(policy)
        return Line(served.proxy_url(AGENT, TOKEN), served.ca_file)

    return through
