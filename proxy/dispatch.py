"""Hook dispatch that fails closed.

mitmproxy logs an exception in an addon's hook and lets the flow continue unmodified. Here the flow dies instead, unless
the addon itself says that its policy is open. Synchronous hooks run inline, coroutine hooks as a task; nothing is
spent on hooks that nobody handles. Only used on our own `Master` (see `worker`): no part of mitmproxy is patched here.
What a flow *means* does not belong here (`addon`), nor sockets (`connection`).
"""

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from mitmproxy import addonmanager, flow, hooks, http
from mitmproxy.connection import Client
from mitmproxy.exceptions import AddonHalt
from mitmproxy.master import Master

logger = logging.getLogger(__name__)

_CHECKED = frozenset({"http_connect", "requestheaders", "request", "responseheaders", "response"})
"""Hooks after which `layer` looks whether the flow was killed. A failure in any other ends the whole connection."""

_REPLACEABLE = frozenset({"requestheaders", "request", "responseheaders", "response"})
"""Hooks in which a failing addon may still answer with a response of its own."""

_TOO_LATE = frozenset(
    {"error", "client_disconnected", "server_disconnected", "server_connect_error", "http_connect_error"}
)
"""Hooks after which nothing more is delivered: a failure is logged, there is nothing left to close."""


class HookError(Exception):
    """A hook failed where no single flow can be killed: the connection must end."""


class Dispatcher(addonmanager.AddonManager):
    """An addon manager with a compiled table of handlers."""

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self._table: dict[str, tuple[Callable[..., Any], ...]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        """Asynchronous hooks that are running; one may outlive its connection, to settle what the flow spent."""

    def register(self, addon: object) -> object:
        """Add an addon, as mitmproxy does, and forget the compiled table."""
        self._table.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]  # mitmproxy is untyped

    def add(self, *addons: object) -> None:
        """Append addons to the chain, as mitmproxy does, and forget the compiled table."""
        super().add(*addons)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self._table.clear()

    def remove(self, addon: object) -> None:
        """Remove an addon, as mitmproxy does, and forget the compiled table."""
        super().remove(addon)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        self._table.clear()

    def handlers(self, name: str) -> tuple[Callable[..., Any], ...]:
        """Every addon's method for this hook, in chain order."""
        found = self._table.get(name)
        if found is None:
            found = self._table[name] = tuple(self._find(name))
        return found

    def _find(self, name: str) -> Iterator[Callable[..., Any]]:
        for addon in addonmanager.traverse(self.chain):  # type: ignore[no-untyped-call]  # mitmproxy is untyped
            handler = getattr(addon, name, None)
            if callable(handler) and not isinstance(handler, ModuleType):
                yield handler

    def run(self, hook: hooks.Hook) -> Awaitable[None] | None:
        """Run the handlers of a connection's or flow's hook inline.

        Returns what still has to be awaited: None, or a coroutine from the first asynchronous handler on.
        Raises HookError where a failure must end the connection; a flow that can be killed is killed instead.
        """
        handlers = self.handlers(hook.name)
        if not handlers:
            return None
        arguments = _arguments(hook)
        data = arguments[0]
        for index, handler in enumerate(handlers):
            try:
                pending = handler(*arguments)
            except AddonHalt:
                return None
            except (Exception, asyncio.CancelledError) as exc:
                if not self._failed(hook.name, data, exc):
                    return None
                continue
            if pending is not None and hasattr(pending, "__await__"):
                return self._rest(hook.name, arguments, pending, handlers[index + 1 :])
        return data.wait_for_resume() if getattr(data, "intercepted", False) else None

    async def _rest(
        self,
        name: str,
        arguments: tuple[Any, ...],
        pending: Awaitable[object],
        handlers: tuple[Callable[..., Any], ...],
    ) -> None:
        data = arguments[0]
        goes_on = await self._await(name, data, pending)
        for handler in handlers if goes_on else ():
            try:
                result = handler(*arguments)
            except AddonHalt:
                break
            except (Exception, asyncio.CancelledError) as exc:
                if not self._failed(name, data, exc):
                    break
                continue
            if result is not None and hasattr(result, "__await__") and not await self._await(name, data, result):
                break
        if getattr(data, "intercepted", False):
            await data.wait_for_resume()

    async def _await(self, name: str, data: Any, pending: Awaitable[object]) -> bool:
        """Await one handler; whether the handlers after it still run."""
        try:
            await pending
        except AddonHalt:
            return False
        except (Exception, asyncio.CancelledError) as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the connection itself is going down, and nothing follows
            return self._failed(name, data, exc)
        return True

    def _failed(self, name: str, data: Any, exc: BaseException) -> bool:
        """Close what a failed hook would have left open; True where the policy says open."""
        logger.error("hook %s failed with %s", name, where(exc))
        before = getattr(data, "response", None)
        if self._ask_policy(name, data, exc):
            return True
        if name in _REPLACEABLE and isinstance(data, http.HTTPFlow) and _answered(data, before):
            data.request.stream = False
            return False
        if name == "client_connected" or name == "server_connect":
            target = data if isinstance(data, Client) else data.server
            target.error = "midstream: a policy hook failed"
        elif name in _CHECKED:
            data.error = flow.Error(flow.Error.KILLED_MESSAGE)
            data.intercepted = False
        elif name not in _TOO_LATE:
            raise HookError(name) from exc
        return False

    def _ask_policy(self, name: str, data: Any, exc: BaseException) -> bool:
        """Whether any addon's `hook_failed(name, data, exc)` says this failure is open. A failure of it is a no."""
        for told in self.handlers("hook_failed"):
            try:
                if told(name, data, exc) is True:
                    return True
            except Exception as second:
                logger.error("hook_failed itself failed with %s", where(second))
        return False

    def trigger(self, event: hooks.Hook) -> None:
        """Run a lifecycle hook (configure, load); its exceptions propagate, so that a bad start is no start."""
        for handler in self.handlers(event.name):
            handler(*event.args())

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Run a lifecycle hook (running, done); its exceptions propagate."""
        for handler in self.handlers(event.name):
            pending = handler(*event.args())
            if pending is not None and hasattr(pending, "__await__"):
                await pending


def _answered(flow: http.HTTPFlow, before: http.Response | None) -> bool:
    return flow.response is not None and flow.response is not before


def where(exc: BaseException) -> str:
    """An exception for the log: its type and place. Never its message, which may quote the body it failed on."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(exc).__name__ + place


_FIELDS: dict[type, tuple[str, ...]] = {}


def _arguments(hook: hooks.Hook) -> tuple[Any, ...]:
    """A hook's arguments; its fields are looked up once per class (mitmproxy does it at every call)."""
    kind = type(hook)
    names = _FIELDS.get(kind)
    if names is None:
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # every hook is a dataclass
        names = _FIELDS[kind] = tuple(field.name for field in fields)
    return tuple([getattr(hook, name) for name in names])
