"""Requests and responses as JSON: what goes in comes out, and secrets stay out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor import values
from sequential_adaptor.runners.fetch import wire
from sequential_adaptor.runners.fetch.addresses import hide_url
from sequential_adaptor.task import Response

NAMES = st.text("abcdefghij-XYZ", min_size=1)
HEADERS = st.lists(st.tuples(NAMES, st.text(st.characters(min_codepoint=32, max_codepoint=126))))


@given(st.binary())
def test_any_body_comes_back_exactly(body: bytes) -> None:
    stored = values.copy(wire.body_to_json(body))
    assert wire.body_from_json(stored) == body


@given(HEADERS, st.binary(), st.sampled_from(["get", "POST"]))
def test_a_request_comes_back_with_its_headers_in_order_and_names_in_lower_case(
    headers: Any, body: bytes, method: str
) -> None:
    stored = values.copy(wire.request_to_json(method, "http://h.test/a?b=1", headers, body))
    request = wire.request_from_json(stored)
    assert (request.method, request.url, request.body) == (method.upper(), "http://h.test/a?b=1", body)
    assert list(request.headers) == [(name.lower(), text) for name, text in headers]


@given(HEADERS, st.binary(), st.integers(100, 599))
def test_a_response_comes_back(headers: Any, body: bytes, status: int) -> None:
    stored = values.copy(wire.response_to_json(status, headers, body, "http://h.test/"))
    response = wire.response_from_json(stored)
    assert (response.status, response.body, response.url) == (status, body, "http://h.test/")
    assert list(response.headers) == [(name.lower(), text) for name, text in headers]


def test_headers_of_the_connection_are_left_out() -> None:
    given = [("Host", "H.test:80"), ("Connection", "close"), ("Content-Length", "3"), ("Accept", "*/*")]
    assert wire.request_to_json("GET", "http://u:p@h.test:80/", given, b"")["headers"] == [["accept", "*/*"]]
    other = wire.request_to_json("GET", "http://h.test/", [("Host", "other.test")], b"")
    assert other["headers"] == [["host", "other.test"]], "one that names another host is meant"
    answer = [("Content-Encoding", "gzip"), ("Content-Length", "9"), ("Transfer-Encoding", "chunked"), ("ETag", "x")]
    assert wire.response_to_json(200, answer, b"decoded", "http://h/")["headers"] == [["etag", "x"]]
    assert wire.response_to_json(200, [("Content-Length", "9")], b"", "http://h/")["headers"] == [
        ["content-length", "9"]
    ]


@given(st.text(st.characters(codec="utf-8")))
def test_a_secret_in_json_is_escaped_for_it(secret: str) -> None:
    body = json.dumps({"a": "PLACE", "b": ["xPLACEx"]}).encode()
    stored = wire.request_to_json("POST", "http://h/", [("content-type", "application/json; charset=utf-8")], body)
    filled = wire.request_from_json(stored, {"PLACE": secret})
    assert json.loads(filled.body) == {"a": secret, "b": [f"x{secret}x"]}


@given(st.text(st.characters(codec="utf-8")))
def test_values_of_services_are_filled_wherever_they_are_text(secret: str) -> None:
    given = {"a": ["PLACE", {"b": "-PLACE-"}], "PLACE": 1, "n": None}
    assert wire.fill_value(given, {"PLACE": secret}) == {"a": [secret, {"b": f"-{secret}-"}], "PLACE": 1, "n": None}
    assert given["a"][0] == "PLACE", "a copy"


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("http://h/", "http://h/"),
        ("http://h?key=1", "http://h?key=***"),
        ("https://me:pw@h:8/p@th?x=a@b&sig=1#f", "https://me:***@h:8/p@th?x=a@b&sig=***"),
        ("http://h/?KEY=1&monkey=2&key", "http://h/?KEY=***&monkey=2&key"),
        ("http://h/?a=key=1", "http://h/?a=key=1"),
        ("http://h/?signature=PLACE", "http://h/?signature=PLACE"),
    ],
)
def test_addresses_without_their_secrets(url: str, hidden: str) -> None:
    assert hide_url(url.partition("#")[0], ["PLACE"]) == hidden


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (None, "grüße".encode(), "grüße"),
        ("text/plain; charset=latin-1", "grüße".encode("latin-1"), "grüße"),
        ('text/plain; x=1; Charset="utf-16"', "hi".encode("utf-16"), "hi"),
        ("text/plain; charset=nonsense", b"ok", "ok"),
        (None, b"\xff", "\ufffd"),
    ],
)
def test_text_of_a_response_follows_its_charset(kind: str | None, content: bytes, text: str) -> None:
    headers = (("Content-Type", kind),) if kind else ()
    assert Response(200, headers, content, "http://h/").text == text


def test_headers_of_a_response_are_found_in_any_case_and_kept_apart() -> None:
    headers = Response(200, (("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "1")), b"", "").headers
    assert headers["SET-COOKIE"] == "a, b"
    assert "x" in headers
    assert headers.get("y") is None
    assert list(headers) == ["set-cookie", "x"]
    assert headers.pairs[0] == ("Set-Cookie", "a")
