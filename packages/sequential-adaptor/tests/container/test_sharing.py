"""Several runners on one store, and damage: sentences 6 and 7, in every isolation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sequential_adaptor.errors import StorageDamaged
from sequential_adaptor.runners.container.store import WorkDirectoryBusy


async def test_one_writer_for_each_work_directory_and_readers_are_free(bench: Any) -> None:
    """One writer for each work directory, and readers are free."""
    layer = await bench.run("echo 1 > a")
    other = await bench.new(isolation=bench.isolation)
    with pytest.raises(WorkDirectoryBusy):
        await other.run("true")
    assert (await other.head() or layer).hash == layer.hash
    assert await other.read(layer.hash, "a") == b"1\n"
    assert len(await other.history()) == 1
    assert (await other.verify()).whole
    assert (await other.status())["busy"]
    await bench.runner.dispose()
    assert (await other.run("cat a")).result["stdout"] == "1\n"


async def test_several_runners_on_one_store_side_by_side(bench: Any) -> None:
    """Several runners on one store, side by side."""
    runners = [await bench.new(isolation=bench.isolation, workdir=bench.tmp / f"w{n}") for n in range(3)]
    found = await asyncio.gather(*(runner.batch(["echo 1 > a", f"echo {n} > n"]) for n, runner in enumerate(runners)))
    assert len({layers[0].hash for layers in found}) == 1
    assert [(runner.workdir / "n").read_text() for runner in runners] == ["0\n", "1\n", "2\n"]


async def test_commands_of_one_runner_come_one_after_the_other(bench: Any) -> None:
    """Commands of one runner come one after the other."""
    layers = await asyncio.gather(*(bench.run(f"echo {n} >> log") for n in range(4)))
    assert len((bench.work / "log").read_text().split()) == 4
    assert len({layer.parent for layer in layers}) == 4


async def test_damage_is_reported_before_the_work_directory_is_touched(bench: Any) -> None:
    """Damage is reported before the work directory is touched."""
    await bench.run("echo start > s")
    root = await bench.hash()
    layer = await bench.run("seq 5000 > numbers; rm s; echo x > x")
    await bench.runner.checkout(root or "")
    before = bench.tree
    await bench.runner.dispose()
    for pack in (bench.tmp / "state" / "packs").iterdir():
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 0xFF
        pack.chmod(0o600)
        pack.write_bytes(content)
    bench.runner = await bench.new(isolation=bench.isolation)
    assert not (await bench.runner.verify()).whole
    with pytest.raises(StorageDamaged):
        await bench.runner.checkout(layer.hash)
    assert bench.tree == before
