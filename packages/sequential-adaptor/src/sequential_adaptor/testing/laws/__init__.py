"""The laws of the storage interface, numbered as in ``docs/storage-laws.md``: one test each, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sequential_adaptor.testing.laws.bad_ids import BadIdLaws
from sequential_adaptor.testing.laws.bad_input import BadInputLaws
from sequential_adaptor.testing.laws.base import CAPABILITIES, Laws, NewStore, law_number, law_sentence, needs
from sequential_adaptor.testing.laws.claims import ClaimLaws
from sequential_adaptor.testing.laws.commits import CommitLaws
from sequential_adaptor.testing.laws.fencing import FencingLaws
from sequential_adaptor.testing.laws.functions import FunctionLaws
from sequential_adaptor.testing.laws.housekeeping import HousekeepingLaws
from sequential_adaptor.testing.laws.json_fidelity import JsonLaws
from sequential_adaptor.testing.laws.keystore import KeystoreLaws
from sequential_adaptor.testing.laws.processes import ProcessLaws
from sequential_adaptor.testing.laws.queries import QueryLaws
from sequential_adaptor.testing.laws.records import RecordLaws
from sequential_adaptor.testing.laws.reopening import ReopeningLaws
from sequential_adaptor.testing.laws.state_machine import StateMachineLaws
from sequential_adaptor.testing.laws.timers import TimerLaws
from sequential_adaptor.testing.laws.updates import UpdateLaws

__all__ = [
    "CAPABILITIES",
    "SECTIONS",
    "Laws",
    "NewStore",
    "StorageLaws",
    "all_laws",
    "law_number",
    "law_sentence",
    "needs",
]

SECTIONS: tuple[type[Laws], ...] = (
    RecordLaws,
    UpdateLaws,
    QueryLaws,
    JsonLaws,
    BadInputLaws,
    BadIdLaws,
    FunctionLaws,
    KeystoreLaws,
    ClaimLaws,
    CommitLaws,
    FencingLaws,
    TimerLaws,
    HousekeepingLaws,
    ReopeningLaws,
    ProcessLaws,
    StateMachineLaws,
)


class StorageLaws(
    RecordLaws,
    UpdateLaws,
    QueryLaws,
    JsonLaws,
    BadInputLaws,
    BadIdLaws,
    FunctionLaws,
    KeystoreLaws,
    ClaimLaws,
    CommitLaws,
    FencingLaws,
    TimerLaws,
    HousekeepingLaws,
    ReopeningLaws,
    ProcessLaws,
    StateMachineLaws,
):
    """Every law. Subclass it, name the class ``Test...``, and give it the fixture ``new_store``::

        class TestMyBackend(StorageLaws):
            @pytest.fixture
            def new_store(self, tmp_path):
                return lambda: Storage(MyAdapter, path=tmp_path / new_id())

    What the backend does not offer is declared in ``differences``, with the reason; see :class:`Laws`.
    """

    async def test_no_law_is_missing(self) -> None:
        """No law was removed or overridden: what a backend does not offer is declared in ``differences``."""
        changed = [name for name, law in all_laws().items() if getattr(type(self), name, None) is not law]
        assert not changed, f"declare these in `differences`, do not remove or override them: {', '.join(changed)}"

    async def test_differences_are_known(self) -> None:
        """What is declared in ``differences`` is a capability or the number of a law, and says why."""
        known = {*CAPABILITIES, *(law_number(law) for law in all_laws().values())} - {"atomic"}
        unknown = sorted(set(self.differences) - known)
        assert not unknown, f"no capability and no law: {', '.join(unknown)} (`atomic` is declared on the adapter)"
        assert all(self.differences.values()), "say why, for the report"


def all_laws() -> Mapping[str, Any]:
    """Every law, by the name of its test."""
    return {name: law for section in SECTIONS for name, law in vars(section).items() if name.startswith("test_")}
