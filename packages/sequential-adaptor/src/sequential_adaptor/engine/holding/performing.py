"""How one outside call is performed, once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from sequential_adaptor import telemetry, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.functions import Functions
from sequential_adaptor.engine.holding.retrying import DEFAULT_ATTEMPTS, RetryPolicy
from sequential_adaptor.errors import CallFailed, InvalidValue
from sequential_adaptor.outcomes import Outcome, failed, not_storable
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Call
from sequential_adaptor.services.failures import is_retryable_status, retry_after_seconds
from sequential_adaptor.telemetry.logs import AboutCall
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.services.sending import HttpSender
    from sequential_adaptor.storage import StorageAdapter

FETCH = "fetch"
HTTPX = "httpx"


class Performer:
    """Performs calls: HTTP requests, service calls, Python functions. It keeps no record and tries nothing twice."""

    def __init__(self, store: StorageAdapter, services: ServiceClient) -> None:
        self._store = store
        self._services = services
        self._sender: HttpSender | None = None
        self._functions = Functions()

    def policy(self, call: StackRun) -> RetryPolicy:
        """How often a call may be tried: by its own options, else by its service's, else by the default."""
        if call.operation == HTTPX or call.operation.startswith(rules.STEP):
            return RetryPolicy(attempts=1)
        attempts = (call.options or {}).get("attempts")
        if attempts is None and call.operation != FETCH:
            attempts = self._services.attempts(service_and_method(call.operation)[0])
        return RetryPolicy(attempts=DEFAULT_ATTEMPTS if attempts is None else attempts)

    async def perform(self, record: StackRun, live: Call | None = None) -> Outcome:
        """Perform the call. ``live`` is the call as its session has it, with what is not stored of it."""
        with AboutCall(record):
            if telemetry.active is None:
                return await self._perform(record, live)
            return await telemetry.active.performing(self._store, record, partial(self._perform, record, live))

    async def _perform(self, record: StackRun, live: Call | None) -> Outcome:
        try:
            outcome = await self._send(record, live)
            values.check(outcome.result)
        except InvalidValue as error:
            return not_storable(record.operation, error)
        except asyncio.CancelledError as error:
            if _is_given_up():
                raise
            return failed(RuntimeError(f"{record.operation} was cancelled from within: {error!r}"))
        except Exception as error:  # whatever the other side does ends up inside the task, at the line of the call
            return failed(error)
        except (GeneratorExit, KeyboardInterrupt):  # it is we who are to stop
            raise
        except BaseException as error:  # a function that calls sys.exit() ends its call, and not the worker
            return failed(RuntimeError(f"{record.operation} raised {error!r}"))
        return outcome

    async def aclose(self) -> None:
        """Close the connections."""
        self._functions.close()
        if self._sender is not None:
            await self._sender.aclose()

    async def _send(self, record: StackRun, live: Call | None) -> Outcome:
        if live is not None and live.function is not None:
            return Outcome(result=await self._functions.call(live.function))
        input = record.input if live is None or live.live_input is None else live.live_input
        if record.operation in (FETCH, HTTPX):
            return await self._send_http(record, input)
        if record.operation.startswith(rules.STEP):
            raise CallFailed(f"{record.operation} can be performed only by the holder of its task")
        return Outcome(result=await self._call_service(record, input))

    async def _send_http(self, record: StackRun, input: JSON) -> Outcome:
        answer = await self._http().send(
            input,
            operation=record.operation,
            options=record.options or {},
            idempotency_key=record.id,
            resolve=self._secret,
        )
        headers = dict(answer["headers"])
        retryable = record.operation == FETCH and is_retryable_status(answer["status"])
        return Outcome(result=answer, retryable=retryable, retry_after=retry_after_seconds(headers.get("retry-after")))

    async def _call_service(self, record: StackRun, input: JSON) -> JSON:
        service, method = service_and_method(record.operation)
        options = record.options or {}
        return await self._services.call(
            service,
            method,
            input,
            idempotency_key=record.id,
            timeout=options.get("timeout"),
            secrets=options.get("secrets"),
            resolve=self._secret,
        )

    def _http(self) -> HttpSender:
        if self._sender is None:
            from sequential_adaptor.services.sending import HttpSender

            self._sender = HttpSender()
        return self._sender

    async def _secret(self, name: str) -> JSON:
        return await self._store.get_keystore(name)


def _is_given_up() -> bool:
    """Whether it is we who cancel the call, and not something that its own code awaits."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def service_and_method(operation: str) -> tuple[str, str]:
    """``database.users.get`` is the method ``users.get`` of the service ``database``."""
    service, _, method = operation.partition(".")
    return service, method
