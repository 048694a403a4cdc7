"""Durable tasks in Postgres, shared by any number of machines: a Supabase project, or any other Postgres."""

from sequential_adaptor.backends.supabase.adapter import SupabaseAdapter
from sequential_adaptor.backends.supabase.errors import AccessRefused, SchemaMissing

__all__ = ["AccessRefused", "SchemaMissing", "SupabaseAdapter"]
