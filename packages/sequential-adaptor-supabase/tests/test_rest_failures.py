"""What each answer of PostgREST means: both generations of its codes, and those of who stands before it."""

from __future__ import annotations

import httpx
import pytest
from postgrest.exceptions import APIError

from sequential_adaptor.backends.supabase.door import Refused
from sequential_adaptor.backends.supabase.errors import AccessRefused, SchemaMissing
from sequential_adaptor.backends.supabase.rest_failures import (
    Course,
    read_api_error,
    read_transport_error,
    strange_answer,
)
from sequential_adaptor.errors import SequentialError, StorageError, StorageUnavailable

ADDRESS = "supabase+https://project.example"


@pytest.mark.parametrize(
    ("codes", "course", "kind"),
    [
        ("42P01 42883 3F000 PGRST202 PGRST203 PGRST205", Course.SCHEMA, SchemaMissing),
        ("PGRST301 PGRST303", Course.TOKEN, AccessRefused),
        ("42501 28000 28P01 PGRST302 401 403", Course.FINAL, AccessRefused),
        ("25006 40001 40P01 55P03 57014 57P01 57P02 57P03 08006 08P01 53300 53200", Course.PASSING, StorageUnavailable),
        ("PGRST000 PGRST001 PGRST002 PGRST003", Course.PASSING, StorageUnavailable),
        ("408 429 500 502 503 504 520 521 522 524", Course.PASSING, StorageUnavailable),
        ("540", Course.FINAL, StorageUnavailable),
        ("22P02 23514 P0001 PGRST100 PGRST106 404 413", Course.FINAL, StorageError),
        ("SQ001", Course.FINAL, Refused),
    ],
)
def test_each_code_has_one_error(codes: str, course: Course, kind: type[SequentialError]) -> None:
    """A code decides which error it is and how long it is tried again, whatever the text beside it."""
    for code in codes.split():
        failure = read_api_error(APIError({"code": code, "message": "what it says"}), ADDRESS)
        assert (failure.course, type(failure.error)) == (course, kind), code


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("PGRST205", "sequential migrate --storage postgresql://"),
        ("42P01", "sequential migrate --storage postgresql://"),
        ("PGRST303", "SUPABASE_SERVICE_KEY"),
        ("42501", "SUPABASE_SERVICE_KEY"),
        ("57014", "statement_timeout"),
        ("PGRST106", "exposed schemas"),
        ("PGRST003", "fewer workers"),
        ("540", "restore it in the dashboard"),
    ],
)
def test_an_error_names_the_thing_and_the_remedy(code: str, remedy: str) -> None:
    """The address, what was said, the code, and what to do."""
    said = str(read_api_error(APIError({"code": code, "message": "what it says"}), ADDRESS).error)
    assert all(part in said for part in (ADDRESS, "what it says", code, remedy))


def test_the_gateway_has_no_codes() -> None:
    """Its answers are told by their words."""
    refused = read_api_error(APIError({"message": "Invalid API key"}), ADDRESS)
    assert (refused.course, type(refused.error)) == (Course.FINAL, AccessRefused)
    bad = read_api_error(APIError({"message": "An invalid response was received from the upstream server"}), ADDRESS)
    assert bad.course is Course.PASSING


def test_no_answer_may_pass() -> None:
    """A connection that was not made, was closed, or timed out: nobody knows what was done; it may be done again."""
    for error in (httpx.ConnectError("no"), httpx.RemoteProtocolError(""), httpx.ReadTimeout("")):
        failure = read_transport_error(error, ADDRESS)
        assert failure.course is Course.PASSING
        assert type(error).__name__ in str(failure.error)
        assert not str(failure.error).endswith(": ")


def test_a_page_is_no_answer() -> None:
    """A success that is no list of rows comes from somebody else."""
    failure = strange_answer("<html>maintenance</html>" * 100, ADDRESS)
    assert failure.course is Course.PASSING
    assert "<html>" in str(failure.error)
    assert len(str(failure.error)) < 400
