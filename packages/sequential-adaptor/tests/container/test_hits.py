"""A command that was run before: sentence 2, in every isolation."""

from __future__ import annotations

from typing import Any

from sequential_adaptor.runners.container import Layer


async def test_a_hit_runs_nothing(bench: Any) -> None:
    """A hit runs nothing."""
    one = await bench.run("date +%s%N; date +%s%N > a")
    content = (bench.work / "a").read_text()
    await bench.runner.reset()
    two = await bench.run("date +%s%N; date +%s%N > a")
    assert two.stdout == one.stdout
    assert (bench.work / "a").read_text() == content


async def test_a_hit_moves_the_head_and_leaves_the_work_directory_equal_to_the_layer(bench: Any) -> None:
    """A hit moves the head and leaves the work directory equal to the layer."""
    root = await bench.run("echo 1 > a; mkdir d; echo 2 > d/b")
    layer = await bench.run("rm -r d; echo 3 > a; ln -s a l")
    expected = bench.tree
    await bench.runner.checkout(root.hash)
    again = await bench.run("rm -r d; echo 3 > a; ln -s a l")
    assert again.cached
    assert await bench.hash() == layer.hash
    assert bench.tree == expected


async def test_a_hit_gives_back_exit_code_output_and_changes_as_they_were(bench: Any) -> None:
    """A hit gives back exit code, output and changes as they were."""
    one = await bench.run(r"printf 'a\nb'; printf '\377\0' ; echo é >&2; mkdir x")
    await bench.runner.reset()
    two = await bench.run(r"printf 'a\nb'; printf '\377\0' ; echo é >&2; mkdir x")
    assert two.result == {**one.result, "cached": True}
    assert one.stdout == "a\nb\\xff\0"
    assert one.stderr == "é\n"


async def test_a_hit_is_a_hit_also_after_reopening(bench: Any) -> None:
    """A hit is a hit also after reopening."""
    one = await bench.run("echo 1 > a; echo out")
    await bench.runner.reset()
    await bench.reopen()
    two = await bench.run("echo 1 > a; echo out")
    assert two.result == {**one.result, "cached": True}
    assert (bench.work / "a").read_text() == "1\n"


async def test_a_hit_tells_its_lines_again(bench: Any) -> None:
    """A hit tells its lines again."""
    for _ in range(2):
        await bench.runner.reset()
        await bench.run("echo one; echo two; echo three >&2", on_line=bench.lines.append)
    told = sorted((line.stream, str(line)) for line in bench.lines)
    assert told == sorted([("stdout", "one"), ("stdout", "two"), ("stderr", "three")] * 2)


async def test_a_hit_is_a_hit_in_another_work_directory(bench: Any) -> None:
    """A hit is a hit in another work directory."""
    layer = await bench.run("echo 1 > a")
    other = await bench.new(isolation=bench.isolation, workdir=bench.tmp / "other")
    found = await other.run("echo 1 > a")
    assert isinstance(found, Layer)
    assert (found.hash, found.cached) == (layer.hash, True)
    assert bench.tree_of(other.workdir) == bench.tree
