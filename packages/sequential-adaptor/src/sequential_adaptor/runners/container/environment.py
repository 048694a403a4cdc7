"""What a command sees of the environment: an allow-list, what was declared for it, and secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.supervising import SHORTEST

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of a command.

    - From outside it gets ``PATH`` and nothing else; like what is installed, it is part of the machine, not of the key.
    - ``HOME`` is an empty folder outside the work directory, the same path each time; ``LANG`` is ``C.UTF-8``.
    - ``declared`` are said by the user, and part of the key. They may replace the ones above.
    - ``secrets`` are in no key and no history, and hidden in what the command prints. What a command writes into files
      is kept as it is.
    """

    declared: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(declared: Mapping[str, str], secrets: Mapping[str, str]) -> Environment:
        """Checked: :class:`ConfigurationError` for names and values that no process could have."""
        for kind, variables in (("variable", declared), ("secret", secrets)):
            for name, value in variables.items():
                _check(kind, name, value)
        for name in sorted(secrets.keys() & declared.keys()):
            raise ConfigurationError(f"{name} is both in env and in secrets; a secret is in secrets alone")
        for name, value in secrets.items():
            if len(value) < SHORTEST:
                raise ConfigurationError(
                    f"secret {name} has fewer than {SHORTEST} characters and could not be hidden in the output;"
                    " if it is no secret, declare it in env"
                )
        return Environment(dict(declared), dict(secrets))

    def refuse_in(self, what: str, text: str) -> None:
        """A secret that is written out would be in the history."""
        for name, value in self.secrets.items():
            if value in text:
                raise ConfigurationError(f"{what} holds the value of secret {name}; write ${name} in its place")

    def variables(self, home: Path, cwd: Path) -> dict[str, str]:
        """The whole environment of the command."""
        path = os.environ.get("PATH") or _FALLBACK_PATH
        fixed = {"PATH": path, "LANG": "C.UTF-8", "HOME": os.fspath(home), "PWD": os.fspath(cwd)}
        return {**fixed, **self.declared, **self.secrets}


def inherited(names: Iterable[str]) -> dict[str, str]:
    """Variables that are declared by their names alone, with the values that they have here, where they have one."""
    return {name: os.environ[name] for name in names if name in os.environ}


def _check(kind: str, name: object, value: object) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ConfigurationError(f"{kind} {name!r}: a name is letters, digits and _, and begins with no digit")
    if not isinstance(value, str):
        raise ConfigurationError(f"{kind} {name} is {type(value).__name__}, not text")
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise ConfigurationError(f"{kind} {name} has a character that no environment can hold")
