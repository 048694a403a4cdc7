"""Secrets are neither stored nor lost: what is stored has none, what is sent has them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.runners.fetch import FetchRunner

HEADERS = ["Authorization", "proxy-authorization", "COOKIE", "x-api-key", "api-key", "x-goog-api-key"]
FIELDS = ["key", "api_key", "access_token", "token", "sig", "Signature", "%6bey"]


@pytest.mark.parametrize("name", HEADERS)
async def test_headers_that_are_secret_are_sent_and_not_stored(task: Any, api: Any, name: str) -> None:
    one = task(
        f"async def main(url):\n    return (await fetch(url, headers={{'{name}': 'hush', 'x-open': 'yes'}})).text",
        api.url,
    )
    await one.start()
    assert "hush" not in str(one.stored)
    assert one.stored["run.1"].input["headers"] == [[name.lower(), "***"], ["x-open", "yes"]]
    assert one.open_calls[1].in_place
    await one.start()
    await one.perform(1, api.send)
    assert api.requests[0][2][name.lower()] == "hush"


@pytest.mark.parametrize("name", FIELDS)
async def test_query_fields_that_are_secret_are_sent_and_not_stored(task: Any, api: Any, name: str) -> None:
    code = f"async def main(url):\n    return (await fetch(url + '/a?b=1&{name}=hush%20hush&c#x')).url"
    one = task(code, api.url)
    await one.start()
    assert one.stored["run.1"].input["url"] == f"{api.url}/a?b=1&{name}=***&c"
    await one.perform(1, api.send)
    assert api.requests[0][1] == f"/a?b=1&{name}=hush%20hush&c"
    assert "hush" not in str(one.stored), "the answer has the address too"
    assert one.result == f"{api.url}/a?b=1&{name}=hush%20hush&c", "and the task knows it"


async def test_passwords_in_addresses_are_not_stored(task: Any) -> None:
    one = task("async def main():\n    await fetch('http://me:hush@h.test/p@th')")
    await one.start()
    assert one.stored["run.1"].input["url"] == "http://me:***@h.test/p@th"


async def test_the_lists_can_be_extended(task: Any) -> None:
    more = FetchRunner(secret_headers=["X-Mine"], secret_fields=["pin"])
    one = task("async def main():\n    await fetch('http://h/?pin=1&p=2', headers={'x-mine': 'hush'})", of=more)
    await one.start()
    assert one.stored["run.1"].input == {
        "method": "GET",
        "url": "http://h/?pin=***&p=2",
        "headers": [["x-mine", "***"]],
        "body": None,
    }
    await more.dispose()


async def test_a_rotated_key_is_no_other_call(task: Any, tmp_path: Any) -> None:
    """A call's identity holds no secret: a replay that reads a new key goes on."""
    key = tmp_path / "key"
    key.write_text("old")
    one = task(
        """
        from pathlib import Path
        import httpx
        async def main(path):
            key = Path(path).read_text()
            async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as client:
                await client.get("http://h/", params={"token": key})
            await fetch(f"http://h/?key={key}")
    """,
        str(key),
    )
    await one.start()
    key.write_text("new")
    await one.start()
    assert "new" in str(one.open_calls[1].live_input)
    assert one.ending is None


PLACES = {
    "header": "headers={'authorization': f'Bearer {s}'}",
    "url": "params={'q': s}",
    "json": "json={'password': s}, method='POST'",
    "form": "data={'password': s}, method='POST'",
    "basic": "headers={'authorization': 'Basic ' + b64encode(f'me:{s}'.encode()).decode()}",
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_secret_of_the_keystore_is_put_in_when_the_call_goes_out(task: Any, api: Any, place: str) -> None:
    """Escaped for its place; the stored request has a placeholder, and any worker can send it."""
    real = 'a"b&c=d é'
    api.secrets = {"the.key": real}
    one = task(
        "from base64 import b64encode\nasync def main(url):\n    s = secret('the.key')\n"
        f"    await fetch(url, {PLACES[place]})",
        api.url,
    )
    await one.start()
    call = one.open_calls[1]
    assert not call.in_place
    assert list(call.options["secrets"].values()) == ["the.key"]
    assert real not in values.encode(call.input)
    await one.start()
    assert one.open_calls[1].input == call.input, "the placeholder is the same on replay"
    await one.perform(1, api.send)
    _, target, headers, body = api.requests[0]
    if place == "header":
        assert headers["authorization"] == f"Bearer {real}"
    elif place == "url":
        assert target == "/?q=a%22b%26c%3Dd%20%C3%A9"
    elif place == "json":
        assert json.loads(body) == {"password": real}
    elif place == "form":
        assert body == b"password=a%22b%26c%3Dd+%C3%A9"
    else:
        assert base64.b64decode(headers["authorization"][6:]).decode() == f"me:{real}"
    assert real not in str(one.stored)


async def test_placeholders_beside_other_secrets_do_not_uncover_them(task: Any) -> None:
    one = task(
        "async def main():\n    await fetch('http://h/', headers={'cookie': f'a={secret('k')}; b=hush'})".replace(
            "secret('k')", 'secret("k")'
        )
    )
    await one.start()
    assert one.stored["run.1"].input["headers"] == [["cookie", "***"]]
    assert one.open_calls[1].in_place
    assert list(one.open_calls[1].options["secrets"].values()) == ["k"]


async def test_services_get_secrets_by_reference_and_steps_and_children_do_not(task: Any) -> None:
    one = task("""
        async def main():
            s = secret("k")
            await call_host_tool("s", "login", {"password": [s], "same": secret("k") == s, "other": secret("l") != s})
            found = []
            for call in (step(print, s), run_task("other", {"a": s})):
                try:
                    await call
                except Exception as error:
                    found.append(str(error))
            return found
    """)
    await one.start()
    assert list(one.open_calls[1].options["secrets"].values()) == ["k"]
    assert one.open_calls[1].input["same"]
    assert one.open_calls[1].input["other"]
    await one.finish(1)
    assert all("would get a placeholder" in message for message in one.result)
    assert len(one.result) == 2


async def test_placeholders_cannot_be_foretold_and_forged_ones_mean_nothing(task: Any) -> None:
    code = """
        async def main(forged):
            await call_host_tool("s", "m", [forged, "seqsecret_" + "0" * 32])
            return secret("k")
    """
    one, two = task(code, "seqsecret_x"), task(code, "y")
    await one.start()
    assert one.open_calls[1].options is None
    await two.start()
    await one.finish(1)
    await two.finish(1)
    assert one.result != two.result
