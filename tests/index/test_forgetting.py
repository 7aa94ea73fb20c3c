"""A place that is forgotten leaves the table, and every byte of it the files of the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gardenerd.index.generation import read_generation
from gardenerd.index.rows import COLUMNS, record_batch
from gardenerd.index.table import ChunkTable, match
from tests.index.test_table import DIMENSIONS, filled, opened, rows

CANARY = "zanzibarquux"


def plant(table: ChunkTable, path: str) -> None:
    columns: dict[str, list[object]] = {
        name: [f"{CANARY} {n}" for n in range(3)] for name in COLUMNS
    }
    columns |= {"project": ["p"] * 3, "path": [path] * 3}
    columns |= {"start_line": [1, 2, 3], "end_line": [1, 2, 3]}
    vectors = np.eye(3, DIMENSIONS, dtype=np.float32)
    table.replace("p", [path], record_batch(columns, vectors))


def written(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def holding(folder: Path) -> list[str]:
    return [path.name for path in written(folder) if CANARY.encode() in path.read_bytes()]


def paths(table: ChunkTable, words: str) -> set[str]:
    found = table.reader().search(match(words), query_type="fts").limit(500).to_arrow()
    return set(found["path"].to_pylist())


def test_deleted_rows_stay_in_the_files_until_they_are_written_anew(tmp_path: Path) -> None:
    table = opened(tmp_path)
    table.replace("p", [], rows("a.py", DIMENSIONS))
    for n in range(20):
        table.replace("p", [], rows(f"b{n}.py", DIMENSIONS))
    plant(table, "secret/s.py")
    table.index_text()
    table.optimize()
    plant(table, "secret/s.py")  # its earlier rows are deleted, not gone
    before = written(table.path / "data") | written(table.path / "_indices")
    assert holding(tmp_path)
    assert paths(table, CANARY) == {"secret/s.py"}

    generation = read_generation(tmp_path)
    count = table.count()
    assert table.forget("p", "secret") == 3
    assert holding(tmp_path) == []
    assert not before & written(tmp_path)
    assert table.count() == count - 3
    assert paths(table, CANARY) == set()
    assert "b7.py" in paths(table, "search")
    assert read_generation(tmp_path) == generation == opened(tmp_path).generation
    assert table.forget("p", "secret") == 0


def test_only_the_place_itself_is_forgotten(tmp_path: Path) -> None:
    table = filled(tmp_path)
    for path in ("a.pyi", "a.py/c.py", "it's a.py"):
        table.replace("p", [], rows(path, 2))
    assert table.forget("q", "a.py") == 0
    assert table.forget("p", "a.py") == 6
    left = table.held("p", ["a.py", "a.pyi", "b.py"], [])
    assert {held.path for held in left} == {"a.pyi", "b.py"}
    assert table.forget("p", "it's a.py") == 2


def test_the_last_file_of_all_can_be_forgotten(tmp_path: Path) -> None:
    table = opened(tmp_path)
    plant(table, "s.py")
    table.index_text()
    assert table.forget("p", "s.py") == 3
    assert (table.count(), holding(tmp_path)) == (0, [])
    plant(table, "t.py")
    table.index_text()
    assert paths(table, CANARY) == {"t.py"}


def test_a_table_that_cannot_be_written_anew_is_dropped(tmp_path: Path) -> None:
    table = filled(tmp_path)
    plant(table, "s.py")
    generation = table.generation
    lost = next(
        path for path in written(table.path / "data") if CANARY.encode() not in path.read_bytes()
    )
    lost.write_bytes(b"")
    table.forget("p", "s.py")
    assert table.generation != generation
    assert (table.count(), holding(tmp_path)) == (0, [])
    assert read_generation(tmp_path) == table.generation
