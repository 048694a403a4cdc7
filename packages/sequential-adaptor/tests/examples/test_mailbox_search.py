"""The mailbox search: hundreds of service calls in nested loops, killed in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TASK = "mailbox_search/mailbox_search.py"
INPUT = json.dumps({"text": "invoice"})


def expected(service: Any) -> dict[str, Any]:
    """What a search by hand gives."""
    everything = list(service.messages())
    found = [
        {"user": user, "id": message["id"], "subject": message["subject"]}
        for user, message in everything
        if "invoice" in (message["subject"] + message["body"]).lower()
    ]
    return {"searched": len(everything), "found": found}


@pytest.fixture
def mail(load: Any) -> Any:
    return load("mailbox_search/mail_service.py")


def test_it_finds_what_a_search_by_hand_finds(mail: Any, serve: Any, commands: Any, examples: Path) -> None:
    service = mail.MailService()
    commands.environment["SERVICE_BASE_URL"] = serve(mail.server(service, 0))
    found = json.loads(commands.run("run", str(examples / TASK), "--input", INPUT))
    assert found == expected(service)
    users = len(mail.DOMAINS) * len(mail.USERS)
    assert len(service.calls) == 1 + len(mail.DOMAINS) + users + found["searched"]
    assert {len(asked) for asked in service.calls.values()} == {1}


def test_killed_again_and_again_it_ends_right_and_asks_for_nothing_twice_that_it_had(
    mail: Any, serve: Any, commands: Any, examples: Path
) -> None:
    service = mail.MailService(failing=0.01)
    commands.environment["SERVICE_BASE_URL"] = serve(mail.server(service, 0))
    commands.run("submit", str(examples / TASK), "--input", INPUT, "--id", "search")
    kills = 6
    commands.kill_workers(kills, lambda: len(service.calls), (1, 60))
    done = commands.finish("search")
    assert (done["status"], done["result"]) == ("completed", expected(service))
    assert {call["id"] for call in done["calls"]} == set(service.calls)
    changed = {key: asked for key, asked in service.calls.items() if len(set(asked)) > 1}
    assert changed == {}, "a key was used for two different calls"
    again = sum(len(asked) - 1 for asked in service.calls.values())
    busy = sum(call["attempts"] for call in done["calls"])
    assert again - busy <= 3 * kills  # one for each kill, and some for leases that a loaded machine let lapse
