"""Stored HTTP requests, performed: what goes out, what comes back, and where secrets may go."""

from __future__ import annotations

import asyncio
import gzip
import logging
import traceback
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor import values
from sequential_adaptor.errors import CallFailed
from sequential_adaptor.runners.fetch.wire import HttpRequest, body_from_json
from sequential_adaptor.services import HttpSender
from sequential_adaptor.services.redirects import redirected

SECRET = 'pa"ss/wörd +&\\1'


@pytest.fixture
async def sender() -> Any:
    async with HttpSender() as sender:
        yield sender


def stored(url: str, method: str = "GET", body: Any = None, **headers: str) -> dict[str, Any]:
    pairs = [[name.replace("_", "-"), text] for name, text in headers.items()]
    return {"method": method, "url": url, "headers": pairs, "body": body}


async def secret(name: str) -> Any:
    return {"KEY": SECRET, "NUMBER": 7, "TOKEN": "t0ken-value"}.get(name)


async def failure(sender: HttpSender, request: Any, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await sender.send(request, **options)
    return caught.value


@pytest.mark.parametrize("operation", ["fetch", "httpx"])
async def test_the_answer_is_given_whatever_its_status(sender: Any, server: Any, answer: Any, operation: str) -> None:
    server.plan(answer(503, b"busy", (("retry-after", "3"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))))
    found = await sender.send(stored(server.url + "/x?y=1#z"), operation=operation)
    assert found["status"] == 503
    assert found["body"] == "busy"
    assert [pair for pair in found["headers"] if pair[0] == "set-cookie"] == [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
    ]
    assert found["url"] == server.url + "/x?y=1#z"
    assert [request.target for request in server.received] == ["/x?y=1"]


@pytest.mark.parametrize("body", [b"", b"text", "ü🙂".encode(), bytes(range(256)), b"\x00"], ids=repr)
async def test_bodies_pass_both_ways_byte_for_byte(sender: Any, server: Any, answer: Any, body: bytes) -> None:
    from sequential_adaptor.runners.fetch.wire import body_to_json

    server.plan(answer(body=body))
    found = await sender.send(stored(server.url, "PUT", body_to_json(body)))
    assert body_from_json(found["body"]) == body
    assert server.received[0].body == body
    values.check(found)


async def test_content_encodings_are_undone(sender: Any, server: Any, answer: Any) -> None:
    server.plan(answer(body=gzip.compress(b"plain"), headers=(("content-encoding", "gzip"),)))
    found = await sender.send(stored(server.url), operation="httpx")
    assert found["body"] == "plain"
    assert not {"content-encoding", "content-length"} & {name for name, _ in found["headers"]}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH"])
async def test_only_post_and_patch_carry_the_idempotency_key(
    sender: Any, server: Any, answer: Any, method: str
) -> None:
    server.plan(answer(200))
    await sender.send(stored(server.url, method), idempotency_key="run.4")
    expected = "run.4" if method in ("POST", "PATCH") else None
    assert server.received[0].header("idempotency-key") == expected


async def test_a_key_of_the_request_is_kept_and_false_sends_none(sender: Any, server: Any) -> None:
    own = stored(server.url, "POST", idempotency_key="mine")
    await sender.send(own, idempotency_key="run.4", operation="httpx")
    await sender.send(stored(server.url, "POST"), idempotency_key="run.4", options={"idempotency_key": False})
    keys = [[text for name, text in request.headers if name == "idempotency-key"] for request in server.received]
    assert keys == [["mine"], []]


async def test_fetch_follows_redirects_and_says_where_it_came_to(sender: Any, server: Any, answer: Any) -> None:
    server.plan(
        answer(302, b"", (("location", "/a"),)), answer(301, b"", (("location", "b?c"),)), answer(body=b"there")
    )
    found = await sender.send(stored(server.url + "/start", "POST", "data"), idempotency_key="k")
    assert (found["status"], found["body"], found["url"]) == (200, "there", server.url + "/b?c")
    assert [(one.method, one.target, one.body) for one in server.received] == [
        ("POST", "/start", b"data"),
        ("GET", "/a", b""),
        ("GET", "/b?c", b""),
    ]


async def test_307_keeps_method_body_and_key(sender: Any, server: Any, answer: Any) -> None:
    server.plan(answer(307, b"", (("location", "/again"),)))
    await sender.send(stored(server.url, "POST", "data"), idempotency_key="k")
    again = server.received[1]
    assert (again.method, again.target, again.body, again.header("idempotency-key")) == ("POST", "/again", b"data", "k")


@pytest.mark.parametrize(("operation", "options"), [("httpx", {}), ("fetch", {"follow_redirects": False})])
async def test_redirects_are_not_followed_by_httpx_nor_where_the_options_say_so(
    sender: Any, server: Any, answer: Any, operation: str, options: Any
) -> None:
    server.plan(answer(302, b"", (("location", "/a"),)))
    found = await sender.send(stored(server.url), operation=operation, options=options)
    assert (found["status"], ["location", "/a"] in found["headers"], len(server.received)) == (302, True, 1)


async def test_redirects_in_a_circle_end(sender: Any, server: Any, answer: Any) -> None:
    server.otherwise = lambda request: answer(302, b"", (("location", "/"),))
    error = await failure(sender, stored(server.url))
    assert (error.type, error.retryable, len(server.received)) == ("httpx.TooManyRedirects", False, 21)


async def test_a_location_that_is_no_address_is_an_error(sender: Any, server: Any, answer: Any) -> None:
    server.plan(answer(302, b"", (("location", "http://host:bad"),)))
    assert (await failure(sender, stored(server.url))).type == "httpx.InvalidURL"


METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
LOCATIONS = st.sampled_from(
    ["/x", "y", "../z?q=1", "?q", "#f", "//other.example/x", "http://h.example:8080/", "https://h.example/"]
)


@given(method=METHODS, status=st.sampled_from([301, 302, 303, 307, 308]), location=LOCATIONS)
def test_a_redirect_leads_where_httpx_would_go(method: str, status: int, location: str) -> None:
    body = b"data" if method in ("POST", "PUT", "PATCH") else b""
    headers = (("authorization", "Bearer x"), ("accept", "*/*"))
    ours = redirected(
        HttpRequest(method, "http://h.example/a/b#frag", headers, body),
        status,
        location,
        frozenset(),
        secret_body=False,
    )
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers={"location": location}))
    with httpx.Client(transport=transport) as client:
        theirs = client.request(method, "http://h.example/a/b#frag", content=body, headers=dict(headers)).next_request
    assert theirs is not None
    assert (ours.method, httpx.URL(ours.url)) == (theirs.method, theirs.url)
    assert ours.body == theirs.read()
    assert (ours.header("authorization") is None) == ("authorization" not in theirs.headers)


async def test_secrets_are_put_in_escaped_for_their_place(sender: Any, server: Any) -> None:
    request = stored(
        server.url + "/?k=PLACE", "POST", '{"k": "PLACE"}', content_type="application/json", x_token="OTHER"
    )
    options = {"secrets": {"PLACE": "KEY", "OTHER": "TOKEN"}}
    found = await sender.send(request, options=options, resolve=secret)
    sent = server.received[0]
    assert httpx.URL(server.url + sent.target).params["k"] == SECRET
    assert sent.json() == {"k": SECRET}
    assert sent.header("x-token") == "t0ken-value"
    assert found["url"] == server.url + "/?k=PLACE"


@pytest.mark.parametrize("name", ["NONE", "NUMBER"])
async def test_a_secret_that_is_not_there_is_an_error_with_the_remedy(sender: Any, server: Any, name: str) -> None:
    error = await failure(sender, stored(server.url), options={"secrets": {"P": name}}, resolve=secret)
    assert f"sequential keystore set {name}" in error.message
    assert (error.type, error.retryable, server.received) == ("SecretNotFound", False, [])


async def test_secrets_and_credentials_stay_at_the_origin_they_were_meant_for(
    sender: Any, server: Any, other_server: Any, answer: Any
) -> None:
    server.plan(answer(302, b"", (("location", other_server.url + "/?echo=PLACE"),)))
    request = stored(server.url, authorization="Bearer live", x_mine="PLACE", x_other="kept", cookie="c=1")
    await sender.send(request, options={"secrets": {"PLACE": "KEY_"}}, resolve=lambda name: secret("TOKEN"))
    [got] = other_server.received
    assert [got.header(name) for name in ("authorization", "cookie", "x-mine", "x-other")] == [None, None, None, "kept"]
    assert got.target == "/?echo=PLACE"


async def test_a_body_with_a_secret_is_not_sent_on_to_another_origin(
    sender: Any, server: Any, other_server: Any, answer: Any
) -> None:
    server.plan(answer(307, b"", (("location", other_server.url),)))
    request = stored(server.url, "POST", "k=PLACE")
    error = await failure(sender, request, options={"secrets": {"PLACE": "TOKEN"}}, resolve=secret)
    assert (error.type, other_server.received) == ("SecretNotSent", [])


async def test_a_secret_comes_back_in_no_address_message_or_log(
    sender: Any, server: Any, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def forms(text: str) -> list[str]:
        return [form for form in (SECRET, httpx.URL("/", params={"k": SECRET}).query.decode()[2:]) if form in text]

    server.otherwise = lambda request: answer(
        302 if request.target.startswith("/a") else 200, b"", (("location", request.target.replace("/a", "/b")),)
    )
    options = {"secrets": {"PLACE": "KEY"}}
    with caplog.at_level(logging.DEBUG):
        followed = await sender.send(stored(server.url + "/a?k=PLACE"), options=options, resolve=secret)
        plain = await sender.send(stored(server.url + "/a?k=PLACE"), operation="httpx", options=options, resolve=secret)
        bad = stored(server.url, x_key="PLACE\n")
        error = await failure(sender, bad, options=options, resolve=secret)
        gone = await failure(sender, stored("http://127.0.0.1:1/?k=PLACE"), options=options, resolve=secret)
    for text in (repr(followed), repr(plain), error.message, gone.message, caplog.text):
        assert not forms(text)
    assert followed["url"] == server.url + "/b?k=PLACE"
    assert ["location", "/b?k=PLACE"] in plain["headers"]


async def test_an_error_that_quotes_a_secret_header_is_redacted_with_its_cause(sender: Any, server: Any) -> None:
    bad = stored(server.url, x_key="PLACE\n")
    error = await failure(sender, bad, options={"secrets": {"PLACE": "TOKEN"}}, resolve=secret)
    assert error.type == "httpx.LocalProtocolError"
    assert "t0ken" not in "".join(traceback.format_exception(error))
    assert "[hidden]" in error.message


@pytest.mark.parametrize("operation", ["fetch", "httpx"])
async def test_failures_have_the_names_of_httpx(sender: Any, server: Any, answer: Any, operation: str) -> None:
    server.plan(answer(drop=True), answer(delay=5), answer(body=b"not gzip", headers=(("content-encoding", "gzip"),)))
    short = {"connect": 1, "read": 0.2, "write": 1, "pool": 1} if operation == "httpx" else 0.2
    found = [
        await failure(sender, stored(server.url), operation=operation),
        await failure(sender, stored(server.url), operation=operation, options={"timeout": short}),
        await failure(sender, stored(server.url), operation=operation),
        await failure(sender, stored("http://127.0.0.1:1"), operation=operation),
        await failure(sender, stored("ftp://host/x"), operation=operation),
        await failure(sender, stored("http://host:bad"), operation=operation),
    ]
    assert [(error.type, error.retryable) for error in found] == [
        ("httpx.RemoteProtocolError", True),
        ("httpx.ReadTimeout", True),
        ("httpx.DecodingError", False),
        ("httpx.ConnectError", True),
        ("httpx.UnsupportedProtocol", False),
        ("httpx.InvalidURL", False),
    ]
    assert {error.operation for error in found} == {operation}


async def test_fetch_bounds_the_whole_and_httpx_each_step(sender: Any, server: Any, answer: Any) -> None:
    slow = answer(body=b"x" * 10, pause=0.2)
    server.plan(slow, slow)
    async with asyncio.timeout(30):
        assert (await failure(sender, stored(server.url), timeout=1.2)).type == "httpx.ReadTimeout"
        found = await sender.send(stored(server.url), operation="httpx", timeout=1.2)
    assert found["body"] == "x" * 10


@pytest.mark.parametrize(
    "huge", [{"body": b"x" * 3000}, {"body": b"x" * 100, "chunks": 10_000}], ids=["length", "chunks"]
)
async def test_an_answer_is_read_up_to_the_limit(sender: Any, server: Any, answer: Any, huge: Any) -> None:
    server.plan(answer(**huge), answer(body=b"x" * 2000))
    error = await failure(sender, stored(server.url), limit=2000)
    assert (error.type, error.retryable) == ("AnswerTooLarge", False)
    assert (await sender.send(stored(server.url), limit=2000))["body"] == "x" * 2000


@pytest.mark.parametrize("body", [b"", b"mine"], ids=repr)
async def test_what_a_server_sends_behind_an_answer_is_nobodys(
    sender: Any, server: Any, answer: Any, body: bytes
) -> None:
    """A second answer on a connection that stays open is not given to the next call."""
    stolen = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen"
    server.plan(answer(200, body, behind=stolen), answer(200, b"right"), answer(200, b"kept"))
    bodies = [(await sender.send(stored(server.url)))["body"] for _ in range(3)]
    assert bodies == [body.decode() or None, "right", "kept"]
    assert server.connections == 2  # the one that said too much was closed, and only that one


async def test_a_bomb_is_measured_unpacked(sender: Any, server: Any, answer: Any) -> None:
    server.plan(answer(body=gzip.compress(b"\0" * 5_000_000), headers=(("content-encoding", "gzip"),)))
    assert (await failure(sender, stored(server.url), limit=100_000)).type == "AnswerTooLarge"


async def test_head_has_no_body_however_long_it_says(sender: Any, server: Any, answer: Any) -> None:
    server.plan(answer(body=b"x" * 5000))
    found = await sender.send(stored(server.url, "HEAD"), limit=100)
    assert (found["status"], found["body"]) == (200, None)


async def test_the_proxy_of_the_environment_is_used(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    async with HttpSender() as sender:
        await sender.send(stored("http://far.example/x"))
    assert server.received[0].target == "http://far.example/x"
