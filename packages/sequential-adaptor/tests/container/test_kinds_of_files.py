"""Everything that may lie in a folder: sentence 3, in every isolation."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest

from sequential_adaptor.runners.container import CommandFailed
from sequential_adaptor.runners.container.store import NotCapturable, UnknownPath


async def test_deleted_files(bench: Any) -> None:
    """Deleted files."""
    await bench.run("touch a b c")
    layer = await bench.there_and_back("rm a c")
    assert layer.changed.deleted == ("a", "c")


async def test_deleted_folders(bench: Any) -> None:
    """Deleted folders."""
    await bench.run("mkdir -p d/e/f; touch d/x d/e/y d/e/f/z")
    layer = await bench.there_and_back("rm -r d/e")
    assert layer.changed.deleted == ("d/e", "d/e/f", "d/e/f/z", "d/e/y")


async def test_empty_folders(bench: Any) -> None:
    """Empty folders."""
    layer = await bench.there_and_back("mkdir -p empty deep/er/est")
    assert layer.changed.added == ("deep", "deep/er", "deep/er/est", "empty")


async def test_a_file_becomes_a_folder_and_back(bench: Any) -> None:
    """A file becomes a folder, and back."""
    await bench.run("echo 1 > a; mkdir d; echo 2 > d/x")
    await bench.there_and_back("rm a; mkdir a; echo 3 > a/x; rm -r d; echo 4 > d")
    await bench.there_and_back("rm -r a; echo 1 > a; rm d; mkdir d")


async def test_a_folder_becomes_a_link_and_back(bench: Any) -> None:
    """A folder becomes a link, and back."""
    await bench.run("mkdir d e; echo 1 > d/x; echo 2 > e/y")
    await bench.there_and_back("rm -r d; ln -s e d")
    await bench.there_and_back("rm d; mkdir d; echo 3 > d/z")


async def test_a_folder_that_was_taken_away_and_made_anew(bench: Any) -> None:
    """A folder that was taken away and made anew."""
    await bench.run("mkdir d; echo 1 > d/old")
    layer = await bench.there_and_back("rm -r d; mkdir d; echo 2 > d/new")
    assert (layer.changed.added, layer.changed.deleted) == (("d/new",), ("d/old",))


async def test_a_renamed_folder(bench: Any) -> None:
    """A renamed folder."""
    await bench.run("mkdir -p d/e; echo 1 > d/e/f; echo 2 > d/g")
    layer = await bench.there_and_back("mv d h")
    assert layer.changed.added == ("h", "h/e", "h/e/f", "h/g")


async def test_changes_of_mode_alone(bench: Any) -> None:
    """Changes of mode alone."""
    await bench.run("echo 1 > a; mkdir d; chmod 644 a; chmod 755 d")
    layer = await bench.there_and_back("chmod 700 a; chmod 711 d")
    assert layer.changed.modified == ("a", "d")
    assert stat.S_IMODE((bench.work / "a").stat().st_mode) == 0o700


async def test_dangling_links(bench: Any) -> None:
    """Dangling links."""
    await bench.there_and_back("ln -s nowhere a; ln -s ../../../up b; ln -s '' c 2>/dev/null || true")
    assert os.readlink(bench.work / "a") == "nowhere"


async def test_absolute_links_are_kept_as_links_and_never_followed(bench: Any) -> None:
    """Absolute links are kept as links and never followed."""
    outside = bench.tmp / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    await bench.there_and_back(f"ln -s {outside} out; ln -s {outside}/secret file; ln -s /etc/passwd p")
    with pytest.raises(UnknownPath):
        await bench.runner.read((await bench.hash()) or "", "out/secret")
    await bench.run("rm out file p")
    assert (outside / "secret").read_text() == "untouched"


async def test_looping_links(bench: Any) -> None:
    """Looping links."""
    await bench.there_and_back("ln -s a a; ln -s c b; ln -s b c; mkdir d; ln -s .. d/up; ln -s . here")


async def test_a_link_in_place_of_a_folder_does_not_lead_a_restore_outside(bench: Any) -> None:
    """A link in place of a folder does not lead a restore outside."""
    outside = bench.tmp / "outside"
    outside.mkdir()
    (outside / "x").write_text("untouched")
    layer = await bench.run("mkdir d; echo 1 > d/x")
    await bench.run(f"rm -r d; ln -s {outside} d")
    await bench.runner.checkout(layer.hash)
    assert (outside / "x").read_text() == "untouched"
    assert (bench.work / "d" / "x").read_text() == "1\n"


async def test_hard_links_each_name_has_the_content(bench: Any) -> None:
    """Hard links: each name has the content."""
    await bench.there_and_back("echo 1 > a; ln a b; mkdir d; ln a d/c")
    await bench.run("echo 2 >> b")
    assert (bench.work / "b").read_text() == "1\n2\n"


async def test_names_with_newlines_spaces_quotes_and_leading_dashes(bench: Any) -> None:
    """Names with newlines, spaces, quotes, and leading dashes."""
    layer = await bench.there_and_back("""printf x > 'a
b'; touch -- -rf --help ' ' "it's" '*' '\\'""")
    assert layer.changed.added == tuple(sorted([" ", "*", "--help", "-rf", "\\", "a\nb", "it's"]))


async def test_names_that_are_not_utf_8(bench: Any) -> None:
    """Names that are not UTF-8."""
    layer = await bench.there_and_back(r"""touch "$(printf 'caf\351')" "$(printf '\377\376')" é""")
    assert sorted(os.listdir(os.fsencode(bench.work))) == [b"caf\xe9", b"start", "é".encode(), b"\xff\xfe"]
    assert set(layer.changed.added) == {"caf\\xe9", "\\xff\\xfe", "é"}
    assert await bench.runner.read(layer.hash, b"caf\xe9") == b""


async def test_names_of_255_bytes_and_deep_folders(bench: Any) -> None:
    """Names of 255 bytes, and deep folders."""
    await bench.there_and_back(
        "n=$(printf %255s '' | tr ' ' x); touch $n; for i in 1 2 3 4 5; do mkdir $n$i 2>/dev/null; done; "
        "p=.; for i in $(seq 60); do p=$p/dddddddddd; done; mkdir -p $p; touch $p/f"
    )


async def test_a_nested_git_with_all_its_content(bench: Any) -> None:
    """A nested .git with all its content."""
    layer = await bench.there_and_back(
        "git init -q sub && cd sub && git config user.email a@b && git config user.name a && echo 1 > f &&"
        " git add f && git commit -qm one && mkdir -p ../.git/objects ../.git/refs && echo ref > ../.git/HEAD"
    )
    assert "sub/.git/HEAD" in layer.changed.added
    assert (await bench.runner.exec("cd sub && git status --porcelain && git log --format=%s")).stdout == "one\n"


async def test_names_that_look_like_whiteouts_of_other_tools(bench: Any) -> None:
    """Names that look like whiteouts of other tools."""
    await bench.run("echo 1 > a; echo 2 > .wh.a; mkdir d; touch d/.wh..wh..opq d/x")
    await bench.there_and_back("rm .wh.a; touch .wh.start; touch d/.wh.x")
    assert (bench.work / "a").exists()
    assert (bench.work / "d" / "x").exists()


async def test_modification_times_are_kept_and_no_part_of_the_identity(bench: Any) -> None:
    """Modification times are kept, and no part of the identity."""
    start = await bench.run("true")
    layer = await bench.run("touch -d '2001-02-03 04:05:06 UTC' a")
    await bench.runner.checkout(start.hash)
    await bench.runner.checkout(layer.hash)
    assert (bench.work / "a").stat().st_mtime == 981173106
    before = await bench.run("echo 1 > b")
    await bench.run("touch -d '2002-02-03 UTC' b")
    assert (await bench.runner.diff(before.hash)).clean


async def test_setuid_and_setgid_are_not_kept(bench: Any) -> None:
    """Setuid and setgid are not kept."""
    start = await bench.run("true")
    layer = await bench.run("cp /bin/true a; chmod 6755 a; mkdir d; chmod 1777 d")
    await bench.runner.checkout(start.hash)
    await bench.runner.checkout(layer.hash)
    assert stat.S_IMODE((bench.work / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((bench.work / "d").stat().st_mode) == 0o1777


async def test_fifos_and_sockets_are_never_opened(bench: Any) -> None:
    """FIFOs and sockets are never opened."""
    layer = await bench.there_and_back(
        "mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'"
    )
    assert layer.changed.added == ("pipe", "sock")
    assert stat.S_ISFIFO((bench.work / "pipe").lstat().st_mode)


async def test_a_device_is_refused_by_its_name_where_one_can_be_made_at_all(bench: Any) -> None:
    """A device is refused by its name, where one can be made at all."""
    await bench.run("echo 1 > a")
    before, head = bench.tree, await bench.hash()
    with pytest.raises((NotCapturable, CommandFailed), match="mydevice"):
        await bench.run("mknod mydevice c 1 3")
    assert (bench.tree, await bench.hash()) == (before, head)


async def test_an_unreadable_file_is_an_error_that_names_it_where_anything_is_unreadable(bench: Any) -> None:
    """An unreadable file is an error that names it, where anything is unreadable to us."""
    if os.geteuid() == 0:
        await bench.there_and_back("echo 1 > locked; chmod 000 locked; mkdir shut; chmod 000 shut")
        return
    with pytest.raises(NotCapturable, match="locked"):
        await bench.run("echo 1 > locked; chmod 000 locked")
    assert bench.tree == {}


async def test_the_same_size_at_the_same_time_is_seen_to_be_another_content(bench: Any) -> None:
    """The same size at the same time is seen to be another content."""
    one = await bench.run("echo a > f; touch -d '2001-01-01 UTC' f")
    two = await bench.run("echo b > f; touch -d '2001-01-01 UTC' f")
    assert two.changed.modified == ("f",)
    await bench.runner.checkout(one.hash)
    assert (bench.work / "f").read_text() == "a\n"


async def test_large_files(bench: Any) -> None:
    """Large files."""
    one = await bench.run("head -c 20000000 /dev/zero > big")
    two = await bench.run("printf x | dd of=big bs=1 seek=9000000 conv=notrunc 2>/dev/null")
    assert two.changed.modified == ("big",)
    await bench.runner.checkout(one.hash)
    assert (bench.work / "big").read_bytes() == bytes(20_000_000)


async def test_many_files(bench: Any) -> None:
    """Many files."""
    layer = await bench.there_and_back("for i in $(seq 300); do mkdir -p d$((i % 7)); echo $i > d$((i % 7))/$i; done")
    assert len(layer.changed.added) == 307
