"""A small mail service: ``python mail_service.py [--port 8001] [--delay 0.01] [--failing 0.02]``.

The same mail every time. ``--failing`` is the share of calls that are answered with 503 the first time they come.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOMAINS = ("example.org", "example.net", "example.com")
USERS = ("ada", "grace", "katherine", "mary", "dorothy")
SUBJECTS = ("Invoice 2041", "Lunch?", "Minutes of the meeting", "Your parcel", "Re: invoice", "Holiday photos")
BODIES = ("See the attachment.", "The invoice is paid.", "Until tomorrow!", "It arrives on Friday.")


def make_mail() -> dict[str, dict[str, list[dict[str, str]]]]:
    """Messages by user by domain."""
    chance = random.Random(2041)
    mail: dict[str, dict[str, list[dict[str, str]]]] = {}
    for domain in DOMAINS:
        for name in USERS:
            user = f"{name}@{domain}"
            count = chance.randint(10, 20)
            mail.setdefault(domain, {})[user] = [
                {"id": f"{user}/{n}", "subject": chance.choice(SUBJECTS), "body": chance.choice(BODIES)}
                for n in range(count)
            ]
    return mail


@dataclass
class MailService:
    """Answers calls. ``calls`` has what each idempotency key asked for, each time that it came."""

    delay: float = 0.0
    failing: float = 0.0
    mail: dict[str, dict[str, list[dict[str, str]]]] = field(default_factory=make_mail)
    calls: dict[str, list[str]] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, endpoint: str, key: str, body: bytes) -> tuple[int, Any]:
        """Status and value of one call."""
        time.sleep(self.delay)
        with self.lock:
            first = key not in self.calls
            self.calls.setdefault(key, []).append(f"{endpoint} {body.decode()}")
            if first and self.chance.random() < self.failing:
                return 503, {"error": "the mail service is busy"}
        [link] = json.loads(body)["chain"]
        return 200, {"result": self.call(f"{endpoint}.{link['property']}", link["args"] or {})}

    def call(self, method: str, args: dict[str, str]) -> Any:
        """What a method gives."""
        if method == "directory.domains.list":
            return list(self.mail)
        if method == "directory.users.list":
            return list(self.mail[args["domain"]])
        if method == "mail.messages.list":
            return [message["id"] for user, message in self.messages() if user == args["user"]]
        return next(message for _, message in self.messages() if message["id"] == args["id"])

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        """All of them, with their users."""
        return ((user, message) for users in self.mail.values() for user, found in users.items() for message in found)


def server(service: MailService, port: int) -> ThreadingHTTPServer:
    """A server for a service, ready to ``serve_forever()``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are one packet: otherwise each answer waits for the acknowledgement of its head.
        wbufsize = -1

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # whoever called was killed in the middle of it
                self.close_connection = True
                return
            status, value = service.answer(self.path.rpartition("/")[2], self.headers["idempotency-key"], body)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:
            """The service is quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed is no error of the service."""

    return Server(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--delay", type=float, default=0.01)
    parser.add_argument("--failing", type=float, default=0.02)
    asked = parser.parse_args()
    print(f"mail at http://127.0.0.1:{asked.port}", flush=True)
    server(MailService(asked.delay, asked.failing), asked.port).serve_forever()
