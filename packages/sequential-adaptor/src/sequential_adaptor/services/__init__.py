"""What tasks call: services by alias, and plain HTTP. httpx is imported at the first call, not before."""

from sequential_adaptor.services.client import ServiceClient
from sequential_adaptor.services.sending import HttpSender

__all__ = ["HttpSender", "ServiceClient"]
