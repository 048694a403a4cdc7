"""What tasks call: services by alias, and plain HTTP. httpx is imported at the first call, not before."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.services.client import ServiceClient
    from sequential_adaptor.services.sending import HttpSender

_HOMES = {"HttpSender": "sending", "ServiceClient": "client"}

__all__ = ["HttpSender", "ServiceClient"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
