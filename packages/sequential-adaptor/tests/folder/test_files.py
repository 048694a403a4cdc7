"""The readable files: where they are, when they are written, and what happens to those that people edit."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from sequential_adaptor.backends.folder import FolderAdapter, functions, keeper
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.errors import InvalidId, StorageDamaged, StorageError
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, version_of
from sequential_adaptor.storage import Create
from sequential_adaptor.storage.filling import new_task_function

RUN = TaskRun(id="run-1", task_identifier="task", input={"b": 1, "a": ["é", None]}, result=0)


Checkpoint: TypeAlias = Callable[[FolderAdapter], Awaitable[None]]


def tree(base: Path) -> set[str]:
    return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file() and ".store" not in path.parts}


async def test_files_are_there_within_a_second(adapter: FolderAdapter, base: Path) -> None:
    """Not on the way of the commit, and at most a second later."""
    await adapter.commit([Create(RUN), Create(StackRun(id="run-1.1", task_run_id="run-1", operation="a"))], id="c")
    deadline = time.monotonic() + 1.0
    while not (base / "runs/run-1.calls.json").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert json.loads((base / "runs/run-1.json").read_text("utf-8"))["run"]["input"] == {"b": 1, "a": ["é", None]}


async def test_files_that_cannot_be_written_are_tried_again(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full for files only holds up no commit; the log says so, and they are there when it has room."""
    monkeypatch.setattr(keeper, "AGAIN", 0.05)
    disk, failures = adapter._use().store.disk, iter(range(3))
    working = disk.replace_all

    def failing(files: Mapping[Path, bytes], *, sync: bool) -> None:
        if next(failures, None) is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        working(files, sync=sync)

    monkeypatch.setattr(disk, "replace_all", failing)
    await adapter.create_task_run(RUN)
    for _ in range(300):
        if (base / "runs/run-1.json").exists():
            break
        await asyncio.sleep(0.02)
    assert (base / "runs/run-1.json").exists()
    assert caplog.text.count("No space left") == 3


async def test_what_a_file_looks_like(base: Path) -> None:
    """Fields in their order, payload keys in theirs, text as it is, `null` left out, a checksum on top."""
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN)
    lines = (base / "runs/run-1.json").read_text("utf-8").splitlines()
    assert [line.split('"')[1] for line in lines if '"' in line][:7] == [
        *("checksum", "id", "run", "id", "task_identifier", "version", "runner")
    ]
    assert '    "input": {"b":1,"a":["é",null]},' in lines
    assert '    "result": 0,' in lines
    assert not any("parent_stack_run_id" in line for line in lines)


async def test_long_payloads_are_indented(base: Path) -> None:
    """A payload that does not fit in a line stands in many, keys in their order."""
    value = {"z": ["word"] * 20, "a": {"nested": "x" * 50}}
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN.replace(result=value))
    text = (base / "runs/run-1.json").read_text("utf-8")
    assert '    "result": {\n      "z": [\n        "word",' in text
    async with FolderAdapter(base) as adapter:
        found = await adapter.get_task_run("run-1")
    assert found is not None
    assert json.dumps(found.result) == json.dumps(value)


async def test_only_the_owner_can_read_it(base: Path) -> None:
    """Folders 0700, files 0600: payloads and the keystore are nobody else's business."""
    before = os.umask(0)
    try:
        async with FolderAdapter(base) as adapter:
            await adapter.create_task_run(RUN)
            await adapter.set_keystore("key", "secret")
            await adapter.store_task_function("task", "1")
    finally:
        os.umask(before)
    for path in [base, *base.rglob("*")]:
        if path.name not in (".gitignore", ".gitattributes"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_what_a_store_is_made_of(base: Path) -> None:
    """Nothing but what is documented, and nothing temporary is left."""
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN)
        await adapter.set_keystore("openai", "secret")
        stored = await adapter.store_task_function("task.a", "x = 1\r\n")
    assert tree(base) == {
        *(".gitignore", ".gitattributes", "runs/run-1.json", "keystore/openai.json"),
        *("functions/task.a.py", "functions/task.a.json", f"functions/task.a.versions/{stored.version[:16]}.py"),
    }
    assert (base / "functions/task.a.py").read_bytes() == b"x = 1\r\n"
    assert {"/.store/", "/keystore/"} <= set((base / ".gitignore").read_text().splitlines())


async def test_a_full_disk_leaves_no_half_of_what_keeps_secrets_out_of_git(base: Path) -> None:
    """A store that could not be opened for it has what belongs into `.gitignore` when it is opened again."""
    async with FolderAdapter(base):
        (base / ".gitignore").unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(StorageError, match="could not be opened"):
            await FolderAdapter(base).init()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    async with FolderAdapter(base):
        assert {"/.store/", "/keystore/"} <= set((base / ".gitignore").read_text().splitlines())


@pytest.mark.parametrize(
    "where", ["runs/run-1.json", "runs/run-1.calls.json", "keystore/key.json", "functions/task.json"]
)
async def test_a_record_edited_by_hand_is_refused(base: Path, checkpoint: Checkpoint, where: str) -> None:
    """The error names the file and the remedy; nothing else in the store suffers from it."""
    async with FolderAdapter(base) as adapter:
        await adapter.create_task_run(RUN)
        await adapter.create_task_run(RUN.replace(id="run-2"))
        await adapter.create_stack_run(StackRun(task_run_id="run-1", operation="a", id="run-1.1", result="one"))
        await adapter.set_keystore("key", "one")
        await adapter.store_task_function("task", "1", metadata="one")
        await checkpoint(adapter)
    path = base / where
    path.write_text(path.read_text("utf-8").replace("task", "tusk").replace("one", "two"), "utf-8")
    async with FolderAdapter(base) as adapter:
        reads: dict[str, Callable[[], Awaitable[object]]] = {
            "runs/run-1.json": partial(adapter.get_task_run, "run-1"),
            "runs/run-1.calls.json": partial(adapter.get_stack_run, "run-1.1"),
            "keystore/key.json": partial(adapter.get_keystore, "key"),
            "functions/task.json": partial(adapter.get_task_function, "task"),
        }
        with pytest.raises(StorageDamaged, match=rf"{path}.*edited.*Restore"):
            await reads[where]()
        for other in reads.keys() - {where, "runs/run-1.calls.json"}:
            if not (where.startswith("runs") and other.startswith("runs")):
                await reads[other]()
        assert await adapter.get_task_run("run-2") is not None


async def test_an_edit_of_a_run_that_moves_on_is_not_lost_in_silence(
    adapter: FolderAdapter, base: Path, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is a view of the journal then, and written anew; the log says that somebody had edited it."""
    await adapter.create_task_run(RUN)
    await checkpoint(adapter)
    await adapter.update_task_run("run-1", metadata=1)
    path = base / "runs/run-1.json"
    path.write_text(path.read_text("utf-8").replace("task", "tusk"), "utf-8")
    await checkpoint(adapter)
    assert f"{path} was edited" in caplog.text
    found = await adapter.get_task_run("run-1")
    assert found is not None
    assert (found.task_identifier, found.metadata) == ("task", 1)


async def test_damage_to_one_run_does_not_stop_work_on_others(
    base: Path, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """A due run whose files are damaged is passed over, with an error in the log; the others are claimed."""
    async with FolderAdapter(base) as adapter:
        for number in (1, 2):
            await adapter.create_task_run(RUN.replace(id=f"run-{number}"))
            await adapter.create_stack_run(StackRun(id=f"run-{number}", task_run_id=f"run-{number}"))
        await checkpoint(adapter)
    path = base / "runs/run-1.json"
    path.write_bytes(path.read_bytes() + b" ")
    async with FolderAdapter(base) as adapter:
        claims = await adapter.claim_stack_runs("worker", limit=9)
        assert [claim.stack_run.id for claim in claims] == ["run-2"]
        assert str(path) in caplog.text


async def test_a_run_whose_calls_were_edited_takes_no_change(base: Path, checkpoint: Checkpoint) -> None:
    """Also none that needs only its other file, or none: nobody could take that in; the rest of the store goes on."""
    async with FolderAdapter(base) as adapter:
        for id in ("run-1", "run-2"):
            await adapter.create_task_run(RUN.replace(id=id))
        await adapter.create_stack_run(StackRun(task_run_id="run-1", operation="a", id="run-1.1", result="one"))
        await checkpoint(adapter)
    path = base / "runs/run-1.calls.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace("one", "two"), "utf-8")
    async with FolderAdapter(base) as adapter:
        with pytest.raises(StorageDamaged, match=path.name):
            await adapter.update_task_run("run-1", metadata=1)
        with pytest.raises(StorageDamaged, match=path.name):
            await adapter.create_stack_run(StackRun(task_run_id="run-1", operation="a", id="foreign"))
        await adapter.update_task_run("run-2", metadata=2)
        async with FolderAdapter(base) as other:
            assert [one.metadata for one in await other.query_task_runs({"id": "run-2"})] == [2]
        path.write_text(text, "utf-8")
        await adapter.update_task_run("run-1", metadata=1)


async def test_an_edited_source_is_a_new_version(adapter: FolderAdapter, base: Path) -> None:
    """The next read finds it, in every process; runner, modules and metadata stay; older versions stay readable."""
    modules = {"helper": "y = 2\n"}
    first = await adapter.store_task_function(
        {"identifier": "task", "code": "x = 1\n", "runner": "flow", "modules": modules, "metadata": {"a": 0}}
    )
    async with FolderAdapter(base) as other:
        assert await other.get_task_function("task") == first
        (base / "functions/task.py").write_text("x = 2\n")
        for each in (other, adapter):
            found = await each.get_task_function("task")
            assert found is not None
            assert (found.code, found.runner, found.modules, found.metadata) == ("x = 2\n", "flow", modules, {"a": 0})
            assert found.version == version_of("x = 2\n", modules)
            assert await each.get_task_function("task", found.version) == found
            assert await each.get_task_function("task", first.version) == first
        (base / "functions/task.py").write_text("x = 1\n")
        assert await adapter.get_task_function("task") == first


async def test_a_source_that_is_read_while_it_is_edited(adapter: FolderAdapter, base: Path) -> None:
    """What an editor has yet to write gets into the file all the same, and the next read has it."""
    await adapter.store_task_function("task", "x = 1\n", metadata={"a": 0})
    with (base / "functions/task.py").open("w") as file:
        file.write("x = 2\n")
        file.flush()
        half = await adapter.get_task_function("task")
        assert half is not None
        assert half.code == "x = 2\n"
        file.write("y = 3\n")
    found = await adapter.get_task_function("task")
    assert found is not None
    assert (found.code, found.metadata) == ("x = 2\ny = 3\n", {"a": 0})
    assert (base / "functions/task.py").read_text() == "x = 2\ny = 3\n"


async def test_a_source_that_is_edited_twice(
    adapter: FolderAdapter, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between the look that finds an edit and the one that takes it in: the answer is a version."""
    await adapter.store_task_function("task", "x = 1\n")
    path = base / "functions/task.py"
    path.write_text("x = 2\n")

    def edited(*arguments: Any) -> TaskFunction:
        path.write_text("x = 3\n")
        return new_task_function(*arguments)

    monkeypatch.setattr(functions, "new_task_function", edited)
    for code in ("x = 2\n", "x = 3\n"):
        found = await adapter.get_task_function("task")
        assert found is not None
        assert found.code == code


async def test_a_store_that_fails_half_way_changes_nothing(
    adapter: FolderAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before is current, with its own runner, modules and metadata, not with those of the other."""
    given = {"identifier": "task", "code": "x = 1\n", "runner": "fetch", "modules": {"a": "1"}, "metadata": 1}
    stored = await adapter.store_task_function(given)
    disk = adapter._use().store.disk

    def failing(path: Path, data: bytes, *, sync: bool) -> None:
        if path.name == "task.py":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Disk.replace(disk, path, data, sync=sync)

    monkeypatch.setattr(disk, "replace", failing)
    with pytest.raises(StorageError, match="nothing was stored"):
        await adapter.store_task_function(
            {"identifier": "task", "code": "x = 2\n", "runner": "flow", "modules": {"a": "2"}, "metadata": 2}
        )
    monkeypatch.undo()
    assert await adapter.get_task_function("task") == stored


async def test_a_source_put_there_by_hand_is_a_function(adapter: FolderAdapter, base: Path) -> None:
    """A `.py` file in `functions/` is enough to publish a task."""
    (base / "functions/hello.py").write_text("result = 1\n")
    found = await adapter.get_task_function("hello")
    assert found is not None
    assert (found.code, found.runner) == ("result = 1\n", "fetch")
    assert await adapter.get_task_function("hello", found.version) == found


async def test_a_function_whose_source_was_deleted_is_still_there(adapter: FolderAdapter, base: Path) -> None:
    """Its versions are; storing one puts the source back."""
    stored = await adapter.store_task_function("task", "x = 1\n")
    (base / "functions/task.py").unlink()
    assert await adapter.get_task_function("task") == stored
    await adapter.store_task_function("task", "x = 1\n")
    assert (base / "functions/task.py").read_text() == "x = 1\n"


async def test_a_changed_version_is_refused(adapter: FolderAdapter, base: Path) -> None:
    """Runs in flight depend on the source they began with: it is checked by its own hash."""
    stored = await adapter.store_task_function("task", "x = 1\n")
    (base / "functions/task.versions" / f"{stored.version[:16]}.py").write_text("x = 3\n")
    with pytest.raises(StorageDamaged, match=r"edit the function's own \.py"):
        await adapter.get_task_function("task", stored.version)


async def test_ids_that_differ_in_case_only(adapter: FolderAdapter, base: Path, checkpoint: Checkpoint) -> None:
    """On a file system that ignores case they still have files of their own."""
    for id in ("abc", "ABC", "Abc"):
        await adapter.create_task_run(RUN.replace(id=id, input=id))
        await adapter.set_keystore(id, id)
        await adapter.store_task_function(id, f"# {id}")
    await checkpoint(adapter)
    files = [path.name.lower() for path in base.rglob("*") if path.is_file()]
    assert len([name for name in files if name.startswith("abc") and name.endswith(".json")]) == 9
    for folder in ("runs", "keystore", "functions"):
        names = [path.name.lower() for path in (base / folder).iterdir()]
        assert len(names) == len(set(names))
    async with FolderAdapter(base) as other:
        for id in ("abc", "ABC", "Abc"):
            found, function = await other.get_task_run(id), await other.get_task_function(id)
            assert found is not None
            assert function is not None
            assert (found.input, await other.get_keystore(id), function.code) == (id, id, f"# {id}")


@pytest.mark.parametrize("id", ["../up", "a/b", "", ".", "a\nb", "/etc/passwd", "x" * 65])
def test_no_path_is_made_of_a_bad_id(base: Path, id: str) -> None:
    """Whoever asks: a path is made of checked ids only."""
    paths = Paths(base)
    for make in (paths.source, paths.versions, paths.key, lambda id: paths.part(id, 0)):
        with pytest.raises(InvalidId):
            make(id)


async def test_a_run_cannot_be_moved_out_of_the_folder(adapter: FolderAdapter, base: Path) -> None:
    """`task_run_id` names files, so an update may not set it to a path."""
    await adapter.create_stack_run(StackRun(id="run-1.1", task_run_id="run-1", operation="a"))
    with pytest.raises(InvalidId):
        await adapter.update_stack_run("run-1.1", task_run_id="../../evil")
