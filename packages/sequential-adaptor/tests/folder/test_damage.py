"""A damaged journal: what was acknowledged is there, or the damage is reported. Never less in silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest

from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.backends.folder.entries import Entry, Op
from sequential_adaptor.backends.folder.lines import SECTOR
from sequential_adaptor.errors import StorageDamaged, StorageError
from sequential_adaptor.records import TaskRun

pytestmark = pytest.mark.slow


class Written(Protocol):
    """A store that nobody has open, its journal, and where in it each acknowledged commit ends."""

    base: Path
    journal: Path
    ends: list[int]

    def data(self) -> bytes: ...


Numbers: TypeAlias = Callable[[Path], list[int]]
ALL = [1, 2, 3, 4, 5]


def test_undamaged(written: Written, numbers: Numbers) -> None:
    """The store as it was left has every commit."""
    assert numbers(written.base) == ALL


def test_a_file_cut_at_any_byte_is_reported(written: Written, numbers: Numbers) -> None:
    """A journal cut off anywhere in what was written is damage; in the NUL bytes behind it, nothing is lost."""
    data = written.data()
    for size in range(written.ends[-1] + 3):
        written.journal.write_bytes(data[:size])
        if size > written.ends[-1]:
            assert numbers(written.base) == ALL
        else:
            with pytest.raises(StorageDamaged, match=written.journal.name):
                numbers(written.base)


def test_a_write_cut_off_at_any_byte_is_wiped_away(written: Written, numbers: Numbers) -> None:
    """What a killed process had begun to write was never acknowledged: it goes, and everything before it is there."""
    data = written.data()
    start = written.ends[-2]
    for end in range(start, written.ends[-1]):
        written.journal.write_bytes(data[:end].ljust(len(data), b"\0"))
        complete = end == written.ends[-1] - 1  # all but the newline: the commit is whole
        assert numbers(written.base) == (ALL if complete else ALL[:-1])
        assert numbers(written.base) == (ALL if complete else ALL[:-1]), "and again, when it was wiped away"


def test_a_changed_byte_is_reported(written: Written, numbers: Numbers) -> None:
    """Any byte of any commit, the last one too, changed to any other: reported, or of no consequence."""
    data, chance = written.data(), random.Random(20)
    for at in (*range(chance.randrange(4), written.ends[-1], 4), *range(written.ends[-2], written.ends[-1], 2)):
        changed = chance.choice([byte for byte in (*chance.randbytes(3), 10, 32, 48) if byte != data[at]])
        written.journal.write_bytes(data[:at] + bytes([changed]) + data[at + 1 :])
        with pytest.raises(StorageDamaged, match=written.journal.name):
            numbers(written.base)


def test_a_byte_lost_to_nul_is_reported(written: Written, numbers: Numbers) -> None:
    """A single byte that became NUL is no unfinished write; only the last newline is of no consequence."""
    data = written.data()
    for at in (*range(0, written.ends[-1], 5), *range(written.ends[-1] - 50, written.ends[-1])):
        written.journal.write_bytes(data[:at] + b"\0" + data[at + 1 :])
        if at == written.ends[-1] - 1:
            assert numbers(written.base) == ALL  # the newline alone
        elif (at + 1) % SECTOR:
            with pytest.raises(StorageDamaged, match=written.journal.name):
                numbers(written.base)


def test_many_changed_bytes_lose_nothing_in_silence(written: Written, numbers: Numbers) -> None:
    """Several bytes changed at once, anywhere in the segment."""
    data, chance = written.data(), random.Random(21)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(chance.choice([written.ends[-1], len(data)]))] = chance.randrange(256)
        written.journal.write_bytes(changed)
        with contextlib.suppress(StorageDamaged):
            assert numbers(written.base) == ALL


def test_a_missing_line_is_reported(written: Written, numbers: Numbers) -> None:
    """A line taken out, or put in twice: a line is good in its own place only."""
    data, (first, second, *_) = written.data(), written.ends
    for changed in (data[:first] + data[second:], data[:second] + data[first:]):
        written.journal.write_bytes(changed)
        with pytest.raises(StorageDamaged):
            numbers(written.base)


def test_sectors_lost_in_the_last_write_are_wiped_away(written: Written, numbers: Numbers) -> None:
    """After a power loss any sectors of the write that was never acknowledged may be missing, also those in the
    middle.
    """
    data = bytearray(written.data())
    long = b"x" * (4 * SECTOR)
    start = written.ends[-1]
    first = start // SECTOR + 1
    for missing in range(first, first + 3):
        torn = bytearray(data)
        torn[start : start + 12 + len(long)] = b"00000000 %d 0 " % (len(long)) + long[: len(long) - 5] + b"\n"
        torn[missing * SECTOR : (missing + 1) * SECTOR] = bytes(SECTOR)
        written.journal.write_bytes(torn[: len(data)].ljust(len(data), b"\0"))
        assert numbers(written.base) == ALL


def test_what_a_lost_write_left_far_behind_is_wiped_away(written: Written, numbers: Numbers) -> None:
    """Its first sectors may be missing, and later ones there: a good line among them may not come up again one day."""
    start = (written.ends[-1] // SECTOR + 20) * SECTOR
    written.journal.write_bytes(written.data()[: written.ends[-1]].ljust(start, b"\0") + b"x\n" * SECTOR + bytes(9000))
    assert numbers(written.base) == ALL
    assert not written.data()[written.ends[-1] :].strip(b"\0")


def test_sectors_lost_of_what_a_later_line_calls_durable_are_reported(written: Written, numbers: Numbers) -> None:
    """Missing sectors look like an unfinished write; a good line behind them that knows better is believed."""
    data = written.data()
    start, end = written.ends[0], written.ends[1]
    boundary = -(-end // SECTOR) * SECTOR
    assert boundary < written.ends[-1]
    written.journal.write_bytes(data[:start] + bytes(boundary - start) + data[boundary:])
    with pytest.raises(StorageDamaged):
        numbers(written.base)


async def test_a_segment_that_is_gone_is_reported(base: Path) -> None:
    """One between two others, and nothing that covers it."""
    async with FolderAdapter(base) as adapter:
        store = adapter._use().store
        for number in range(3):
            await adapter.create_task_run(TaskRun(id=f"run-{number}", task_identifier="t"))
            await asyncio.to_thread(store.rotate)
    gone = store.paths.segment(2)
    gone.unlink()
    with pytest.raises(StorageDamaged, match=rf"{gone.name}.*[Rr]estore"):
        await FolderAdapter(base).init()


async def test_damage_shows_in_every_method_and_says_what_to_do(written: Written) -> None:
    """A process that has the store open, and one that opens it, get the file, the byte and the remedy."""
    data = written.data()
    async with FolderAdapter(written.base) as adapter:
        with written.journal.open("r+b") as file:
            file.seek(written.ends[-1])
            file.write(b"00000000 2 0 {}\n")
        said = rf"{written.journal.name}.* byte {written.ends[-1]}.*[Rr]estore"
        with pytest.raises(StorageDamaged, match=said):
            await adapter.get_task_run("run-1")
        with pytest.raises(StorageDamaged, match=said):
            await adapter.create_task_run(TaskRun(id="run-2", task_identifier="t"))
        written.journal.write_bytes(data)
        assert await adapter.get_task_run("run-1") is not None


async def test_without_the_damaged_journal_the_files_go_on(written: Written, numbers: Numbers) -> None:
    """The remedy that the error names: without ``.store`` the readable files are the store."""
    async with FolderAdapter(written.base) as adapter:
        await adapter.update_task_run("run-1", runner="fetch")
    written.journal.write_bytes(b"")
    with pytest.raises(StorageDamaged):
        numbers(written.base)
    for path in written.journal.parent.iterdir():
        path.unlink()
    written.journal.parent.rmdir()
    assert numbers(written.base) == ALL
    assert numbers(written.base) == ALL


async def test_what_a_newer_version_wrote_is_not_dropped(base: Path) -> None:
    """A field that this version does not know stops it, with the remedy; it is never taken in without."""
    async with FolderAdapter(base) as adapter, FolderAdapter(base) as newer:
        await adapter.create_task_run(TaskRun(id="run-1", task_identifier="t"))
        await newer.get_task_run("run-1")
        store = newer._use().store
        op = Op(TaskRun, "run-1", "run-1", {"mood": "good"}, False)
        with store.commit_lock:
            store.journal.append([Entry(None, [op]).encode()])
        for _ in range(2):
            with pytest.raises(StorageError, match=r"mood.*--upgrade"):
                await adapter.get_task_run("run-1")
