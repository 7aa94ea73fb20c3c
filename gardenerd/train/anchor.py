"""General code that is trained on beside a project's own, so that little else is forgotten.

A few percent of what a model knew before keep it from forgetting the rest (Bethune et al., 2025:
1 %; Ibrahim et al., 2024: 5 % and more). The seedling is small and forgets fast: without anchors
general code got 5.6 % worse in one night on `rich`. They are not learned: on them the model is
held to what the base says (:mod:`gardenerd.train.objective`). Any machine that runs this has the
standard library; the modules that the gate judges general code by are never among these.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from gardenerd.workers.jobs import Example

KIND = "anchor"
"""Of an example."""
SHARE = 0.2
"""Of what is trained on."""

MODULES = (
    *("argparse", "calendar", "contextlib", "copy", "dataclasses", "difflib", "enum", "fnmatch"),
    *("functools", "getopt", "gettext", "glob", "gzip", "imaplib", "inspect", "ipaddress"),
    *("linecache", "locale", "mailbox", "mimetypes", "numbers", "optparse", "pathlib", "pprint"),
    *("queue", "random", "reprlib", "selectors", "shelve", "shutil", "smtplib", "socketserver"),
    *("string", "subprocess", "tarfile", "tempfile", "threading", "timeit", "tokenize"),
    *("traceback", "types", "typing", "uuid", "warnings", "weakref", "zipfile"),
)
_LINES = range(5, 60)


def anchors(beside: int, seed: int) -> list[Example]:
    """Functions of the standard library, as many as make up their share ``beside`` so many others.

    The same number and seed give the same examples on the same Python.
    """
    wanted = round(beside * SHARE / (1 - SHARE))
    ranked = sorted(
        _functions(), key=lambda e: hashlib.blake2b(f"{seed}\0{e.id}".encode()).digest()
    )
    return ranked[:wanted]


def _functions() -> Iterator[Example]:
    for module in MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue  # a Python without sources, or one that dropped the module
        source = Path(spec.origin).read_text(encoding="utf-8")
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
