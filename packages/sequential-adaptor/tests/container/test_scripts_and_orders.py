"""What code says, what a key is made of, and what no command can have."""

from __future__ import annotations

import json
import platform
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.errors import ConfigurationError, InvalidValue
from sequential_adaptor.runners.container.keys import command_key
from sequential_adaptor.runners.container.scripts import read_script
from sequential_adaptor.runners.container.stopping import Position
from sequential_adaptor.testing.strategies import json_values

ORDERS = st.fixed_dictionaries(
    {
        "command": st.sampled_from(["true", "false", ""]),
        "parent": st.sampled_from([None, "a" * 64, "b" * 64]),
        "shell": st.sampled_from([("/bin/sh", "-c"), ("/bin/sh", "-e", "-c")]),
        "isolation": st.sampled_from(["none", "bwrap", "bwrap network"]),
        "input": st.sampled_from([None, 0, False, "", [], {}]),
        "stdin": st.sampled_from([None, b"", b"x"]),
        "environment": st.sampled_from([{}, {"A": ""}, {"A": "B"}, {"A": "B", "C": ""}]),
        "salt": st.sampled_from(["", "a"]),
        "ignore": st.sampled_from([(), ("a",), ("a", "b"), ("b", "a")]),
    }
)


def _exact(order: dict[str, Any]) -> str:
    return repr([type(order["input"]), sorted(order.items(), key=lambda item: item[0])])


@given(ORDERS, ORDERS)
def test_two_orders_have_one_key_only_where_they_are_one_order(one: dict[str, Any], two: dict[str, Any]) -> None:
    keys = [command_key(**order) for order in (one, two)]
    assert (keys[0] == keys[1]) == (_exact(one) == _exact(two))
    assert all(len(key) == 64 for key in keys)


def test_the_order_in_which_variables_are_declared_makes_no_difference() -> None:
    about: dict[str, Any] = {"parent": None, "shell": ("sh", "-c"), "isolation": "none"}
    one, two = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert command_key("x", environment=one, **about) == command_key("x", environment=two, **about)


@given(json_values())
def test_any_json_may_be_an_input(value: Any) -> None:
    assert command_key("x", parent=None, shell=("sh", "-c"), isolation="none", input=value)


def test_cells_are_steps_with_titles_and_comments_alone_are_none() -> None:
    script = read_script(
        "#!/bin/sh\n# from: base\n\n# %% one\necho 1\n\n# a comment\n#%%two\necho 2\n# %% empty\n# nothing\n"
    )
    assert [(step.title, step.command, step.strict) for step in script.steps] == [
        ("one", "echo 1\n\n# a comment\n", True),
        ("two", "echo 2\n", True),
    ]
    assert script.base == "base"
    assert not script.is_single


def test_what_stands_before_the_first_cell_is_a_step_where_it_does_something() -> None:
    script = read_script("set -x\necho 0\n# %% one\necho 1\n")
    assert [step.title for step in script.steps] == ["set -x …", "one"]


@pytest.mark.parametrize("code", ["echo 1", "[ -e x ] && echo 1", "[1, 2", "a\nb\nc", "echo '# %% no'"])
def test_any_other_text_is_one_command_as_it_is(code: str) -> None:
    script = read_script(code)
    assert (script.is_single, [step.command for step in script.steps]) == (True, [code])


@given(st.lists(st.text(alphabet="ab'\"\\é\n ", min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_a_list_of_commands_is_a_step_each(commands: list[str]) -> None:
    for code in (commands, json.dumps(commands)):
        script = read_script(code)
        assert [step.command for step in script.steps] == commands
        assert not script.is_single


@pytest.mark.parametrize("code", ["", "  \n", "# %% a\n# %% b\n", "[]", "[1]", '["a", null]', '["a", ""]', "a\0b"])
def test_code_without_commands_is_refused(code: str) -> None:
    with pytest.raises(ConfigurationError):
        read_script(code)


@pytest.mark.parametrize("state", [None, 1, {}, {"steps": []}, {"steps": [], "next": 0, "layer": None}, [1]])
def test_a_state_of_somebody_else_is_refused(state: Any) -> None:
    with pytest.raises(ConfigurationError, match="no state"):
        Position.of(state)


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("", {}, "there is no command"),
        ("a\0b", {}, "NUL character"),
        (1, {}, "text, or a list of texts"),
        ("\ud800", {}, "half a surrogate"),
        ("true", {"timeout": 0}, "seconds above 0"),
        ("true", {"timeout": True}, "seconds above 0"),
        ("true", {"timeout": float("inf")}, "seconds above 0"),
        ("true", {"env": {"A=B": "x"}}, "letters, digits and _"),
        ("true", {"env": {"A": 1}}, "not text"),
        ("true", {"env": {"A": "\0"}}, "no environment can hold"),
        ("true", {"secrets": {"A": "abc"}}, "fewer than 4"),
        ("true", {"secrets": {"": "abcdef"}}, "letters, digits and _"),
        ("true", {"ignore": "*.log"}, "list of patterns"),
        ("true", {"salt": 1}, "it is text"),
        ("true", {"stdin": 1}, "text or bytes"),
        ("true", {"stdin": "a", "input": 1}, "give one of them"),
        ("true", {"input": {1}}, "set"),
    ],
)
async def test_what_no_command_can_have_is_refused_before_anything_is_touched(
    new_runner: Any, command: str, options: dict[str, Any], said: str
) -> None:
    runner = await new_runner()
    with pytest.raises((ConfigurationError, InvalidValue), match=said):
        await runner.run(command, **options)
    assert not runner.workdir.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"isolation": "docker"}, "none, bwrap, overlay"),
        ({"network": True}, "for isolation 'bwrap'"),
        ({"binds": ["/opt"]}, "for isolation 'bwrap'"),
        ({"isolation": "bwrap", "binds": "/opt"}, "list of paths"),
        ({"isolation": "bwrap", "binds": ["/no/such/path"]}, "no /no/such/path"),
        ({"on_dirty": "ask"}, "error, commit, discard"),
        ({"shell": "no-such-shell -c"}, "no shell 'no-such-shell'"),
        ({"shell": ""}, "words before a command"),
        ({"output_limit": 0}, "1 or more"),
        ({"env": {"A": 1}}, "not text"),
        ({"inherit": "PATH"}, "list of names"),
    ],
)
async def test_what_no_runner_can_be_is_refused(new_runner: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await new_runner(**options)


async def test_an_isolation_that_is_not_to_be_had_says_what_is_missing_and_what_helps(
    new_runner: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"bubblewrap is not installed.*apt install bubblewrap"):
        await new_runner(isolation="bwrap")


async def test_on_other_systems_the_runner_says_that_it_is_for_linux(
    new_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigurationError, match="runs on Linux, not on darwin"):
        await new_runner()
    assert platform.system() == "Linux"


async def test_inherited_variables_are_declared_and_part_of_the_key(
    new_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for value in ("one", "two", "one"):
        monkeypatch.setenv("MINE", value)
        runner = await new_runner(inherit=["MINE", "NOT_THERE"])
        found.append(await runner.run("echo $MINE"))
        await runner.reset()
        await runner.dispose()
    assert [layer.stdout for layer in found] == ["one\n", "two\n", "one\n"]
    assert [layer.cached for layer in found] == [False, False, True]
