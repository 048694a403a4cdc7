"""What a frame does for its task's code: the functions of :mod:`sequential_adaptor.task`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from sequential_adaptor import ids, values
from sequential_adaptor.errors import TaskError
from sequential_adaptor.runners.base import Call, Ending
from sequential_adaptor.runners.fetch import failures
from sequential_adaptor.runners.fetch.call_book import Pending
from sequential_adaptor.runners.fetch.copies import checked, fresh
from sequential_adaptor.runners.fetch.frame import Frame
from sequential_adaptor.runners.fetch.queueing import checked_place
from sequential_adaptor.task._response import Response
from sequential_adaptor.values import JSON

Options = Mapping[str, JSON]


class TaskFrame(Frame):
    """A frame as its task's code sees it: :class:`sequential_adaptor.task._host.Host`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._placeholders: dict[str, str] = {}

    # ---- calls

    async def fetch(
        self,
        url: str,
        *,
        method: str,
        headers: Any,
        params: Any,
        json: Any,
        data: Any,
        timeout: float | None,
        attempts: int | None,
        follow_redirects: bool,
        idempotency_key: bool,
    ) -> Response:
        """See :func:`sequential_adaptor.task.fetch`."""
        from sequential_adaptor.runners.fetch.addresses import hide_url
        from sequential_adaptor.runners.fetch.requests import request
        from sequential_adaptor.runners.fetch.wire import response_from_json

        made = request(method, url, headers, params, json, data)
        options = _given(
            timeout=timeout,
            attempts=attempts,
            follow_redirects=None if follow_redirects else False,
            idempotency_key=None if idempotency_key else False,
        )
        answer = response_from_json(await self.http("fetch", made, options, failures.service_error))
        own = answer.url == hide_url(made["url"])  # else it was redirected
        return Response(answer.status, answer.headers, answer.body, made["url"] if own else answer.url)

    async def http(
        self,
        operation: str,
        request: dict[str, JSON],
        options: Options,
        revive: failures.Revive,
        function: Callable[[], Any] | None = None,
    ) -> JSON:
        """Make an HTTP request; what is secret in it is not stored, and it is performed in place then."""
        options = self._with_secrets(request, options)
        stored = self.rules.secret_parts.hide(request, self._placeholders)
        call = Call(
            self.calls.count + 1,
            operation,
            request if stored is None else stored,
            options or None,
            function,
            None if stored is None else request,
        )
        return await self.outcome(self.begin(call, revive))

    async def call_host_tool(
        self, service: str, method: str, args: Any, *, attempts: int | None, timeout: float | None
    ) -> Any:
        """See :func:`sequential_adaptor.task.call_host_tool`."""
        if not service or not method or "." in service or ":" in service:
            raise ValueError(
                f"{service!r}, {method!r}: a service and a method have names, and a service's has no dot or colon"
            )
        input = checked(args, f"the arguments of {service}.{method}")
        options = self._with_secrets(input, _given(attempts=attempts, timeout=timeout))
        call = Call(self.calls.count + 1, f"{service}.{method}", input, options or None)
        return await self.outcome(self.begin(call, failures.service_error))

    async def step(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """See :func:`sequential_adaptor.task.step`."""
        name = _name_of(function)
        input = checked(list(args), f"the arguments of step {name}")
        self._refuse_secrets(input, f"step {name}")
        run = _Step(function, input)
        call = Call(self.calls.count + 1, f"step:{name}", input, None, run.coroutine if run.is_async else run)
        return await self.outcome(self.begin(call, failures.step_error(self.own_modules)))

    async def run_task(self, identifier: str, input: Any, *, id: str | None, detached: bool, **place: Any) -> Any:
        """See :func:`sequential_adaptor.task.run_task`."""
        ids.check_identifier(identifier)
        if id is not None:
            ids.check_run_id(id)
        given = checked(input, f"the input of task {identifier}")
        self._refuse_secrets(given, f"task {identifier}")
        options = _given(id=id, detached=detached or None, **checked_place(**place))
        call = Call(self.calls.count + 1, f"task:{identifier}", given, options or None)
        return await self.outcome(self.begin(call, failures.child_error))

    # ---- calls that end by themselves

    async def sleep(self, seconds: float) -> None:
        """See :func:`sequential_adaptor.task.sleep`."""
        if math.isnan(seconds):
            raise ValueError("a pause of NaN seconds")
        input = {"seconds": seconds} if math.isfinite(seconds) else None
        pending = self.begin(Call(self.calls.count + 1, "sleep", checked(input, "a pause")), failures.call_error)
        if seconds <= 0:
            self._settle(pending, None)
            return await asyncio.sleep(0)
        timer = self.loop.call_later(seconds, self._settle, pending, None)
        pending.given_up = timer.cancel
        await self.outcome(pending)
        return None

    async def wait_for_event(self, name: str, *, timeout: float | None) -> Any:
        """See :func:`sequential_adaptor.task.wait_for_event`."""
        ids.check_key(name)
        call = Call(self.calls.count + 1, f"wait:{name}", None, _given(timeout=timeout) or None)
        pending = self.begin(call, failures.call_error)
        if (event := self.inbox.take(name)) is not None:
            self._settle(pending, event[0])
            return fresh(event[0])
        self.inbox.wait(name, pending)
        timer = None if timeout is None else self.loop.call_later(max(0, timeout), self._expire, name, timeout, pending)
        pending.given_up = functools.partial(self.inbox.give_up, name, pending)
        try:
            return await self.outcome(pending)
        finally:
            if timer is not None:
                timer.cancel()

    def _settle(self, pending: Pending, result: JSON) -> None:
        self.calls.settle(pending.call.sequence, Ending("completed", result=result))
        if not pending.future.done():
            pending.future.set_result(fresh(result))

    def _expire(self, name: str, timeout: float, pending: Pending) -> None:
        if not pending.future.done():
            message = f"no event {name!r} within {timeout:g} s"
            self.inbox.give_up(name, pending)
            error = {"type": "TimeoutError", "message": message}
            self.calls.settle(pending.call.sequence, Ending("failed", error=error))
            pending.future.set_exception(TimeoutError(message))

    # ---- what is no call

    def secret(self, name: str) -> str:
        """See :func:`sequential_adaptor.task.secret`."""
        placeholder = self.chance.placeholder(ids.check_key(name))
        self._placeholders[placeholder] = name
        return placeholder

    def log(self, text: str) -> None:
        """See :func:`sequential_adaptor.task.log`."""
        self.log_lines.write(text)

    def has_secrets(self, value: JSON) -> bool:
        """Whether placeholders of secrets are in a value."""
        return bool(self._secrets_in(value))

    def _with_secrets(self, value: JSON, options: Options) -> Options:
        found = self._secrets_in(value)
        return {**options, "secrets": found} if found else options

    def _secrets_in(self, value: JSON) -> dict[str, str]:
        if not self._placeholders:
            return {}
        text = values.encode(value)
        credentials = _credentials(value)
        return {mark: name for mark, name in self._placeholders.items() if mark in text or mark in credentials}

    def _refuse_secrets(self, value: JSON, what: str) -> None:
        for name in self._secrets_in(value).values():
            raise TaskError(
                f"secret({name!r}) is put into requests and calls of services only; {what} would get a placeholder"
            )


class _Step:
    """A step's function with its arguments, which it gets as copies of its own each time."""

    def __init__(self, function: Callable[..., Any], args: list[JSON]) -> None:
        self._function, self._args = function, args
        self.is_async = inspect.iscoroutinefunction(function)

    def __call__(self) -> Any:
        return self._function(*fresh(self._args))

    async def coroutine(self) -> Any:
        """The same, awaited."""
        return await self._function(*fresh(self._args))


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def _given(**options: JSON) -> dict[str, JSON]:
    return {name: value for name, value in options.items() if value is not None}


def _credentials(value: JSON) -> str:
    """What Basic credentials say, in a request that has some: a placeholder does not show in base64."""
    from sequential_adaptor.runners.fetch.wire import basic_credentials

    if not isinstance(value, dict) or not isinstance(value.get("headers"), list):
        return ""
    return " ".join(basic_credentials(text) or "" for name, text in value["headers"] if name.endswith("authorization"))
