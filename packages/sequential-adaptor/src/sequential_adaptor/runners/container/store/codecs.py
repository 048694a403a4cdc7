"""How objects are packed: with zstd where there is one, else with zlib; each object says which."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import local
from typing import Any

from sequential_adaptor.errors import ConfigurationError, StorageDamaged

PLAIN, ZLIB, ZSTD = 0, 1, 2
_LEVEL = 1
_SMALLEST = 64
"""Below it, a frame around the content costs more than it saves."""

Compress = Callable[[bytes], bytes]


def compressor() -> Callable[[bytes], tuple[int, bytes]]:
    """A function that packs one object: the codec and the bytes. It is for one thread at a time."""
    codec, compress = _best()

    def pack(data: bytes) -> tuple[int, bytes]:
        if len(data) >= _SMALLEST:
            packed = compress(data)
            if len(packed) < len(data):
                return codec, packed
        return PLAIN, data

    return pack


def unpack(codec: int, packed: bytes, length: int) -> bytes:
    """The object of ``length`` bytes; ``StorageDamaged`` where it is none. Never makes more bytes than that."""
    if codec == PLAIN:
        return packed
    if codec == ZLIB:
        return _inflate(packed, length)
    if codec == ZSTD:
        return _zstd()[1](packed, length)
    raise StorageDamaged(f"an object is packed with codec {codec}, which this version does not know")


def _best() -> tuple[int, Compress]:
    try:
        return ZSTD, _zstd()[0]()
    except ConfigurationError:
        return ZLIB, lambda data: zlib.compress(data, _LEVEL)


def _inflate(packed: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, length + 1)
    except zlib.error as error:
        raise StorageDamaged(f"an object cannot be unpacked: {error}") from error


@cache
def _zstd() -> tuple[Callable[[], Compress], Callable[[bytes, int], bytes]]:
    """A maker of compressors, and what unpacks: of the standard library (3.14), else of ``zstandard``."""
    if sys.version_info >= (3, 14):
        with suppress(ImportError):  # it is an optional part of Python
            from compression import zstd

            return _standard(zstd)
    try:
        import zstandard
    except ImportError as error:
        raise ConfigurationError(
            "what is stored is packed with zstd, which is not installed: pip install zstandard"
        ) from error
    return _third_party(zstandard)


def _standard(zstd: Any) -> tuple[Callable[[], Compress], Callable[[bytes, int], bytes]]:
    def unpack(packed: bytes, length: int) -> bytes:
        try:
            return bytes(zstd.ZstdDecompressor().decompress(packed, max_length=length + 1))
        except (zstd.ZstdError, EOFError) as error:
            raise StorageDamaged(f"an object cannot be unpacked: {error}") from error

    return lambda: lambda data: bytes(zstd.compress(data, level=_LEVEL)), unpack


def _third_party(zstandard: Any) -> tuple[Callable[[], Compress], Callable[[bytes, int], bytes]]:
    class OfThread(local):
        """Making one costs more than a small object does, and two threads cannot use the same."""

        def __init__(self) -> None:
            self.decompress = zstandard.ZstdDecompressor().decompress

    of_thread = OfThread()

    def unpack(packed: bytes, length: int) -> bytes:
        try:
            # The frame's own word for its size is checked: a flipped bit there would ask for any amount of memory.
            if zstandard.frame_content_size(packed) != length:
                raise StorageDamaged("an object cannot be unpacked: it is of another length than it should be")
            return bytes(of_thread.decompress(packed, max_output_size=length))
        except zstandard.ZstdError as error:
            raise StorageDamaged(f"an object cannot be unpacked: {error}") from error

    return lambda: zstandard.ZstdCompressor(level=_LEVEL).compress, unpack
