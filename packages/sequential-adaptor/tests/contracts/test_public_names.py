"""The public names are a promise: which there are, and that each is there when it is asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import sequential_adaptor
from sequential_adaptor import errors

DOCUMENTED = """
    register get list has create load_plugins registries
    StorageAdapter Runner ServiceClient TaskExecutor StackProcessor
    create_adapter register_adapter get_registered_adapters with_adapter
    create_runner register_runner get_registered_runners
    FolderAdapter
""".split()

BESIDE_THEM = """
    Engine Worker Retention RunHandle
    TaskRun StackRun TaskFunction Completed Suspended CallResults
    Claim Create Update Wake
    __version__
""".split()

ERRORS = [
    name
    for name, value in vars(errors).items()
    if getattr(value, "__module__", None) == errors.__name__ and isinstance(value, type)
]

NAMES = sorted([*DOCUMENTED, *BESIDE_THEM, *ERRORS])


def test_the_public_names_are_these() -> None:
    assert sorted(sequential_adaptor.__all__) == NAMES
    assert sorted(dir(sequential_adaptor)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(sequential_adaptor, name) is not None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("__version__", "registries")])
def test_each_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(sequential_adaptor, name))


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_a_sequential_error_and_drawn_in_the_tree(name: str) -> None:
    assert issubclass(getattr(sequential_adaptor, name), sequential_adaptor.SequentialError)
    assert f"{name} " in str(errors.__doc__).replace("\n", " \n")


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sequential_adaptor' has no attribute 'engin_'"):
        sequential_adaptor.__getattr__("engin_")


def test_star_import_gives_the_public_names() -> None:
    code = "from sequential_adaptor import *; import sequential_adaptor as s; assert set(s.__all__) <= set(dir())"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
