"""Serves Markdown files as a site: ``python serve_docs.py [FOLDER] [--port 8000]``; this repository by default."""

from __future__ import annotations

import argparse
import re
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[2]


def rendered(path: Path) -> str:
    """A Markdown file as HTML, with an anchor at each heading as GitHub makes them."""
    tokens = (markdown := MarkdownIt().enable("table")).parse(path.read_text(encoding="utf-8"))
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", re.sub(r"[^\w\- ]", "", content.content.lower()).replace(" ", "-"))
    body = markdown.renderer.render(tokens, markdown.options, {})
    return f"<!doctype html><meta charset=utf-8><title>{path.stem}</title>{body}"


def index(folder: Path) -> str:
    """Links to all the Markdown files in a folder."""
    names = sorted(path.name for path in folder.glob("*.md"))
    items = "".join(f'<li><a href="{name}">{name}</a>' for name in names)
    return f"<!doctype html><meta charset=utf-8><title>{folder.name}</title><ul>{items}</ul>"


class Site(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]  # whatever the server hands over

    def do_GET(self) -> None:
        path = (self.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.folder) or not path.exists():
            self.answer(404, "There is no such page.")
        elif path.is_dir():
            self.answer(200, index(path))
        elif path.suffix == ".md":
            self.answer(200, rendered(path))
        else:
            self.answer(200, path.read_text(encoding="utf-8", errors="replace"), "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, status: int, text: str, kind: str = "text/html") -> None:
        """Send a page."""
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """The crawler says enough."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server, ready to ``serve_forever()``."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Site, folder.resolve()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY)
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    print(f"{asked.folder} at http://127.0.0.1:{asked.port}/docs/", flush=True)
    server(asked.folder, asked.port).serve_forever()
