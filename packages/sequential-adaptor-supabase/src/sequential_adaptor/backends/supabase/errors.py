"""Errors of this backend: what is wrong with the database itself, each with what to do about it."""

from __future__ import annotations

from sequential_adaptor.errors import StorageError


class SchemaMissing(StorageError):
    """The schema is not there, or is older than this package needs."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(
            f"{address} does not have the schema that this version needs: {reason}."
            " Apply it: sequential migrate --storage postgresql://... (the connection string of that database)"
        )


class AccessRefused(StorageError):
    """The key or the role is not known, has expired, or may not do what was asked."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(
            f"{address} refuses: {reason}. It takes a secret key (sb_secret_...) or the service_role key of this very"
            " project, from the dashboard's API keys: set SUPABASE_SERVICE_KEY, or give service_key="
        )
