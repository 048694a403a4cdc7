"""The door by REST, on a real PostgREST: lost answers, restarts, stale schemas, kinds of keys, and what is shown."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from parts.gateway import token
from parts.postgrest import SECRET
from parts.project import Project
from parts.stores import Stores

from sequential_adaptor.backends.supabase.door import Refused
from sequential_adaptor.backends.supabase.errors import AccessRefused, SchemaMissing
from sequential_adaptor.backends.supabase.rest import PATIENCE, RestDoor
from sequential_adaptor.backends.supabase.rest_failures import Course
from sequential_adaptor.errors import ConfigurationError, StorageClosed, StorageUnavailable

OpenDoor: TypeAlias = Callable[..., Awaitable[RestDoor]]

IMPATIENT = {**PATIENCE, Course.PASSING: 1.0, Course.SCHEMA: 0.3, Course.TOKEN: 0.3}


@pytest.fixture
def project(stores18: Stores) -> Project:
    """A project with our schema."""
    return stores18.project()


@pytest_asyncio.fixture
async def open_door(project: Project) -> AsyncIterator[OpenDoor]:
    """Opens doors to the project, with its secret key unless another is named."""
    opened: list[RestDoor] = []

    async def open_one(url: str = project.url, key: str = project.secret_key, **options: Any) -> RestDoor:
        opened.append(RestDoor(url, key, **options))
        await opened[-1].open()
        return opened[-1]

    yield open_one
    for door in opened:
        await door.close()


@pytest_asyncio.fixture
async def door(open_door: OpenDoor) -> RestDoor:
    """A door to the project."""
    return await open_door()


def keep(key: str, value: Any) -> tuple[str, dict[str, Any]]:
    """A call that stores something."""
    return "sequential_set_keystore", {"key": key, "value": json.dumps(value)}


async def kept(door: RestDoor, key: str) -> Any:
    """What is stored under a key."""
    [row] = await door.call("sequential_get_keystore", {"key": key})
    return json.loads(row["value"])


# ---- keys and addresses


@pytest.mark.parametrize("name", ["secret_key", "service_role_key"])
@pytest.mark.parametrize("end", ["", "/", "/rest/v1", "/rest/v1/"])
async def test_both_kinds_of_keys_open_it(open_door: OpenDoor, project: Project, name: str, end: str) -> None:
    """An `sb_secret_` key and a legacy `service_role` token are taken as they are; so is a copied address."""
    door = await open_door(project.url + end, getattr(project, name))
    await door.call(*keep("k", [1, name]))
    assert await kept(door, "k") == [1, name]
    assert door.address == f"supabase+{project.url}"


@pytest.mark.parametrize("name", ["publishable_key", "anon_key", None])
async def test_other_keys_are_refused_at_once(open_door: OpenDoor, project: Project, name: str | None) -> None:
    """A key that is not the service's is one error that says which is, and it is not tried again."""
    door = await open_door(key="sb_secret_unknown" if name is None else getattr(project, name))
    before = project.gateway.seen
    with pytest.raises(AccessRefused, match="SUPABASE_SERVICE_KEY"):
        await door.call(*keep("k", 1))
    assert project.gateway.seen - before <= 1


async def test_an_expired_token_is_tried_a_little_longer(open_door: OpenDoor, project: Project) -> None:
    """A gateway signs anew at each request, so an expired token may be its clock; a legacy key stays expired."""
    project.gateway.token_lifetime = -3600.0
    door = await open_door()
    call = asyncio.create_task(door.call(*keep("k", "in time")))
    while project.gateway.seen == 0:
        await asyncio.sleep(0.01)
    project.gateway.token_lifetime = 3600.0
    await call
    assert await kept(door, "k") == "in time"
    expired = token(SECRET, "service_role", -3600)
    project.gateway.roles[expired] = None
    impatient = await open_door(key=expired, patience=IMPATIENT)
    with pytest.raises(AccessRefused, match="expired"):
        await impatient.call(*keep("k", 1))


@pytest.mark.parametrize("url", ["", "project.supabase.co", "ftp://x", "https://", None, 3])
def test_what_is_no_address_is_refused(url: Any) -> None:
    """Before anything is sent, with an example of one that is."""
    with pytest.raises(ConfigurationError, match=r"https://<project>\.supabase\.co"):
        RestDoor(url, "key")


@pytest.mark.parametrize("key", ["", None, 3, "sb_secret_x\n", " sb_secret_x", "sb_secret_ü", "a\0b"])
def test_what_no_key_can_be_is_refused_unseen(key: Any) -> None:
    """Before anything is sent, and without showing it."""
    with pytest.raises(ConfigurationError, match="service_key") as caught:
        RestDoor("https://project.example", key)
    assert "sb_secret" not in str(caught.value)


async def test_the_key_is_never_shown(
    open_door: OpenDoor, project: Project, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in representations, errors and their causes, nor in any log, however much is logged."""
    caplog.set_level(logging.DEBUG)
    shown = []
    for key in (project.secret_key, project.service_role_key, project.anon_key, "sb_secret_0123456789abcdef"):
        project.gateway.drop = lambda target: False
        door = await open_door(key=key, patience=IMPATIENT)
        shown += [repr(door), str(door), door.address]
        for function in ("sequential_get_keystore", "sequential_no_such_function"):
            project.gateway.drop = lambda target: b"get_keystore" in target
            try:
                await door.call(function, {"key": "k"})
            except Exception as error:
                shown += [repr(error), str(error), "".join(traceback.format_exception(error))]
        everything = "\n".join([*shown, caplog.text, *capfd.readouterr()])
        assert key not in everything
        assert key[-12:] not in everything
    assert len(shown) == 4 * (3 + 2 * 3)
    assert "/rest/v1/rpc/" in caplog.text


async def test_no_redirect_is_followed(open_door: OpenDoor, project: Project) -> None:
    """The key goes to the address that was given, and to no other."""
    requests = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        location = f"{project.url}/rest/v1/rpc/sequential_set_keystore"
        writer.write(f"HTTP/1.1 307 Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    async with server:
        door = await open_door(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", patience=IMPATIENT)
        with pytest.raises(Exception, match="307"):
            await door.call(*keep("k", 1))
    assert len(requests) == 1
    assert project.gateway.seen == 0


# ---- lost answers, and a server that goes away


async def test_a_call_whose_answer_was_lost_is_made_again(door: RestDoor, project: Project) -> None:
    """The upstream has done it, the answer did not come: the same call again is success."""
    lost = 3
    project.gateway.drop = lambda target: project.gateway.dropped < lost
    assert len(await door.call(*keep("k", 1))) == 1
    assert project.gateway.dropped == lost
    assert await kept(door, "k") == 1


async def test_what_is_to_change_when_repeated_is_changed(door: RestDoor, project: Project) -> None:
    """The first call is made without those arguments, each further one with them."""
    project.gateway.drop = lambda target: project.gateway.dropped < 2
    await door.call(*keep("k", "first"), when_repeated={"value": json.dumps("again")})
    assert await kept(door, "k") == "again"


async def test_patience_ends(open_door: OpenDoor, project: Project) -> None:
    """A gateway that answers nobody is one error, which says so, and what the client said is its cause."""
    door = await open_door(patience=IMPATIENT)
    project.gateway.share = 1.0
    with pytest.raises(StorageUnavailable, match="did not answer") as caught:
        await door.call(*keep("k", 1))
    assert caught.value.__cause__ is not None
    project.gateway.share = 0.0
    assert await kept(door, "k") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"200 OK\r\ncontent-length: 0\r\n\r\n",
        b"200 OK\r\nconnection: close\r\n\r\n",
        b"204 No Content\r\n\r\n",
        b"200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\n\x1f\x8bdamaged",
        b'200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n["\xff"]',
        b"200 OK\r\ncontent-length: 4\r\n\r\npage",
    ],
    ids=["empty", "cut off", "no content", "damaged", "no text", "a page"],
)
async def test_an_answer_that_is_none_is_no_success(open_door: OpenDoor, answer: bytes) -> None:
    """Somebody stands in between and answers himself, or cuts the answer off: what was asked for may not be done."""
    asked = 0

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.write(b"HTTP/1.1 " + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        door = await open_door(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", patience=IMPATIENT)
        with pytest.raises(StorageUnavailable):
            await door.call("sequential_commit", {"plain": "{}", "commits": "[]", "locks": "{}", "apart": False})
    assert asked > 1


async def test_nobody_there_is_said(open_door: OpenDoor, project: Project) -> None:
    """A port that nobody listens on."""
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    door = await open_door(f"http://127.0.0.1:{port}", patience=IMPATIENT)
    with pytest.raises(StorageUnavailable, match=f"127.0.0.1:{port} did not answer: ConnectError"):
        await door.call(*keep("k", 1))


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_restart_is_waited_for(door: RestDoor, project: Project, mode: str) -> None:
    """Calls that a restart of Postgres cuts off, and those that come while it is away, are made when it is back."""
    calls = []
    for number in range(3):
        calls += [asyncio.create_task(door.call(*keep(f"k{n}", n))) for n in range(number * 20, number * 20 + 20)]
        await asyncio.to_thread(project.server.restart, mode)
    await asyncio.gather(*calls)
    assert [await kept(door, f"k{n}") for n in range(60)] == list(range(60))


async def test_connections_that_are_terminated_are_made_anew(door: RestDoor, project: Project) -> None:
    """An administrator ends PostgREST's connections while calls are on their way."""
    calls = [asyncio.create_task(door.call(*keep(f"k{n}", n))) for n in range(50)]
    for _ in range(5):
        await asyncio.to_thread(project.server.terminate_connections, project.database)
    await asyncio.gather(*calls)
    assert [await kept(door, f"k{n}") for n in range(50)] == list(range(50))


async def test_deadlocks_and_time_outs_are_tried_again(door: RestDoor, project: Project) -> None:
    """A function that fails in passing twice (40P01, 57014) succeeds the third time."""
    for state in ("40P01", "40001", "57014", "55P03", "53300"):
        project.server.sql(
            f"""create sequence if not exists tries; select setval('tries', 1, false);
            create or replace function public.sequential_test() returns table (n bigint) language plpgsql as $$ begin
            n := nextval('public.tries');
            if n < 3 then raise exception 'in passing' using errcode = '{state}'; end if; return next; end $$;
            grant execute on function public.sequential_test to service_role;
            grant all on sequence tries to service_role;
            notify pgrst, 'reload schema'""",
            project.database,
        )
        assert await door.call("sequential_test", {}) == [{"n": 3}]


async def test_a_statement_that_is_too_slow_is_said(open_door: OpenDoor, project: Project) -> None:
    """The role's statement time-out ends it; when patience has ended too, the error says what helps."""
    project.server.sql(
        f"""create function public.sequential_test() returns table (n int) language sql set statement_timeout = '50ms'
        set search_path = '' as $$ select 1 from pg_catalog.pg_sleep(60) $$;
        grant execute on function public.sequential_test to service_role;
        alter role service_role in database {project.database} set statement_timeout = '100ms';
        notify pgrst, 'reload config'; notify pgrst, 'reload schema'""",
        project.database,
    )
    door = await open_door(patience=IMPATIENT)
    with pytest.raises(StorageUnavailable, match="57014.*statement_timeout"):
        await door.call("sequential_test", {})


async def test_after_close_nothing_is_sent(door: RestDoor) -> None:
    """Closing twice is harmless; a call after it is an error of ours."""
    await door.close()
    await door.close()
    with pytest.raises(StorageClosed):
        await door.call(*keep("k", 1))


# ---- the schema, and its cache


async def test_a_schema_cache_that_lags_is_waited_for(door: RestDoor, project: Project) -> None:
    """A function that PostgREST does not know yet: the call is made when it has read the schema anew."""
    call = asyncio.create_task(door.call("sequential_later", {}))
    while project.gateway.seen < 2:
        await asyncio.sleep(0.01)
    project.server.sql(
        """create function public.sequential_later() returns table (n int) language sql as 'select 7';
        grant execute on function public.sequential_later to service_role; notify pgrst, 'reload schema'""",
        project.database,
    )
    assert await call == [{"n": 7}]


async def test_a_schema_that_is_missing_is_said(open_door: OpenDoor) -> None:
    """After waiting for as long as a cache may lag, with the command that applies it."""
    door = await open_door(patience=IMPATIENT)
    with pytest.raises(SchemaMissing, match=r"PGRST202.*sequential migrate --storage postgresql://"):
        await door.call("sequential_of_the_future", {"key": "k"})


async def test_a_refusal_of_ours_is_not_tried_again(door: RestDoor, project: Project) -> None:
    """SQ001 is an answer."""
    project.server.sql(
        """create function public.sequential_test() returns table (n int) language plpgsql as $$ begin
        raise exception 'refused' using errcode = 'SQ001'; end $$;
        grant execute on function public.sequential_test to service_role; notify pgrst, 'reload schema'""",
        project.database,
    )
    with pytest.raises(Refused, match="refused"):
        await door.call("sequential_test", {})
    seen = project.gateway.seen
    with pytest.raises(Refused):
        await door.call("sequential_test", {})
    assert project.gateway.seen == seen + 1


async def test_text_comes_back_character_by_character(door: RestDoor) -> None:
    """Payloads are text on the way: order of keys, numbers as they were written, escapes and all planes of Unicode."""
    text = '{"b":1e22,"a":-0.0,"n":123456789012345678901234567890,"u":"\\u0000\\ud83d\\ude00 ü 😀 \\" \\\\","":[]}'
    await door.call("sequential_set_keystore", {"key": "k", "value": text})
    [row] = await door.call("sequential_get_keystore", {"key": "k"})
    assert row["value"] == text
