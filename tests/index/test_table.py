"""A damaged table heals, or is made anew under a new generation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from gardenerd.index.generation import read_generation
from gardenerd.index.rows import COLUMNS, record_batch
from gardenerd.index.table import ChunkTable, connect, match

DIMENSIONS = 8


def rows(path: str, count: int) -> pa.RecordBatch:
    columns: dict[str, list[object]] = {
        name: [f"{name} {n}" for n in range(count)] for name in COLUMNS
    }
    columns["project"] = ["p"] * count
    columns["path"] = [path] * count
    columns["start_line"] = list(range(1, count + 1))
    columns["end_line"] = list(range(1, count + 1))
    vectors = np.eye(count, DIMENSIONS, dtype=np.float32)
    return record_batch(columns, vectors)


def opened(folder: Path, fingerprint: str = "f") -> ChunkTable:
    return ChunkTable(folder, fingerprint, DIMENSIONS)


def filled(folder: Path) -> ChunkTable:
    table = opened(folder)
    table.replace("p", [], rows("a.py", 4))
    table.index_text()
    table.replace("p", [], rows("b.py", 3))
    return table


def test_the_generation_lasts_as_long_as_the_table(tmp_path: Path) -> None:
    assert read_generation(tmp_path) is None
    table = filled(tmp_path)
    assert read_generation(tmp_path) == table.generation
    again = opened(tmp_path)
    assert again.generation == table.generation
    assert (again.count(), again.has_text_index) == (7, True)


def newest_manifest_empty(table: ChunkTable) -> None:
    manifests = list((table.path / "_versions").glob("*.manifest"))
    newest = max(manifests, key=lambda p: p.stat().st_mtime_ns)
    newest.write_bytes(b"")


def test_an_empty_newest_manifest_is_dropped(tmp_path: Path) -> None:
    table = filled(tmp_path)
    newest_manifest_empty(table)
    healed = opened(tmp_path)
    assert healed.generation == table.generation
    assert healed.count() == 4
    healed.replace("p", [], rows("b.py", 3))
    assert opened(tmp_path).count() == 7


def every_manifest_empty(table: ChunkTable) -> None:
    for manifest in (table.path / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")


def every_data_file_empty(table: ChunkTable) -> None:
    for file in (table.path / "data").iterdir():
        file.write_bytes(b"")


def manifest_garbage(table: ChunkTable) -> None:
    for manifest in (table.path / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"\xff" * 100)


def generation_lost(table: ChunkTable) -> None:
    (table.path.parent.parent / "generation").unlink()


@pytest.mark.parametrize(
    "damage", [every_manifest_empty, every_data_file_empty, manifest_garbage, generation_lost]
)
def test_what_cannot_be_healed_is_made_anew(
    tmp_path: Path, damage: Callable[[ChunkTable], None]
) -> None:
    table = filled(tmp_path)
    damage(table)
    anew = opened(tmp_path)
    assert anew.generation != table.generation
    assert anew.generation == read_generation(tmp_path)
    assert anew.count() == 0
    anew.replace("p", [], rows("a.py", 4))
    assert anew.count() == 4


def test_a_damaged_text_index_is_made_anew_from_the_rows(tmp_path: Path) -> None:
    table = filled(tmp_path)
    damaged = [p for p in (table.path / "_indices").rglob("*") if p.is_file()]
    for file in damaged:
        file.write_bytes(b"")
    healed = opened(tmp_path)
    assert damaged
    assert (healed.generation, healed.count()) == (table.generation, 7)
    found = connect(tmp_path).open_table(healed.path.stem).search(match("search"), query_type="fts")
    assert found.to_arrow().num_rows == 7


def test_another_embedder_means_another_table(tmp_path: Path) -> None:
    table = filled(tmp_path)
    other = opened(tmp_path, "other")
    assert other.count() == 0
    assert other.generation != table.generation
    assert not table.path.exists()


def test_replacing_is_by_path_and_project(tmp_path: Path) -> None:
    table = filled(tmp_path)
    table.replace("q", ["a.py"], None)
    assert table.count() == 7
    table.replace("p", ["a.py"], rows("a.py", 2))
    assert table.count() == 5
    held = table.held("p", ["a.py", "b.py", "c.py"], [])
    assert {each.path: len(each.chunks) for each in held} == {"a.py": 2, "b.py": 3}
    assert table.remove_project("p") == 5
    assert table.count() == 0


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    table = filled(tmp_path)
    counts: list[int] = []
    for _ in range(6):
        for _ in range(3):
            table.replace("p", ["a.py"], rows("a.py", 4))
        assert table.optimize() == []
        counts.append(psutil.Process().num_fds())
    assert table.count() == 7
    assert counts[-1] <= counts[1] + 3
