"""``secrets``: the task's chance, which is as hard to foresee as the system's."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from sequential_adaptor.runners.fetch.chance import ChanceRandom
from sequential_adaptor.runners.fetch.virtual._random import _SystemRandom, take

_DEFAULT = secrets.DEFAULT_ENTROPY


def replacements() -> dict[str, Any]:
    """Everything but ``compare_digest``."""
    shared = ChanceRandom(take)
    return {
        "SystemRandom": _SystemRandom,
        "choice": shared.choice,
        "randbits": shared.getrandbits,
        "randbelow": _randbelow(shared),
        "token_bytes": _token_bytes,
        "token_hex": lambda nbytes=None: _token_bytes(nbytes).hex(),
        "token_urlsafe": lambda nbytes=None: (
            base64.urlsafe_b64encode(_token_bytes(nbytes)).rstrip(b"=").decode("ascii")
        ),
    }


def _token_bytes(nbytes: int | None = None) -> bytes:
    return take(_DEFAULT if nbytes is None else nbytes)


def _randbelow(shared: ChanceRandom) -> Any:
    def randbelow(exclusive_upper_bound: int) -> int:
        if exclusive_upper_bound <= 0:
            raise ValueError("Upper bound must be positive.")
        return shared.randrange(exclusive_upper_bound)

    return randbelow
