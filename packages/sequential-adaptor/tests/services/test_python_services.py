"""Services in Python: functions and objects behind an alias."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError, ServiceError
from sequential_adaptor.services import ServiceClient


@pytest.fixture
async def client() -> Any:
    async with ServiceClient(timeout=5) as client:
        yield client


class Users:
    def __init__(self) -> None:
        self.admin = Admin()

    def get(self, id: int, *, detail: bool = False) -> dict[str, Any]:
        return {"id": id, "detail": detail}

    async def count(self) -> int:
        return 2

    def _private(self) -> str:
        return "hidden"


class Admin:
    def keyed(self, value: Any, idempotency_key: str = "none") -> list[Any]:
        return [value, idempotency_key]


async def test_a_function_gets_method_and_params_in_a_thread_of_its_own(client: Any) -> None:
    client.register_service("f", lambda *given: [*given, threading.current_thread() is threading.main_thread()])
    assert await client.call("f", "a.b", {"x": 1}) == ["a.b", {"x": 1}, False]


async def test_an_async_function_runs_on_the_loop(client: Any) -> None:
    async def f(method: str, params: Any) -> bool:
        return threading.current_thread() is threading.main_thread()

    client.register_service("f", f)
    assert await client.call("f", "m") is True


async def test_a_callable_object_with_an_async_call_runs_on_the_loop(client: Any) -> None:
    class F:
        async def __call__(self, method: str, params: Any) -> bool:
            return threading.current_thread() is threading.main_thread()

    client.register_service("f", F())
    assert await client.call("f", "m") is True


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("get", [7], {"id": 7, "detail": False}),
        ("get", {"id": 7, "detail": True}, {"id": 7, "detail": True}),
        ("get", 0, {"id": 0, "detail": False}),
        ("count", None, 2),
        ("admin.keyed", ["v"], ["v", "run.3"]),
    ],
)
async def test_an_object_has_its_method_looked_up_along_the_dots(
    client: Any, method: str, params: Any, result: Any
) -> None:
    client.register_service("users", Users())
    assert await client.call("users", method, params, idempotency_key="run.3") == result


@pytest.mark.parametrize("method", ["_private", "__class__", "get.__globals__", "admin", "nothing", "", "admin..keyed"])
async def test_what_is_no_public_method_is_not_called_and_the_error_names_what_there_is(
    client: Any, method: str
) -> None:
    client.register_service("users", Users())
    with pytest.raises(ServiceError, match="admin, count, get") as caught:
        await client.call("users", method)
    assert caught.value.retryable is False


@pytest.mark.parametrize("value", [0, False, "", [], {}, None])
async def test_falsy_answers_come_back(client: Any, value: Any) -> None:
    client.register_service("f", lambda method, params: value)
    found = await client.call("f", "m")
    assert (found, type(found)) == (value, type(value))


async def test_answers_and_parameters_are_copies(client: Any) -> None:
    kept: list[Any] = []

    def f(method: str, params: Any) -> Any:
        kept.append(params)
        return kept

    client.register_service("f", f)
    params = {"a": [1]}
    answer = await client.call("f", "m", params)
    answer[0]["a"].append(2)
    assert kept == [{"a": [1]}]
    assert params == {"a": [1]}


@pytest.mark.parametrize(
    ("answer", "path"), [({"a": {1, 2}}, r"\$\.a: a set"), (float("nan"), r"\$: NaN"), (b"", "bytes")]
)
async def test_an_answer_that_is_not_json_is_an_error_with_its_path(client: Any, answer: Any, path: str) -> None:
    client.register_service("f", lambda method, params: answer)
    with pytest.raises(ServiceError, match=f"f.m: the answer cannot be stored: .*{path}"):
        await client.call("f", "m")


@pytest.mark.parametrize(
    ("raised", "retryable"),
    [
        (ValueError("no"), False),
        (ConnectionResetError("gone"), True),
        (StopIteration(1), False),
        (KeyError("k"), False),
    ],
    ids=repr,
)
async def test_what_a_service_raises_is_a_service_error_of_that_type(
    client: Any, raised: Exception, retryable: bool
) -> None:
    def f(method: str, params: Any) -> None:
        raise raised

    client.register_service("f", f)
    with pytest.raises(ServiceError) as caught:
        await client.call("f", "m")
    kind = "RuntimeError" if isinstance(raised, StopIteration) else type(raised).__name__
    assert (caught.value.type, caught.value.retryable, caught.value.operation) == (kind, retryable, "f.m")


async def test_a_service_error_keeps_what_it_says(client: Any) -> None:
    def f(method: str, params: Any) -> None:
        raise ServiceError("later", type="Busy", retryable=True, status_code=503, retry_after=4.0)

    client.register_service("f", f)
    with pytest.raises(ServiceError) as caught:
        await client.call("f", "m")
    error = caught.value
    assert (error.type, error.retryable, error.status_code, error.retry_after) == ("Busy", True, 503, 4.0)
    assert error.message == "f.m: later"


async def test_a_service_that_is_silent_times_out(client: Any) -> None:
    async def f(method: str, params: Any) -> None:
        await asyncio.sleep(60)

    client.register_service("f", f, timeout=0.1)
    with pytest.raises(ServiceError, match=r"no answer within 0\.1 s") as caught:
        await client.call("f", "m")
    assert caught.value.retryable


async def test_a_cancelled_call_is_cancelled_and_no_service_error(client: Any) -> None:
    started = asyncio.Event()

    async def f(method: str, params: Any) -> None:
        started.set()
        await asyncio.sleep(60)

    client.register_service("f", f)
    task = asyncio.create_task(client.call("f", "m"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_context_variables_reach_the_thread(client: Any) -> None:
    here = contextvars.ContextVar("here", default="unset")
    here.set("set")
    client.register_service("f", lambda method, params: here.get())
    assert await client.call("f", "m") == "set"


@pytest.mark.parametrize("endpoint", [None, Users, 5, [1], {"a": 1}, b"x"], ids=repr)
def test_what_cannot_be_a_service_is_refused(endpoint: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        ServiceClient().register_service("s", endpoint)


async def test_the_last_registration_counts(client: Any) -> None:
    client.register_service("f", lambda method, params: 1)
    client.register_service("f", lambda method, params: 2)
    assert await client.call("f", "m") == 2


async def test_32_services_in_threads_run_side_by_side(client: Any) -> None:
    everybody = threading.Barrier(32)
    client.register_service("f", lambda method, params: everybody.wait(4) >= 0)
    assert await asyncio.gather(*(client.call("f", "m") for _ in range(32))) == [True] * 32


async def test_closing_twice_is_harmless() -> None:
    client = ServiceClient()
    client.register_service("f", lambda method, params: 1)
    await client.call("f", "m")
    await client.aclose()
    await client.aclose()
