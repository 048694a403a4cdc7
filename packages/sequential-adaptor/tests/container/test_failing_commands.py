"""Commands that fail, hang, and leave processes behind: sentence 4, in every isolation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest

from sequential_adaptor.runners.container import CommandFailed, CommandNotStarted, CommandTimedOut


async def test_a_failed_command_leaves_no_layer_and_the_error_carries_exit_code_and_outp(bench: Any) -> None:
    """A failed command leaves no layer, and the error carries exit code and output."""
    await bench.run("echo 1 > a; mkdir d; echo 2 > d/b")
    before, count = bench.tree, len(await bench.runner.history(all=True))
    with pytest.raises(CommandFailed) as caught:
        await bench.run("echo out; echo err >&2; rm -r d; echo 3 > a; mkdir new; exit 7")
    assert (caught.value.exit_code, caught.value.stdout, caught.value.stderr) == (7, "out\n", "err\n")
    assert "exit code 7" in str(caught.value)
    assert bench.tree == before
    assert len(await bench.runner.history(all=True)) == count


async def test_a_command_that_failed_is_run_again(bench: Any) -> None:
    """A command that failed is run again."""
    flag = bench.tmp / "flag"
    for _ in range(2):
        with pytest.raises(CommandFailed):
            await bench.run(f"echo 1 > a; test -e {flag}")
    flag.touch()
    if bench.isolation != "bwrap":
        assert not (await bench.run(f"echo 1 > a; test -e {flag}")).cached


async def test_a_command_that_takes_too_long_is_killed_and_leaves_the_work_directory_as_(bench: Any) -> None:
    """A command that takes too long is killed, and leaves the work directory as before."""
    await bench.run("echo 1 > a")
    before = bench.tree
    with pytest.raises(CommandTimedOut) as caught:
        await bench.run("echo begun; echo 2 > a; sleep 4711", timeout=0.7)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.stdout == "begun\n"
    assert bench.tree == before
    assert not bench.sleepers()


async def test_a_command_that_is_killed_by_a_signal_has_failed(bench: Any) -> None:
    """A command that is killed by a signal has failed."""
    before = bench.tree
    with pytest.raises(CommandFailed) as caught:
        await bench.run("echo 1 > a; kill -9 $$")
    assert caught.value.exit_code == 137
    assert bench.tree == before


async def test_a_command_that_kills_what_watches_over_it_has_failed_and_nothing_of_it_is(bench: Any) -> None:
    """A command that kills what watches over it has failed, and nothing of it is left."""
    await bench.run("true")
    before = bench.tree
    with contextlib.suppress(CommandFailed):  # where it sees no other process, it cannot
        await bench.run("echo 1 > a; (setsid sleep 4711 &); kill -9 $PPID; sleep 4711", timeout=5)
    assert bench.tree == before
    assert not bench.sleepers()


async def test_daemons_are_gone_before_capture(bench: Any) -> None:
    """Daemons are gone before capture."""
    await bench.run(
        "(setsid sh -c 'trap \"\" TERM HUP INT; (sleep 4711; echo late > late) & sleep 4711' &) ; echo 1 > a"
    )
    assert bench.tree.keys() == {b"a"}
    assert not bench.sleepers()


async def test_daemons_that_forked_twice_and_closed_everything_are_gone(bench: Any) -> None:
    """Daemons that forked twice and closed everything are gone."""
    await bench.run(
        "python3 -c 'import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        '        os.execvp("sleep", ["sleep", "4711"])\n'
        "    os._exit(0)\n'"
    )
    assert not bench.sleepers()


async def test_background_children_that_hold_the_pipes_do_not_hang_the_run(bench: Any) -> None:
    """Background children that hold the pipes do not hang the run."""
    began = time.monotonic()
    layer = await bench.run("sleep 4711 & sleep 4711 >&2 & echo done")
    assert layer.stdout == "done\n"
    assert time.monotonic() - began < 60
    assert not bench.sleepers()


async def test_what_a_background_child_writes_at_once_is_not_lost(bench: Any) -> None:
    """What a background child writes at once is not lost."""
    if bench.isolation != "bwrap":  # there the end of the command is the end of its processes
        assert (await bench.run("(sleep 0.02; echo late) & echo early")).stdout == "early\nlate\n"


async def test_a_program_that_is_not_there_is_a_failure_like_any_other(bench: Any) -> None:
    """A program that is not there is a failure like any other."""
    with pytest.raises(CommandFailed) as caught:
        await bench.run("no-such-program --help")
    assert caught.value.exit_code == 127


async def test_a_command_that_the_system_does_not_start_is_an_error_that_says_why(bench: Any) -> None:
    """A command that the system does not start is an error that says why."""
    before = bench.tree
    with pytest.raises(CommandNotStarted, match="Argument list too long"):
        await bench.run("true #" + "x" * 3_000_000)
    assert bench.tree == before


async def test_output_that_comes_faster_than_it_is_taken_waits(bench: Any) -> None:
    """Output that comes faster than it is taken waits, and does not pile up."""
    slow = [0]

    def take(line: str) -> None:
        slow[0] += 1
        if slow[0] == 20_000:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await bench.run("yes", on_line=take)
    assert slow[0] == 20_000


async def test_keep_failed_leaves_what_a_command_has_done_where_it_is(bench: Any) -> None:
    """Keep_failed leaves what a command has done where it is."""
    await bench.reopen(keep_failed=True)
    await bench.run("echo 1 > a")
    with pytest.raises(CommandFailed) as caught:
        await bench.run("echo 2 > b; exit 1")
    assert caught.value.kept is not None
    assert (caught.value.kept / "b").read_text() == "2\n"
    await bench.reopen(on_dirty="discard")
    assert (await bench.run("ls")).stdout == "a\n"


async def test_output_is_kept_up_to_the_limit_the_first_half_and_the_last(bench: Any) -> None:
    """Output is kept up to the limit: the first half and the last."""
    await bench.reopen(output_limit=1000)
    layer = await bench.run("seq 100000", on_line=bench.lines.append)
    assert layer.stdout.startswith("1\n2\n")
    assert layer.stdout.endswith("99999\n100000\n")
    assert len(layer.stdout) < 1100
    assert "bytes left out" in layer.stdout
    assert len(bench.lines) == 100000


async def test_a_listener_that_raises_stops_the_command(bench: Any) -> None:
    """A listener that raises stops the command."""
    before = bench.tree

    def refuse(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="first"):
        await bench.run("echo first; echo 1 > a; sleep 4711", on_line=refuse)
    assert bench.tree == before
    assert not bench.sleepers()


async def test_a_cancelled_run_leaves_no_layer_and_the_work_directory_as_before(bench: Any) -> None:
    """A cancelled run leaves no layer, and the work directory as before."""
    await bench.run("echo 1 > a")
    before, head = bench.tree, await bench.hash()
    begun = asyncio.Event()
    task = asyncio.create_task(bench.run("rm a; echo begun; sleep 4711", on_line=lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bench.tree, await bench.hash()) == (before, head)
    assert not bench.sleepers()
