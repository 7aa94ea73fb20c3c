"""General code that is trained on beside a project's own, so that little else is forgotten.

A few percent of what a model knew before keep it from forgetting the rest (Bethune et al., 2025:
1 %; Ibrahim et al., 2024: 5 % and more). The seedling is small and forgets fast: without anchors
general code got 5.6 % worse in one night on `rich`. They are not learned: on them the model is
held to what the base says (:mod:`gardenerd.train.objective`). Any machine that runs this has the
standard library; the modules that the gate judges general code by are never among these.

A run that goes on from a parent stands near the limit of general code already, and needs to know
better where not to go. Measured on hono, five nights without a gate: 40 % of anchors instead of
20 % from the second night on, and all of the library instead of 48 modules, left next week's code
better by about one point in four of them and general code by 0.05 to 0.2 points in each (functions
were drawn from all of the library; now at most eight of a module are).
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gardenerd.core.replay import rank
from gardenerd.seedling import GENERAL_MODULES
from gardenerd.workers.train_jobs import Example

KIND = "anchor"
"""Of an example."""
SHARE = 0.2
"""Of what is trained on, from the base."""
SHARE_FROM_PARENT = 0.4

# Packages of tests, of data, and of what is not meant to be read.
_LEFT_OUT = {
    *("test", "tests", "encodings", "idlelib", "lib2to3", "pydoc_data", "turtledemo"),
    *("site-packages", "dist-packages", "this", "antigravity"),
}
_LINES = range(5, 60)
_OF_A_MODULE = 8
"""Functions at most, so that they come from many modules and few files are read."""


def modules() -> dict[str, Path]:
    """The standard library's modules that anchors may come from, by name, with their sources."""
    root = Path(sysconfig.get_path("stdlib"))
    return dict(sorted(_modules(root, "")))


def _modules(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        name = f"{package}{path.stem}"
        if path.stem in _LEFT_OUT or path.stem.startswith("_") or name in GENERAL_MODULES:
            continue
        if path.suffix == ".py":
            yield name, path
        elif (path / "__init__.py").is_file():
            yield from _modules(path, f"{name}.")


def anchors(beside: int, seed: int, share: float = SHARE) -> list[Example]:
    """Functions of the standard library, as many as make up their share ``beside`` so many others.

    The same arguments give the same examples on the same Python.
    """
    wanted = round(beside * share / (1 - share))
    found: list[Example] = []
    for name, source in sorted(modules().items(), key=lambda module: rank(seed, module[0])):
        if len(found) >= wanted:
            break
        functions = sorted(_functions(name, source), key=lambda each: rank(seed, each.id))
        found += functions[:_OF_A_MODULE]
    return found[:wanted]


def _functions(module: str, file: Path) -> Iterator[Example]:
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        last = node.end_lineno or first
        if last - first in _LINES:
            yield Example(
                id=f"anchor:{module}:{first}",
                path=f"anchor/{module}.py",
                kind=KIND,
                language="python",
                text="".join(lines[first - 1 : last]),
            )
