"""Notebooks are indexed cell by cell, on the lines of their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gardenerd.index.chunk import chunk_text
from gardenerd.index.text import read_file

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"

CELLS: list[tuple[str, str]] = [
    ("markdown", "# Prices\n\nHow they are rounded."),
    ("code", "import math\n%matplotlib inline\n"),
    ("code", ""),
    (
        "code",
        'def rounded(price):\n    """To a cent."""\n    return round(price, 2)\n\n\nlimit = 3',
    ),
    ("code", f'token = "{SECRET}"\nprint("a \\"quoted\\" größe")'),
    ("raw", "kept as it is"),
]


def notebook(cells: list[tuple[str, str]] = CELLS, language: str = "python") -> dict[str, Any]:
    output = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 2_000}}
    nested = {"output_type": "display_data", "data": {"application/json": {"cells": [
        {"cell_type": "code", "source": ["never_indexed = 1"]}]}}}  # fmt: skip
    return {
        "cells": [
            {
                "cell_type": kind,
                "metadata": {"source": "of no cell"},
                **({"outputs": [output, nested]} if kind == "code" else {}),
                "source": text.splitlines(keepends=True),
            }
            for kind, text in cells
        ],
        "metadata": {"language_info": {"name": language}},
        "nbformat": 4,
    }


def write(folder: Path, document: object, indent: int | None = 1) -> str:
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    (folder / "a.ipynb").write_text(text + "\n", encoding="utf-8")
    return text


def test_cells_are_chunks_on_the_lines_of_the_file(tmp_path: Path) -> None:
    lines = write(tmp_path, notebook()).split("\n")
    found = read_file(tmp_path, "a.ipynb", 1_000_000)
    assert found.state == "read"
    chunks = chunk_text("a.ipynb", found.text)
    assert [(chunk.symbol, chunk.kind) for chunk in chunks] == [
        ("Prices", "section"),
        ("cell 2", "cell"),
        ("rounded", "function"),
        ("cell 4", "cell"),
        ("cell 5", "cell"),
        ("cell 6", "window"),
    ]
    for chunk in chunks:
        cited = [json.loads(line.strip().rstrip(",")) for line in
                 lines[chunk.start_line - 1 : chunk.end_line]]  # fmt: skip
        written = "".join(cited).replace(SECRET, "*" * len(SECRET)).rstrip("\n")
        assert written == chunk.text
    assert chunks[2].docstring == "To a cent."
    assert all("never_indexed" not in chunk.text for chunk in chunks)
    assert SECRET not in found.text


def test_the_kernel_tells_the_language(tmp_path: Path) -> None:
    write(tmp_path, notebook([("code", "function rounded(price) { return price }")], "javascript"))
    found = read_file(tmp_path, "a.ipynb", 1_000_000)
    assert [c.symbol for c in chunk_text("a.ipynb", found.text)] == ["rounded"]


def test_worksheets_of_old_are_read(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "input": ["answer = 42\n", "print(answer)"]}]
    write(tmp_path, {"worksheets": [{"cells": cells}], "nbformat": 3})
    found = read_file(tmp_path, "a.ipynb", 1_000_000)
    (chunk,) = chunk_text("a.ipynb", found.text)
    assert (chunk.symbol, chunk.text) == ("cell 1", "answer = 42\nprint(answer)")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (json.dumps(notebook()), "share lines"),
        (json.dumps(notebook(), indent=1)[:-200], "ends in the middle"),
        ('{"cells": [}', "no JSON"),
        ('{"cells": ["\n', "no JSON"),
        ('{"cells":' + "[" * 5_000, "too deeply"),
    ],
)
def test_what_is_no_readable_notebook_has_a_reason(
    tmp_path: Path, document: str, reason: str
) -> None:
    (tmp_path / "a.ipynb").write_text(document)
    found = read_file(tmp_path, "a.ipynb", 1_000_000)
    assert (found.state, reason in found.reason) == ("skipped", True), found.reason


@pytest.mark.parametrize("text", ["", "{}", "[]", '"text"', "{}}", "]", "\n"])
def test_one_without_cells_is_empty_or_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    found = read_file(tmp_path, "a.ipynb", 1_000_000)
    assert found.state in ("read", "skipped")
    assert chunk_text("a.ipynb", found.text) == []
