"""What the documentation says by name is there, and what is there by name is in the documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from sequential_adaptor import errors

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
RUNS = {"python", "console", "text"}
SHOWN = {"", "sh", "mermaid", "toml", "yaml", "json", "sql"}
"""Languages of blocks that are shown and not run."""


def pages(docs: Path) -> list[Path]:
    """The README of the repository, and every page."""
    return [docs.parent / "README.md", *sorted(docs.glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The links of a page that lead into the repository, with their anchors."""
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def test_every_link_leads_to_a_page_and_a_heading_that_exist(docs: Path) -> None:
    found = [(page.name, target, anchor) for page in pages(docs) for target, anchor in links(page)]
    assert found
    missing = [link for link in found if not link[1].exists() or (link[2] and link[2] not in anchors(link[1]))]
    assert missing == []


def test_every_page_can_be_reached_from_the_index(docs: Path) -> None:
    reached, open_pages = set[Path](), [docs / "index.md"]
    while open_pages:
        page = open_pages.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            open_pages += [target for target, _ in links(page) if target.is_file()]
    assert {path.name for path in docs.glob("*.md")} <= {path.name for path in reached}


def test_every_block_is_of_a_language_that_is_run_or_shown_on_purpose(docs: Path) -> None:
    opened = re.compile(r"^```(\w*)$.*?^```$", re.MULTILINE | re.DOTALL)
    used = {language for page in pages(docs) for language in opened.findall(page.read_text(encoding="utf-8"))}
    assert used - RUNS <= SHOWN


def test_the_page_of_errors_shows_the_whole_tree(docs: Path) -> None:
    page = (docs / "errors.md").read_text(encoding="utf-8")
    tree = inspect.cleandoc("\n".join(re.findall(r"^    (.*)$", str(errors.__doc__), re.MULTILINE)))
    assert tree in page


def test_the_page_of_errors_says_what_to_do_about_each(docs: Path) -> None:
    page = (docs / "errors.md").read_text(encoding="utf-8")
    rows = " ".join(re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE))
    concrete = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SequentialError) and kind.__module__ == errors.__name__
    }
    groups = {"SequentialError", "RegistryError", "StorageError", "TaskError"}
    assert concrete - groups == set(re.findall(r"`(\w+)`", rows))


def test_every_command_of_the_core_is_on_its_page(docs: Path) -> None:
    ours = distribution("sequential-adaptor").entry_points.select(group="sequential_adaptor.commands").names
    said = set(
        re.findall(r"^\| .*?\| `(\w[\w-]*)", (docs / "command-line.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert said == ours
