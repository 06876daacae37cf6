"""The bookkeeping of one exchange: its budget from reservation to settlement, its audit record, its counts.

Ends exactly once, whichever of mitmproxy's hooks comes first. What is decided about the exchange is not known here.
"""

import logging
from typing import Final, NamedTuple

from proxy.audit.records import Record, budget_record, exchange_record, failure_record
from proxy.bodies import STOP_RETRYING, Refusal
from proxy.books import Books
from proxy.effects import prices
from proxy.effects.budget import Budgets, BudgetUnavailable, Denial, Grant, estimate_tokens
from proxy.exchange import Exchange

logger = logging.getLogger(__name__)

UPGRADED: Final = 101
"""The handshake of a WebSocket (RFC 6455 §4.2.2)."""
FREE: Final = ("/count_tokens",)
"""Endpoints of a model format that spend nothing."""


class Unaffordable(NamedTuple):
    """Why a request may not go up, as it is told to the client."""

    status: int
    message: str
    headers: tuple[tuple[str, str], ...]


class Session:
    """One exchange's bookkeeping."""

    def __init__(self, books: Books, exchange: Exchange, budgets: Budgets) -> None:
        self._books = books
        self._exchange = exchange
        self._budgets = budgets
        self._grant: Grant | None = None
        self._refusal: Refusal | None = None
        self._failure: str | None = None
        self._ended = False
        self._spent = 0

    @property
    def budgeted(self) -> bool:
        """Whether this exchange spends from any budget."""
        path = self._exchange.context.flow.path.partition("?")[0]
        return len(self._budgets) > 0 and self._is_model_request(path)

    def _is_model_request(self, path: str) -> bool:
        return self._exchange.codec.is_model and not path.endswith(FREE)

    async def reserve(self, size: int) -> Unaffordable | None:
        """Hold the estimated spending of a request of `size` bytes; why it may not go up, else None."""
        request, context = self._exchange.request, self._exchange.context
        most = request.max_output if request is not None else None
        try:
            answer = await self._budgets.reserve(
                context.agent.id, context.provider, context.model, estimate_tokens(size), most
            )
        except BudgetUnavailable as error:
            if self._exchange.policy.failure == "open":
                self.failed_open(error)
                return None
            message = "[midstream] The budget store does not answer, so nothing may be spent. The operator can help."
            return Unaffordable(503, message, STOP_RETRYING)
        if isinstance(answer, Denial):
            self._exchange.judge.tally.denials[answer.budget_id] += 1
            self._note_budget(answer.budget_id, "deny", answer.status, answer.retry_after_seconds)
            return Unaffordable(answer.status, f"[midstream] {answer.message}", _retry(answer))
        self._grant = answer
        for budget in answer.warnings:
            self._note_budget(budget, "warn")
        return None

    def _note_budget(self, budget: str, verdict: str, status: int | None = None, wait: int | None = None) -> None:
        context = self._exchange.context
        record = budget_record(
            agent=context.agent.id,
            flow=context.flow.id,
            budget=budget,
            verdict=verdict,
            status=status,
            retry_after=wait,
        )
        self._books.audit.append(record)

    def refused(self, refusal: Refusal) -> None:
        """The client gets a refusal instead of an answer."""
        self._refusal = refusal

    def failed_open(self, error: BaseException) -> None:
        """Something failed and the policy let the exchange pass: said here and in the audit record."""
        self._failed(error, "open")

    def cut_off(self, error: BaseException) -> None:
        """A stream could not be decided and was ended."""
        self._failed(error, "closed")

    def _failed(self, error: BaseException, policy: str) -> None:
        flow = self._exchange.context.flow.id
        self._failure = f"{policy}: {type(error).__name__}"
        self._books.audit.append(failure_record(component="exchange", error=error, policy=policy, flow=flow))
        logger.error("flow %s could not be decided (failure: %s)", flow, policy, exc_info=error)

    def end(self, status: int | None, *, reached: bool = True) -> None:
        """The exchange is over: `status` of the answer, None where it broke off. Only the first call counts.

        `reached`: whether the provider was ever connected to, so that it may have charged something.
        """
        if self._ended:
            return
        self._ended = True
        self._exchange.lifecycle.ends(status, refused=self._refusal is not None)
        self._spent = self._cost()
        self._count(status)
        self._books.audit.append(self._record(status))
        if self._grant is not None:
            self._books.spawn(self._close(self._grant, status, reached))

    async def _close(self, grant: Grant, status: int | None, reached: bool) -> None:
        tally = self._exchange.judge.tally
        # Where the client left early (no status) the provider may have read the request: its input is booked.
        failed = not reached or (status is not None and status >= 400)
        nothing_spent = failed and tally.usage is None and not tally.output_chars
        try:
            if nothing_spent:
                await self._budgets.release(grant)
            else:
                await self._budgets.settle(grant, tally.usage, tally.output_chars, complete=status is not None)
        except BudgetUnavailable as error:
            logger.error("flow %s: its spending could not be booked: %s", self._exchange.context.flow.id, error)

    def _count(self, status: int | None) -> None:
        books, tally = self._books, self._exchange.judge.tally
        books.totals["requests"] += status != UPGRADED  # what is asked for on a WebSocket comes after
        books.totals["denied"] += tally.denials.total()
        books.findings += tally.findings
        books.rules += tally.rules
        if tally.usage is not None:
            books.totals["input_tokens"] += tally.usage.input
            books.totals["output_tokens"] += tally.usage.output
            books.totals["nano_usd"] += self._spent

    def _cost(self) -> int:
        context, usage = self._exchange.context, self._exchange.judge.tally.usage
        return prices.cost(context.provider, context.model, usage) if usage is not None else 0

    def _record(self, status: int | None) -> Record:
        """The audit record of the exchange as a whole."""
        judge, context = self._exchange.judge, self._exchange.context
        tally = judge.tally
        names = {
            "agent": context.agent.id,
            "session": judge.tellable(context.session),
            "run": context.run,
            "provider": context.provider,
            "format": context.format,
            "model": judge.tellable(context.model),
            "stop_reason": tally.stop_reason,
            "failure": self._failure,
        }
        return exchange_record(
            flow=context.flow,
            names=names,
            status=status,
            refused=self._refusal is not None,
            usage=tally.usage,
            nano_usd=self._spent,
            counts={"findings": tally.findings, "rules": tally.rules, "denials": tally.denials},
        )


def _retry(denial: Denial) -> tuple[tuple[str, str], ...]:
    if denial.retry_after_seconds is None:
        return STOP_RETRYING
    return (("retry-after", str(denial.retry_after_seconds)),)
