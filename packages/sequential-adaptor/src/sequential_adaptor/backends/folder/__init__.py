"""The folder adapter: readable files, an append-only journal, many processes on one machine."""

from sequential_adaptor.backends.folder.adapter import FolderAdapter

__all__ = ["FolderAdapter"]
