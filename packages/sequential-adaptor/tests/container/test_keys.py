"""What a layer's name depends on: sentence 1 of "How it is right", in every isolation."""

from __future__ import annotations

from typing import Any

import pytest

from sequential_adaptor.runners.container import CommandFailed, Layer
from sequential_adaptor.runners.container.store import UnknownPath


async def test_the_same_command_on_the_same_parent_is_the_same_layer(bench: Any) -> None:
    """The same command on the same parent is the same layer."""
    one = await bench.run("echo one > a")
    await bench.runner.reset()
    two = await bench.run("echo one > a")
    assert (two.hash, two.cached, one.cached) == (one.hash, True, False)
    assert len(one.hash) == 64
    assert one.short == one.hash[:12]


async def test_another_command_is_another_layer_though_it_changes_the_same(bench: Any) -> None:
    """Another command is another layer, though it changes the same."""
    one = await bench.run("echo one > a")
    await bench.runner.reset()
    two = await bench.run("echo one >a")
    assert two.hash != one.hash
    assert not two.cached


async def test_the_input_is_part_of_the_key_and_comes_as_a_line_of_json(bench: Any) -> None:
    """The input is part of the key, and comes as a line of JSON."""
    found = {}
    for value in (None, 0, False, "", [], {}, "ä\n", 10**30, {"a": 1}):
        await bench.runner.reset()
        layer = await bench.run("cat > a", input=value)
        found[layer.hash] = (bench.work / "a").read_text()
    assert list(found.values()) == [
        "",
        "0\n",
        "false\n",
        '""\n',
        "[]\n",
        "{}\n",
        '"ä\\n"\n',
        f"{10**30}\n",
        '{"a":1}\n',
    ]


async def test_standard_input_is_part_of_the_key(bench: Any) -> None:
    """Standard input is part of the key."""
    one = await bench.run("cat > a", stdin="one")
    await bench.runner.reset()
    two = await bench.run("cat > a", stdin=b"\xff\0two")
    assert one.hash != two.hash
    assert (bench.work / "a").read_bytes() == b"\xff\0two"


async def test_identical_changes_on_different_parents_are_different_layers(bench: Any) -> None:
    """Identical changes on different parents are different layers."""
    root = await bench.run("echo 1 > root")
    left = await bench.run("echo x > x")
    await bench.runner.checkout(root.hash)
    middle = await bench.run("true")
    right = await bench.run("echo x > x")
    assert left.hash != right.hash
    assert left.parent == root.hash
    assert right.parent == middle.hash
    assert (await bench.runner.diff(left.hash, right.hash)).clean


async def test_declared_variables_are_part_of_the_key(bench: Any) -> None:
    """Declared variables are part of the key."""
    one = await bench.run("echo $X > a", env={"X": "1"})
    await bench.runner.reset()
    two = await bench.run("echo $X > a", env={"X": "2"})
    await bench.runner.reset()
    again = await bench.run("echo $X > a", env={"X": "1"})
    assert one.hash != two.hash
    assert (again.hash, again.cached) == (one.hash, True)


async def test_the_shell_is_part_of_the_key(bench: Any) -> None:
    """The shell is part of the key."""
    one = await bench.run("echo $0 > a")
    other = await bench.new(isolation=bench.isolation, workdir=bench.tmp / "other", shell="bash -c")
    two = await other.run("echo $0 > a")
    assert isinstance(two, Layer)
    assert not two.cached
    assert (other.workdir / "a").read_text() != (bench.work / "a").read_text()
    assert one.hash != two.hash


async def test_the_isolation_is_part_of_the_key(bench: Any) -> None:
    """The isolation is part of the key."""
    one = await bench.run("echo 1 > a")
    name = "overlay" if bench.isolation == "none" else "none"
    other = await bench.new(isolation=name, workdir=bench.tmp / "other")
    two = await other.run("echo 1 > a")
    assert isinstance(two, Layer)
    assert (two.cached, two.hash == one.hash) == (False, False)


async def test_the_salt_is_part_of_the_key(bench: Any) -> None:
    """The salt is part of the key."""
    found = set()
    for salt in ("", "a", "b"):
        await bench.runner.reset()
        found.add((await bench.run("true", salt=salt)).hash)
    assert len(found) == 3


async def test_ignored_patterns_are_part_of_the_key(bench: Any) -> None:
    """Ignored patterns are part of the key."""
    one = await bench.run("echo 1 > a")
    await bench.runner.reset()
    two = await bench.run("echo 1 > a", ignore=["*.log"])
    assert (two.cached, two.hash == one.hash) == (False, False)


async def test_what_is_ignored_is_in_no_layer_and_not_undone(bench: Any) -> None:
    """What is ignored is in no layer and not undone."""
    ignore = ["*.log", "cache/"]
    await bench.run("mkdir cache; echo 0 > cache/kept; echo 0 > kept.log; mkdir d")
    layer = await bench.run("echo 1 > a; echo 2 > b.log; rm -r cache kept.log; echo 3 > d/c.log; true", ignore=ignore)
    assert layer.changed.added == ("a",)
    assert layer.changed.deleted == ()
    assert await bench.runner.read(layer.hash, "cache/kept") == b"0\n"
    with pytest.raises(UnknownPath):
        await bench.runner.read(layer.hash, "b.log")
    if bench.isolation != "overlay":  # there, changes to what is ignored are thrown away
        assert (bench.work / "b.log").read_text() == "2\n"
        with pytest.raises(CommandFailed):
            await bench.run("echo 4 > b.log; echo 5 > a; exit 1", ignore=ignore)
        assert (bench.work / "b.log").read_text() == "4\n"
        assert (bench.work / "a").read_text() == "1\n"


async def test_a_command_that_changes_nothing_is_a_layer_too(bench: Any) -> None:
    """A command that changes nothing is a layer too."""
    one = await bench.run("true")
    two = await bench.run("true")
    assert one.changed.clean
    assert two.parent == one.hash != two.hash
    assert [layer.hash for layer in await bench.runner.history()] == [two.hash, one.hash]


async def test_going_back_to_what_was_is_a_new_layer_history_has_no_cycles(bench: Any) -> None:
    """Going back to what was is a new layer: history has no cycles."""
    layers = [await bench.run(f"echo {n} > a") for n in (1, 2, 1, 2)]
    assert len({layer.hash for layer in layers}) == 4
    assert [layer.hash for layer in reversed(await bench.runner.history())] == [layer.hash for layer in layers]
    assert (await bench.runner.diff(layers[0].hash, layers[2].hash)).clean


async def test_cache_false_runs_it_again_and_the_newest_layer_is_the_one_that_is_found(bench: Any) -> None:
    """Cache=False runs it again, and the newest layer is the one that is found."""
    one = await bench.run("date +%N > a")
    await bench.runner.reset()
    two = await bench.run("date +%N > a", cache=False)
    await bench.runner.reset()
    three = await bench.run("date +%N > a")
    assert one.hash != two.hash == three.hash
    assert (two.cached, three.cached) == (False, True)
