"""Nobody but the service role reads anything or calls anything, on a project as hosted ones are set up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from parts.gateway import token
from parts.postgrest import SECRET
from parts.project import Project
from parts.stores import Stores

OURS = "n.nspname = 'public' and {name} like 'sequential%'"
EVERYBODY = ("anon", "authenticated")


@pytest.fixture(params=[15, 18])
def project(request: pytest.FixtureRequest) -> Project:
    """A project with our schema, on both versions of Postgres."""
    stores: Stores = request.getfixturevalue(f"stores{request.param}")
    return stores.project()


def asked(project: Project, sql: str) -> list[str]:
    """What an administrator reads."""
    return project.server.sql(sql, project.database).splitlines()


def relations(project: Project, kinds: str) -> list[str]:
    """Our tables (r), views (v), sequences (S)."""
    named = OURS.format(name="c.relname")
    return asked(
        project,
        f"""select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {named} and c.relkind in ({kinds}) order by 1""",
    )


def functions(project: Project, condition: str = "true") -> list[str]:
    """Our functions."""
    named = OURS.format(name="p.proname")
    return asked(
        project,
        f"""select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {named} and {condition} order by 1""",
    )


def callable_functions(project: Project) -> dict[str, list[str]]:
    """Our functions with the names of their arguments."""
    named = OURS.format(name="p.proname")
    found = asked(
        project,
        f"""select p.proname, array_to_json(coalesce(p.proargnames[1:p.pronargs], '{{}}')) from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace where {named}""",
    )
    return {name: json.loads(names) for name, names in (line.split("|") for line in found)}


class Caller:
    """Somebody who calls PostgREST with a token for a role."""

    def __init__(self, project: Project, role: str) -> None:
        self._role = token(SECRET, role)
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(project.rest.socket)), base_url="http://rest")
        self._client.headers["authorization"] = f"Bearer {self._role}"

    def get(self, table: str) -> httpx.Response:
        """Read a table."""
        return self._client.get(f"/{table}")

    def call(self, function: str, **arguments: object) -> httpx.Response:
        """Call a function."""
        return self._client.post(f"/rpc/{function}", json=arguments)

    def close(self) -> None:
        """Hang up."""
        self._client.close()


@pytest.fixture(params=EVERYBODY)
def stranger(request: pytest.FixtureRequest, project: Project) -> Iterator[Caller]:
    """Whoever has the key that is in every web page, and whoever has signed up."""
    caller = Caller(project, request.param)
    yield caller
    caller.close()


@pytest.fixture
def service(project: Project) -> Iterator[Caller]:
    """The service role."""
    caller = Caller(project, "service_role")
    yield caller
    caller.close()


def test_there_is_something_to_protect(project: Project) -> None:
    """These tests look at what they mean to."""
    assert "sequential_keystore" in relations(project, "'r'")
    assert any("sequential_claim" in one for one in functions(project))


def test_row_level_security_is_on(project: Project) -> None:
    """On every table, without a policy; and a view shows its readers no more than they may see themselves."""
    secured = asked(
        project, "select relname from pg_class where relrowsecurity and relname like 'sequential%' order by 1"
    )
    assert secured == relations(project, "'r'")
    assert asked(project, "select policyname from pg_policies where tablename like 'sequential%'") == []
    invoker = "select relname from pg_class where reloptions @> '{security_invoker=true}' order by 1"
    assert asked(project, invoker) == relations(project, "'v'")


@pytest.mark.parametrize("role", EVERYBODY)
def test_nobody_has_a_right(project: Project, role: str) -> None:
    """On no table, view, sequence or function, whatever a hosted project grants by default."""
    rights = "select, insert, update, delete, truncate, references, trigger"
    for name in relations(project, "'r', 'v'"):
        assert asked(project, f"select has_table_privilege('{role}', 'public.{name}', '{rights}')") == ["f"], name
        assert asked(project, f"select has_any_column_privilege('{role}', 'public.{name}', 'select')") == ["f"], name
    for name in relations(project, "'S'"):
        owned = f"select has_sequence_privilege('{role}', 'public.{name}', 'usage, select, update')"
        assert asked(project, owned) == ["f"], name
    assert functions(project, f"has_function_privilege('{role}', p.oid, 'execute')") == []
    assert functions(project, "exists (select from aclexplode(p.proacl) a where a.grantee = 0)") == []


def test_functions_look_names_up_nowhere_else(project: Project) -> None:
    """Each has an empty search path of its own, and runs with the rights of its caller."""
    assert functions(project, """not coalesce(p.proconfig @> array['search_path=""'], false)""") == []
    assert functions(project, "p.prosecdef") == []


def test_strangers_read_nothing(project: Project, stranger: Caller) -> None:
    """By REST every table and view is refused."""
    for name in relations(project, "'r', 'v'"):
        answer = stranger.get(name)
        assert answer.status_code in (401, 403), f"{name}: {answer.text}"
        assert answer.json()["code"] == "42501"


def test_strangers_call_nothing(project: Project, stranger: Caller, service: Caller) -> None:
    """Refused, also on a connection on which the service role has called the function often enough to have its plan
    kept: in the plan of a function that may be inlined nobody would ask for rights any more."""
    for _ in range(20):
        assert service.call("sequential_set_keystore", key="k", value='"v"').status_code == 200
        assert service.call("sequential_get_keystore", key="k").json() == [{"value": '"v"'}]
        answer = stranger.call("sequential_get_keystore", key="k")
        assert (answer.status_code in (401, 403), answer.json()["code"]) == (True, "42501")
    for name, arguments in callable_functions(project).items():
        assert stranger.call(name, **dict.fromkeys(arguments)).json()["code"] == "42501", name


def test_row_level_security_holds_where_rights_do_not(project: Project, stranger: Caller, service: Caller) -> None:
    """Somebody grants everything to everybody, as `grant all on all tables in schema public` does: still no row is
    seen, written or called for."""
    service.call("sequential_set_keystore", key="k", value='"v"')
    project.server.sql(
        """grant all on all tables in schema public to anon, authenticated;
        grant all on all sequences in schema public to anon, authenticated;
        grant execute on all functions in schema public to anon, authenticated""",
        project.database,
    )
    for name in relations(project, "'r', 'v'"):
        assert stranger.get(name).json() == [], name
    assert stranger.call("sequential_get_keystore", key="k").json() == []
    assert stranger.call("sequential_set_keystore", key="k", value="1").json()["code"] == "42501"
    assert service.call("sequential_get_keystore", key="k").json() == [{"value": '"v"'}]


def test_the_service_role_may(project: Project, service: Caller) -> None:
    """It reads the tables, as a dashboard does, and calls the functions."""
    service.call("sequential_set_keystore", key="k", value="[1, 2]")
    assert service.get("sequential_keystore?select=key,second:value->1").json() == [{"key": "k", "second": 2}]
    for name in relations(project, "'r', 'v'"):
        assert service.get(name).status_code == 200, name
