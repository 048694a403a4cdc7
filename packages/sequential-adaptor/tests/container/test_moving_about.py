"""Scripts, refs, forks, and moving between layers, in every isolation."""

from __future__ import annotations

from typing import Any

import pytest

from sequential_adaptor.runners.base import CallResults, Suspended
from sequential_adaptor.runners.container import CommandFailed, Layer
from sequential_adaptor.runners.container.store import UnknownLayer, UnknownPath


async def test_exec_leaves_no_layer_and_what_it_changed_is_thrown_away(bench: Any) -> None:
    """Exec leaves no layer, and what it changed is thrown away."""
    layer = await bench.run("echo 1 > a; mkdir d")
    before = bench.tree
    done = await bench.runner.exec("rm a; rmdir d; echo 2 > b; ls; echo e >&2; exit 5")
    assert (done.exit_code, done.stdout, done.stderr) == (5, "b\n", "e\n")
    assert bench.tree == before
    assert await bench.hash() == layer.hash


async def test_batch_runs_commands_in_order_and_ends_with_the_first_that_fails(bench: Any) -> None:
    """Batch runs commands in order, and ends with the first that fails."""
    layers = await bench.runner.batch(["echo 1 > a", {"command": "echo $X > b", "env": {"X": "2"}}])
    assert [layer.changed.added for layer in layers] == [("a",), ("b",)]
    with pytest.raises(CommandFailed):
        await bench.runner.batch(["echo 3 > c", "exit 1", "echo 4 > d"])
    assert bench.tree.keys() == {b"a", b"b", b"c"}


async def test_a_script_stops_between_its_cells_resume_feeds_the_response_and_never_runs(bench: Any) -> None:
    """A script stops between its cells; resume feeds the response, and never runs a finished step again."""
    script = "# %% one\ndate +%N > a\n# %% two\ncat > b\n# %% three\ncat a b"
    first = await bench.runner.run(script)
    assert isinstance(first, Suspended)
    once = (bench.work / "a").read_text()
    second = await bench.runner.resume(first.state, {"x": 1})
    await bench.runner.reset()
    await bench.reopen()
    assert isinstance(second, Suspended)
    last = await bench.runner.resume(second.state, CallResults({3: None}))
    assert isinstance(last, Layer)
    assert last.stdout == f'{once}{{"x":1}}\n'
    assert bench.tree.keys() == {b"a", b"b"}


async def test_a_list_of_commands_stops_between_them(bench: Any) -> None:
    """A list of commands stops between them."""
    for code in (["echo 1 > a", "echo 2 > b"], '["echo 1 > a", "echo 2 > b"]'):
        found: Any = await bench.runner.run(code)
        found = await bench.runner.resume(found.state, None)
        assert found.changed.added == ("b",)


async def test_a_cell_stops_at_its_first_line_that_fails_a_command_is_as_its_shell_has_i(bench: Any) -> None:
    """A cell stops at its first line that fails; a command is as its shell has it."""
    assert (await bench.run("false\necho on")).stdout == "on\n"
    with pytest.raises(CommandFailed):
        await bench.runner.run("# %% one\nfalse\necho on")


async def test_a_script_begins_in_an_empty_folder_or_on_the_layer_that_it_names(bench: Any) -> None:
    """A script begins in an empty folder, or on the layer that it names."""
    await bench.run("echo 1 > a")
    await bench.runner.tag("base")
    await bench.run("echo 2 > b")
    empty = await bench.runner.run(["ls"])
    based = await bench.runner.run("# from: base\n# %% look\nls\n")
    assert (empty.result["stdout"], based.result["stdout"]) == ("", "a\n")


async def test_a_fork_has_a_work_directory_of_its_own_at_the_layer(bench: Any) -> None:
    """A fork has a work directory of its own at the layer."""
    one = await bench.run("echo 1 > a")
    await bench.run("echo 2 > a")
    fork = await bench.runner.fork(one.hash)
    try:
        assert (fork.workdir / "a").read_text() == "1\n"
        layer = await fork.run("echo 3 > a")
        assert isinstance(layer, Layer)
        assert layer.parent == one.hash
        assert (bench.work / "a").read_text() == "2\n"
    finally:
        await fork.dispose()


async def test_a_ref_is_a_hash_an_unambiguous_beginning_of_one_or_a_tag(bench: Any) -> None:
    """A ref is a hash, an unambiguous beginning of one, or a tag."""
    one = await bench.run("echo 1 > a")
    two = await bench.run("echo 2 > a")
    await bench.runner.tag("first", one.hash)
    await bench.runner.tag("last")
    assert await bench.runner.tags() == {"first": one.hash, "last": two.hash}
    for ref in (one.hash, one.short, one.hash[:8], "first"):
        assert (await bench.runner.inspect(ref)).hash == one.hash
    with pytest.raises(UnknownLayer, match="first"):
        await bench.runner.inspect("nope")


async def test_read_and_diff_look_at_layers_wherever_the_work_directory_is(bench: Any) -> None:
    """Read and diff look at layers, wherever the work directory is."""
    one = await bench.run("echo 1 > a; mkdir d; echo 2 > d/b")
    await bench.run("rm -r d; echo 3 > a; echo 4 > c")
    changes = await bench.runner.diff(one.hash)
    assert (changes.added, changes.modified, changes.deleted) == (("c",), ("a",), ("d", "d/b"))
    assert await bench.runner.read(one.hash, "d/b") == b"2\n"
    with pytest.raises(UnknownPath):
        await bench.runner.read(one.hash, "nope")


async def test_rebuild_writes_the_work_directory_anew_and_reset_begins_again(bench: Any) -> None:
    """Rebuild writes the work directory anew, and reset begins again."""
    await bench.run("echo 1 > a; mkdir d")
    before = bench.tree
    (bench.work / "a").unlink()
    (bench.work / "x").write_text("x")
    await bench.runner.rebuild()
    assert bench.tree == before
    await bench.runner.reset()
    assert (bench.tree, await bench.hash()) == ({}, None)
    assert len(await bench.runner.history(all=True)) == 1


async def test_dispose_deletes_no_layer(bench: Any) -> None:
    """Dispose deletes no layer."""
    layer = await bench.run("echo 1 > a")
    await bench.runner.dispose()
    await bench.runner.dispose()
    bench.runner = await bench.new(isolation=bench.isolation)
    assert (await bench.runner.inspect(layer.hash)).result == layer.result
    assert (await bench.runner.head() or layer).hash == layer.hash


@pytest.mark.parametrize("name", ["layer.tar", "layer.tar.gz", "image"])
async def test_a_layer_goes_out_as_an_archive_and_comes_in_again(bench: Any, name: str) -> None:
    """A layer goes out as an archive and comes in again, in another state folder too."""
    layer = await bench.run("mkdir -p d/e; echo 1 > d/a; ln -s a d/l; chmod 700 d/a; touch -d '2001-01-01 UTC' d/a")
    await bench.runner.export(layer.hash, bench.tmp / name)
    other = await bench.new(bench.tmp / "elsewhere", isolation=bench.isolation)
    came = await other.import_(bench.tmp / name)
    assert (came.kind, came.parent) == ("import", None)
    assert await other.head() is None
    await other.checkout(came.hash)
    assert bench.tree_of(other.workdir) == bench.tree
    assert (other.workdir / "d" / "a").stat().st_mtime == 978307200
    assert (await other.run("cat d/l")).result["stdout"] == "1\n"
