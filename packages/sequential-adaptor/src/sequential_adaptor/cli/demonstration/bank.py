"""The demo's bank: a real HTTP service, in a process of its own. It pays a bill once, however often it is asked.

It prints a JSON line when it is ready, and for each request when it comes in and when it is answered.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

THINKING = 0.35


class Bank(ThreadingHTTPServer):
    """``paid`` has the answer for each idempotency key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paid: dict[str, int] = {}
        self._lock = threading.Lock()

    def pay(self, key: str, amount: int) -> bool:
        """Take the money, unless this key has paid already."""
        with self._lock:
            if key in self.paid:
                return False
            self.paid[key] = amount
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed leaves no trace in the demo's output."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        bill = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["idempotency-key"]
        new = self._bank.pay(key, bill["amount"])
        tell(event="asked", bill=bill["name"], amount=bill["amount"], key=key, new=new)
        time.sleep(THINKING)
        self._answer({"paid": bill["amount"]})

    def do_GET(self) -> None:
        self._answer({"balance": -sum(self._bank.paid.values()), "payments": len(self._bank.paid)})

    @property
    def _bank(self) -> Bank:
        assert isinstance(self.server, Bank)  # nobody else makes this handler
        return self.server

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing but :func:`tell` writes."""


def tell(**event: Any) -> None:
    """One JSON line for whoever started the bank."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends, which it does when whoever started the bank is gone."""
    bank = Bank()
    threading.Thread(target=bank.serve_forever, daemon=True).start()
    tell(event="ready", url=f"http://127.0.0.1:{bank.server_address[1]}")
    sys.stdin.read()


if __name__ == "__main__":
    main()
