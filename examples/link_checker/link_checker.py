"""Checks the links of a site: crawls its pages, several at once, and asks for whatever they link to.

Input: ``{"url": "http://...", "most": 500, "elsewhere": false}``; ``elsewhere`` asks for links to other sites too.
"""

import asyncio
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urldefrag, urljoin, urlsplit

from sequential_adaptor.errors import CallFailed
from sequential_adaptor.task import fetch

SIDE_BY_SIDE = 8


class Link(NamedTuple):
    page: str
    url: str
    anchor: str


class Page(HTMLParser):
    """``links`` in the order of the page, and the ``anchors`` that others may link to."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self.url = url
        self.links: list[Link] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.update(text for name in ("id", "name") if (text := found.get(name)))
        target = found.get("href") if tag in ("a", "link") else found.get("src")
        absolute = urljoin(self.url, target or "")
        if target and urlsplit(absolute).scheme in ("http", "https"):
            self.links.append(Link(self.url, *urldefrag(absolute)))


class Seen(NamedTuple):
    """What is at an address: a page of the site, a problem, or neither."""

    page: Page | None = None
    problem: str | None = None


async def look(url: str, site: str, turn: asyncio.Semaphore) -> Seen:
    """Get a page of the site; of anything elsewhere only whether it is there."""
    async with turn:
        try:
            answer = await fetch(url, method="GET" if is_of(site, url) else "HEAD", attempts=2, timeout=20)
        except CallFailed as error:
            return Seen(problem=str(error))
    if answer.status_code >= 400:
        return Seen(problem=f"status {answer.status_code}")
    if not is_of(site, url) or "html" not in answer.headers.get("content-type", ""):
        return Seen()
    return Seen(Page(url, answer.text))


async def main(input: dict[str, Any]) -> dict[str, Any]:
    site, most = input["url"], input.get("most", 500)
    turn = asyncio.Semaphore(SIDE_BY_SIDE)
    seen: dict[str, Seen] = {}
    links: list[Link] = []
    level = [site]
    while level:
        found = await asyncio.gather(*(look(url, site, turn) for url in level))
        seen.update(zip(level, found, strict=True))
        links += [link for one in found if one.page for link in one.page.links]
        wanted = dict.fromkeys(link.url for link in links if input.get("elsewhere") or is_of(site, link.url))
        level = [url for url in wanted if url not in seen][: max(most - len(seen), 0)]
        print(f"{len(seen)} addresses, {len(links)} links")
    broken = [
        {"page": link.page, "link": "#".join(link[1:]).rstrip("#"), "problem": problem(seen, link)} for link in links
    ]
    return {
        "pages": sum(one.page is not None for one in seen.values()),
        "links": len(links),
        "broken": [one for one in broken if one["problem"]] or start_problem(site, seen),
    }


def is_of(site: str, url: str) -> bool:
    """Whether an address belongs to the site."""
    return urlsplit(url)[:2] == urlsplit(site)[:2]


def problem(seen: dict[str, Seen], link: Link) -> str | None:
    """What is wrong with a link."""
    target = seen.get(link.url, Seen())
    if target.page is not None and link.anchor and link.anchor not in target.page.anchors:
        return f"no anchor {link.anchor!r}"
    return target.problem


def start_problem(site: str, seen: dict[str, Seen]) -> list[dict[str, Any]]:
    """No page links to the first one, and it may be missing all the same."""
    wrong = seen[site].problem
    return [{"page": None, "link": site, "problem": wrong}] if wrong else []
