"""Nothing that a person did is swallowed or lost: sentence 5, in every isolation."""

from __future__ import annotations

from typing import Any

import pytest

from sequential_adaptor.runners.container import WorkDirectoryDirty


async def test_a_work_directory_that_was_changed_by_hand_is_refused_and_nothing_is_lost(bench: Any) -> None:
    """A work directory that was changed by hand is refused, and nothing is lost."""
    await bench.run("echo 1 > a")
    (bench.work / "hand").write_text("mine")
    (bench.work / "a").write_text("mine too")
    before = bench.tree
    for attempt in (bench.run("true"), bench.runner.exec("true"), bench.runner.reset()):
        with pytest.raises(WorkDirectoryDirty, match="hand"):
            await attempt
    assert bench.tree == before


async def test_a_checkout_never_loses_what_was_changed_by_hand_unless_it_is_forced(bench: Any) -> None:
    """A checkout never loses what was changed by hand, unless it is forced."""
    one = await bench.run("echo 1 > a")
    await bench.run("echo 2 > a")
    (bench.work / "a").write_text("mine")
    with pytest.raises(WorkDirectoryDirty):
        await bench.runner.checkout(one.hash)
    assert (bench.work / "a").read_text() == "mine"
    await bench.runner.checkout(one.hash, force=True)
    assert (bench.work / "a").read_text() == "1\n"


async def test_a_hit_does_not_swallow_or_lose_what_was_changed_by_hand(bench: Any) -> None:
    """A hit does not swallow or lose what was changed by hand."""
    await bench.run("echo 1 > a")
    await bench.runner.reset()
    (bench.work / "hand").write_text("mine")
    with pytest.raises(WorkDirectoryDirty):
        await bench.run("echo 1 > a")
    assert (bench.work / "hand").read_text() == "mine"


async def test_commit_adopts_what_was_changed_by_hand(bench: Any) -> None:
    """Commit adopts what was changed by hand."""
    one = await bench.run("echo 1 > a")
    (bench.work / "hand").write_text("mine")
    layer = await bench.runner.commit("a note")
    assert (layer.kind, layer.parent, layer.changed.added) == ("commit", one.hash, ("hand",))
    assert layer.result["message"] == "a note"
    assert (await bench.runner.status()).clean
    assert (await bench.run("cat hand")).stdout == "mine"


async def test_on_dirty_commit_makes_a_layer_of_it_that_the_command_begins_on(bench: Any) -> None:
    """On_dirty='commit' makes a layer of it that the command begins on."""
    await bench.reopen(on_dirty="commit")
    one = await bench.run("echo 1 > a")
    (bench.work / "hand").write_text("mine")
    layer = await bench.run("rm a")
    assert layer.changed.deleted == ("a",)
    between = await bench.runner.inspect(layer.parent or "")
    assert (between.kind, between.parent, between.changed.added) == ("commit", one.hash, ("hand",))


async def test_on_dirty_discard_throws_it_away(bench: Any) -> None:
    """On_dirty='discard' throws it away."""
    await bench.reopen(on_dirty="discard")
    await bench.run("echo 1 > a")
    (bench.work / "hand").write_text("mine")
    assert (await bench.run("ls")).stdout == "a\n"
    assert not (bench.work / "hand").exists()


async def test_a_work_directory_with_files_of_its_own_is_dirty_until_they_are_committed(bench: Any) -> None:
    """A work directory with files of its own is dirty until they are committed."""
    folder = bench.tmp / "project"
    folder.mkdir()
    (folder / "main.c").write_text("int main;")
    runner = await bench.new(isolation=bench.isolation, workdir=folder)
    with pytest.raises(WorkDirectoryDirty, match=r"main\.c"):
        await runner.run("true")
    await runner.commit("sources")
    assert (await runner.exec("cat main.c")).stdout == "int main;"


async def test_status_says_what_was_changed_by_hand(bench: Any) -> None:
    """Status says what was changed by hand."""
    await bench.run("echo 1 > a; echo 2 > b")
    (bench.work / "a").unlink()
    (bench.work / "b").write_text("3")
    (bench.work / "c").mkdir()
    found = await bench.runner.status()
    assert (found.added, found.modified, found.deleted, found.clean) == (["c"], ["b"], ["a"], False)
