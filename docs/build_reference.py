"""Build the reference from the docstrings of what is installed: ``python docs/build_reference.py FOLDER``."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pdoc
import pdoc.render

import sequential_adaptor


def main() -> None:
    folder = Path(sys.argv[1])
    warnings.simplefilter("error")  # a name that does not resolve, an annotation that cannot be read
    for module in modules():
        load(import_module(module))
    pdoc.render.configure(docformat="restructuredtext")
    pdoc.pdoc(*modules(), output_directory=folder)
    pages = sum(1 for _ in folder.rglob("*.html"))
    print(f"{pages} pages; begin at {folder / 'index.html'}")


def load(module: ModuleType) -> None:
    """Look at each public name: some come lazily, which pdoc does not expect."""
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))


def modules() -> list[str]:
    """The package, its parts, and each installed backend; the folder of these belongs to no package."""
    folders = [*sequential_adaptor.__path__]
    parts = [f".{module.name}" for module in iter_modules(folders)]
    backends = [f".backends.{module.name}" for module in iter_modules([f"{folder}/backends" for folder in folders])]
    return [f"sequential_adaptor{name}" for name in ("", *sorted({*parts, *backends}))]


if __name__ == "__main__":
    main()
