"""The link checker: a crawl with several requests at once, killed in between."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TASK = "link_checker/link_checker.py"
PAGES = 60


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of many pages: each links to some others, to an anchor, and now and then to nothing."""
    folder = tmp_path / "site"
    folder.mkdir()
    for n in range(PAGES):
        links = [f"[{m}](page-{m}.md)" for m in (2 * n + 1, 2 * n + 2, n // 3) if m < PAGES]
        links.append(f"[anchor](page-{n}.md#{'part-one' if n % 7 else 'nowhere'})")
        if n % 10 == 3:
            links.append(f"[dead](gone-{n}.md)")
        (folder / f"page-{n}.md").write_text(f"# Page {n}\n\n## Part one\n\n{' '.join(links)}\n")
    return folder


def expected(base: str) -> set[tuple[str, str]]:
    dead = {(f"{base}/page-{n}.md", f"{base}/gone-{n}.md") for n in range(PAGES) if n % 10 == 3}
    return dead | {(f"{base}/page-{n}.md", f"{base}/page-{n}.md#nowhere") for n in range(0, PAGES, 7)}


class Counting:
    """Counts the requests that a site gets."""

    def __init__(self, server: Any) -> None:
        self.paths: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._make, server.RequestHandlerClass = server.RequestHandlerClass, self._handler
        server.handle_error = lambda request, address: None  # a killed client is no error

    def _handler(self, *arguments: Any) -> Any:
        handler = self._make
        counting = self

        class Handler(handler.func):  # type: ignore[misc, name-defined]  # the class is known at run time only
            def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
                with counting._lock:
                    counting.paths[self.path] += 1
                super().do_GET()

        return Handler(*handler.args, *arguments)


def test_it_finds_the_dead_links_and_missing_anchors(
    load: Any, serve: Any, commands: Any, examples: Path, site: Path
) -> None:
    server = load("link_checker/serve_docs.py").server(site, 0)
    counting = Counting(server)
    base = serve(server)
    found = json.loads(commands.run("run", str(examples / TASK), "--input", json.dumps({"url": f"{base}/page-0.md"})))
    assert {(one["page"], one["link"]) for one in found["broken"]} == expected(base)
    assert found["pages"] == PAGES
    assert set(counting.paths.values()) == {1}


def test_killed_again_and_again_it_ends_right_and_gets_hardly_a_page_twice(
    load: Any, serve: Any, commands: Any, examples: Path, site: Path
) -> None:
    module = load("link_checker/serve_docs.py")
    server = module.server(site, 0)
    counting = Counting(server)
    base = serve(server)
    asked = json.dumps({"url": f"{base}/page-0.md"})
    commands.run("submit", str(examples / TASK), "--input", asked, "--id", "crawl")
    kills, side_by_side = 5, 8
    commands.kill_workers(kills, counting.paths.total, (1, 20))
    done = commands.finish("crawl")
    assert done["status"] == "completed"
    assert {(one["page"], one["link"]) for one in done["result"]["broken"]} == expected(base)
    again = counting.paths.total() - len(counting.paths)
    assert again <= kills * side_by_side


def test_a_site_that_is_not_there_is_one_broken_link(commands: Any, examples: Path) -> None:
    asked = json.dumps({"url": "http://127.0.0.1:1/"})
    found = json.loads(commands.run("run", str(examples / TASK), "--input", asked))
    assert (found["pages"], [one["link"] for one in found["broken"]]) == (0, ["http://127.0.0.1:1/"])


def test_the_docs_of_this_project_have_no_dead_link(load: Any, serve: Any, commands: Any, examples: Path) -> None:
    if not (examples.parent / "docs").is_dir():
        pytest.skip("there are no docs here")
    base = serve(load("link_checker/serve_docs.py").server(examples.parent, 0))
    found = json.loads(commands.run("run", str(examples / TASK), "--input", json.dumps({"url": f"{base}/docs/"})))
    assert found["pages"] > 1
    assert found["broken"] == []
