"""``docs/storage-laws.md`` and the kit say the same laws, in the same words."""

from __future__ import annotations

import re
from pathlib import Path

from sequential_adaptor.testing.laws import CAPABILITIES, SECTIONS, all_laws, law_number, law_sentence

DOCS = Path(__file__).parents[4] / "docs" / "storage-laws.md"
_LAW = re.compile(
    r"^- \*\*(?P<sentence>(?P<number>[A-Z]\d+)\. .+?)\*\*(?: \((?P<needs>[a-z, ]+)\))?(?: |$)", re.MULTILINE
)


def in_the_docs() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Number, sentence and needs of each law in the docs."""
    found = _LAW.finditer(DOCS.read_text(encoding="utf-8"))
    return {
        one["number"]: (one["sentence"], tuple(filter(None, (one["needs"] or "").split(", "))) if one["needs"] else ())
        for one in found
    }


def in_the_tests() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The same of each test."""
    return {law_number(law) or name: (law_sentence(law), getattr(law, "needs", ())) for name, law in all_laws().items()}


def test_docs_and_tests_agree_one_to_one() -> None:
    """Every law of the docs is a test with that number and sentence, and every test is a law of the docs."""
    assert in_the_docs() == in_the_tests()


def test_no_line_of_the_docs_is_overlooked() -> None:
    """Every item under a section is a law in the form that this test reads."""
    text = DOCS.read_text(encoding="utf-8")
    items = [line for line in text[text.index("## R.") :].splitlines() if line.startswith("- ")]
    assert len(items) == len(in_the_docs())


def test_laws_are_numbered_without_a_gap() -> None:
    """The laws of a section count from 1, under one letter."""
    numbers: dict[str, list[int]] = {}
    for law in all_laws().values():
        number = str(law_number(law))
        numbers.setdefault(number[0], []).append(int(number[1:]))
    for letter, found in numbers.items():
        assert sorted(found) == list(range(1, len(found) + 1)), letter
    assert all(any(name.startswith("test_") for name in vars(section)) for section in SECTIONS)


def test_needs_are_capabilities() -> None:
    """A law needs what a backend can declare, and nothing else."""
    assert {need for _, needs in in_the_tests().values() for need in needs} <= set(CAPABILITIES)
