"""Services over HTTP: what is sent, what an answer means, and how failures show (DESIGN, section 5)."""

from __future__ import annotations

import asyncio
import logging
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequential_adaptor import values
from sequential_adaptor.errors import CallFailed, ConfigurationError, InvalidId, InvalidValue, ServiceError
from sequential_adaptor.services import ServiceClient
from sequential_adaptor.services.failures import LONGEST_WAIT, retry_after_seconds

FALSY: list[Any] = [0, False, "", [], {}, None, -0.0]


@pytest.fixture
async def client(server: Any) -> Any:
    async with ServiceClient(server.url, "s3cret-token", timeout=5) as client:
        yield client


async def failure(client: ServiceClient, **options: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await client.call("database", "users.list", [1], **options)
    return caught.value


async def test_a_call_is_one_post_of_a_chain_with_token_and_key(client: Any, server: Any) -> None:
    assert await client.call("database", "users.list", {"page": 1}, idempotency_key="run.7") == "ok"
    [request] = server.received
    assert (request.method, request.target) == ("POST", "/functions/v1/database")
    assert request.json() == {"chain": [{"property": "users.list", "args": {"page": 1}}]}
    assert request.header("authorization") == "Bearer s3cret-token"
    assert request.header("idempotency-key") == "run.7"
    assert request.header("content-type") == "application/json"


async def test_without_a_key_none_is_sent_and_a_service_can_do_without(client: Any, server: Any) -> None:
    client.register_service("plain", "database", idempotency=False)
    await client.call("database", "a")
    await client.call("plain", "a", idempotency_key="run.1")
    assert [request.header("idempotency-key") for request in server.received] == [None, None]
    assert [request.target for request in server.received] == ["/functions/v1/database"] * 2


@pytest.mark.parametrize("value", [*FALSY, "ü🙂\u2028", 2**200, [1, {"b": 1, "a": [None]}], {"result": 1}], ids=repr)
async def test_the_answer_is_the_value_of_result_whatever_it_is(
    client: Any, server: Any, answer: Any, value: Any
) -> None:
    server.plan(answer(body=values.encode({"result": value, "more": 1}).encode()))
    assert values.identical(await client.call("s", "m"), value)


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, {"results": 1}, ["result"], {"error": "no"}], ids=repr)
async def test_without_the_key_result_the_answer_is_the_whole_body(
    client: Any, server: Any, answer: Any, value: Any
) -> None:
    server.plan(answer(body=values.encode(value).encode()))
    assert values.identical(await client.call("s", "m"), value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
async def test_values_pass_both_ways_exactly(value: Any) -> None:
    async def echo(method: str, params: Any) -> Any:
        return params

    client = ServiceClient()
    client.register_service("echo", echo)
    assert values.identical(await client.call("echo", "m", value), value)


async def test_a_byte_order_mark_is_no_part_of_an_answer(client: Any, server: Any, answer: Any) -> None:
    """Some frameworks begin their JSON with one."""
    server.plan(answer(body=b'\xef\xbb\xbf{"result": 1}'), answer(400, body=b'\xef\xbb\xbf{"error": "no"}'))
    assert await client.call("s", "m") == 1
    assert (await failure(client)).message.endswith(": no")


async def test_an_answer_without_content_is_none(client: Any, server: Any, answer: Any) -> None:
    server.plan(answer(204))
    assert await client.call("s", "m") is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "InvalidAnswer"),
        (b"<html>hello</html>", "InvalidAnswer"),
        (b'{"result": ', "InvalidAnswer"),
        (b"\xff\xfe", "InvalidAnswer"),
        (b'{"result": NaN}', "InvalidValue"),
        (b'{"result": 1e999}', "InvalidValue"),
        (b'{"result": "\\ud800"}', "InvalidValue"),
        (b"[" * 5000 + b"]" * 5000, "InvalidValue"),
        (b"[" * 500_000, "InvalidAnswer"),
    ],
    ids=lambda part: repr(part)[:30],
)
async def test_an_answer_that_cannot_be_kept_is_an_error_that_is_final(
    client: Any, server: Any, answer: Any, body: bytes, kind: str
) -> None:
    server.plan(answer(body=body))
    error = await failure(client)
    assert (error.retryable, error.operation) == (False, "database.users.list")
    assert error.type in (kind, "InvalidAnswer")
    assert str(error).startswith("database.users.list: the answer ")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
async def test_408_429_and_5xx_may_be_tried_again_and_are_not_by_the_client(
    client: Any, server: Any, as_json: Any, status: int
) -> None:
    server.plan(as_json({"error": {"message": "busy"}}, status))
    error = await failure(client)
    assert (error.status_code, error.retryable, len(server.received)) == (status, True, 1)
    assert "busy" in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 409, 422])
async def test_other_statuses_are_final_and_redirects_are_not_followed(
    client: Any, server: Any, answer: Any, status: int
) -> None:
    server.plan(answer(status, b"no", (("location", server.url + "/elsewhere"),)))
    error = await failure(client)
    assert (error.status_code, error.retryable, len(server.received)) == (status, False, 1)


@pytest.mark.parametrize("asked", ["7", " 7 ", "7.0"])
async def test_retry_after_in_seconds(client: Any, server: Any, answer: Any, asked: str) -> None:
    server.plan(answer(429, b"", (("retry-after", asked),)))
    assert (await failure(client)).retry_after == 7.0


@given(seconds=st.integers(-(10**6), 10**6))
def test_retry_after_as_a_date_is_the_time_until_then(seconds: int) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_seconds(text, now) == min(max(seconds, 0), LONGEST_WAIT)


@given(
    text=st.text() | st.sampled_from(["nan", "inf", "-1", "1e400", "9" * 400, "Sun, 99 Nov 9999999 00:00:00 GMT", "٣"])
)
def test_retry_after_is_none_or_from_nothing_to_a_day_whatever_is_sent(text: str) -> None:
    found = retry_after_seconds(text)
    assert found is None or 0 <= found <= LONGEST_WAIT


async def test_network_errors_may_be_tried_again(client: Any, server: Any, answer: Any) -> None:
    server.plan(answer(drop=True), answer(body=b"{}", promised=100))
    dropped, torn = await failure(client), await failure(client)
    assert (dropped.type, dropped.retryable) == ("httpx.RemoteProtocolError", True)
    assert (torn.type, torn.retryable) == ("httpx.RemoteProtocolError", True)
    unreachable = await failure(ServiceClient("http://127.0.0.1:1"))
    assert (unreachable.type, unreachable.retryable) == ("httpx.ConnectError", True)


@pytest.mark.parametrize("slow", [{"delay": 5}, {"pause": 0.1, "body": b" " * 50}], ids=["head", "body"])
async def test_the_timeout_bounds_the_whole_call(client: Any, server: Any, answer: Any, slow: Any) -> None:
    server.plan(answer(**slow))
    async with asyncio.timeout(3):
        error = await failure(client, timeout=0.3)
    assert (error.type, error.retryable, error.message) == (
        "TimeoutError",
        True,
        "database.users.list: no answer within 0.3 s",
    )


async def test_a_timeout_of_the_service_holds_where_the_call_names_none(client: Any, server: Any, answer: Any) -> None:
    client.register_service("database", "database", timeout=0.2)
    server.plan(answer(delay=5))
    assert "0.2 s" in str(await failure(client))


@pytest.mark.parametrize(
    "huge", [{"body": b"x" * 3000}, {"body": b"x" * 100, "chunks": 10_000}], ids=["length", "chunks"]
)
async def test_an_answer_is_read_up_to_the_limit(server: Any, answer: Any, huge: Any) -> None:
    async with ServiceClient(server.url, max_answer_bytes=2000) as client:
        server.plan(answer(**huge))
        error = await failure(client)
        assert (error.type, error.retryable) == ("AnswerTooLarge", False)
        assert "2,000 bytes" in str(error)
        assert await client.call("s", "m") == "ok"


async def test_an_answer_as_long_as_the_limit_is_read(server: Any, answer: Any) -> None:
    async with ServiceClient(server.url, max_answer_bytes=2000) as client:
        server.plan(answer(body=b'"' + b"x" * 1998 + b'"'))
        assert await client.call("s", "m") == "x" * 1998


async def test_calls_share_connections(client: Any, server: Any) -> None:
    for _ in range(5):
        await client.call("s", "m")
    assert server.connections == 1


async def test_many_calls_side_by_side_all_get_through(client: Any, server: Any) -> None:
    assert await asyncio.gather(*(client.call("s", "m", n) for n in range(150))) == ["ok"] * 150
    assert sorted(request.json()["chain"][0]["args"] for request in server.received) == [*range(150)]


async def test_the_token_shows_nowhere(client: Any, server: Any, as_json: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        await client.call("s", "m")
        server.plan(as_json({"error": "token s3cret-token is not valid"}, 401))
        error = await failure(client)
    assert "not valid" in str(error)
    shown = [str(error), repr(error), repr(client), repr(vars(client)), caplog.text, repr(error.__cause__)]
    assert not [text for text in shown[:-1] if "s3cret" in text]
    with pytest.raises(TypeError):
        pickle.dumps(client._token)


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a:b", "..", "-a", "a b", "ü", "a" * 65, "a\n", None, 3], ids=repr)
async def test_an_alias_or_endpoint_that_is_no_name_is_refused_before_anything_is_sent(
    client: Any, server: Any, name: Any
) -> None:
    with pytest.raises(InvalidId):
        client.register_service(name, "endpoint")
    with pytest.raises(InvalidId):
        await client.call(name, "method")
    if isinstance(name, str):
        with pytest.raises(InvalidId):
            client.register_service("alias", name)
    assert server.received == []


async def test_parameters_that_are_not_json_are_refused_with_their_path(client: Any, server: Any) -> None:
    with pytest.raises(InvalidValue, match=r"params\.users\[1\]"):
        await client.call("s", "m", {"users": [1, {2}]})
    assert server.received == []


@pytest.mark.parametrize(
    "address", ["localhost:80", "ftp://x", "https://", "https://u:pw@host", "https://h/?q=1", "nonsense"]
)
def test_an_address_that_cannot_be_right_is_refused_and_shows_no_password(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServiceClient(address)
    assert "pw" not in str(caught.value)


def test_a_token_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServiceClient("https://host", "s3cret\n")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"attempts": True}, {"timeout": 0}, {"timeout": "5"}])
def test_settings_of_a_service_are_checked(bad: Any) -> None:
    with pytest.raises(ConfigurationError):
        ServiceClient().register_service("s", "s", **bad)


async def test_the_environment_names_address_and_token(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_BASE_URL", server.url + "/")
    monkeypatch.setenv("SERVICE_AUTH_TOKEN", "from-env")
    async with ServiceClient() as client:
        await client.call("s", "m")
    [request] = server.received
    assert (request.target, request.header("authorization")) == ("/functions/v1/s", "Bearer from-env")


async def test_without_an_address_the_error_names_the_variable() -> None:
    error = await failure(ServiceClient())
    assert "SERVICE_BASE_URL" in str(error)
    assert isinstance(error, CallFailed)


def test_one_client_serves_several_loops_one_after_the_other() -> None:
    async def once(client: ServiceClient) -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"ok"')
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            client.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            found: str = await client.call("s", "m")
            await client.aclose()
            return found

    client = ServiceClient("http://127.0.0.1:1")
    assert [asyncio.run(once(client)) for _ in range(3)] == ["ok"] * 3
