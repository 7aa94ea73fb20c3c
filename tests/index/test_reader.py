"""What searches see of the table: whole writes only, and in memory what the table holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gardenerd.errors import IndexUnavailableError
from gardenerd.index import generation
from gardenerd.index.mirror import Mirror
from gardenerd.index.reader import Snapshot, TableReader
from gardenerd.index.rows import COLUMNS, record_batch, rounded
from gardenerd.index.table import ChunkTable, connect, table_name

DIMENSIONS = 72  # no multiple of 64


def random_vectors(count: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSIONS), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def put(table: ChunkTable, project: str, path: str, count: int, seed: int) -> None:
    """Make a file of ``count`` chunks all that the table holds of ``path``."""
    columns: dict[str, list[Any]] = {
        name: [f"{name} {seed} {n}" for n in range(count)] for name in COLUMNS
    }
    columns |= {"project": [project] * count, "path": [path] * count}
    columns |= {name: list(range(1, count + 1)) for name in ("start_line", "end_line")}
    table.replace(project, [path], record_batch(columns, random_vectors(count, seed)))


def opened(folder: Path) -> ChunkTable:
    return ChunkTable(folder, "f", DIMENSIONS)


def reader(folder: Path) -> TableReader:
    return TableReader(folder, "f", DIMENSIONS)


def latest(found: TableReader) -> Snapshot:
    snapshot = found.latest()
    assert snapshot is not None
    return snapshot


def held(snapshot: Snapshot) -> dict[int, tuple[str, str, str, str, int]]:
    """By row id, from the table itself."""
    names = ["project", "path", "symbol", "kind", "start_line"]
    rows = snapshot.table.search().select(names).with_row_id(True).limit(10**6).to_arrow()
    return {row["_rowid"]: tuple(row[name] for name in names) for row in rows.to_pylist()}


def check(snapshot: Snapshot) -> None:
    """The mirror gives what the table holds, and as nearest what an exact comparison gives."""
    expected = held(snapshot)
    found = {row.key: tuple(row[1:]) for row in snapshot.mirror.rows(list(expected))}
    assert found == expected
    rows = snapshot.table.search().select(["vector"]).with_row_id(True).limit(10**6).to_arrow()
    ids = np.asarray(rows["_rowid"].to_pylist(), np.uint64)
    vectors = np.asarray(rows["vector"].to_pylist(), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for query in random_vectors(3, 99):
        products = vectors @ query
        best = np.argsort(-products)[:10]
        near, likeness = snapshot.mirror.nearest(snapshot.table, query, 10, None)
        assert near.tolist() == ids[best].tolist()
        assert likeness == pytest.approx(products[best], abs=1e-3)


def test_the_mirror_follows_every_kind_of_change(tmp_path: Path) -> None:
    table, found = opened(tmp_path), reader(tmp_path)
    for n in range(6):
        put(table, "p", f"{n}.py", 300, n)
    assert latest(found).text_index == "none"
    check(latest(found))
    put(table, "p", "2.py", 250, 20)  # an edit
    table.replace("p", ["3.py"], None)
    check(latest(found))
    table.index_text()
    assert latest(found).text_index == "whole"
    put(table, "q", "0.py", 10, 30)
    assert table.optimize() == []  # moves rows
    check(latest(found))
    for n in range(5):
        put(table, "p", f"{n}.py", 280, 40 + n)  # so many are gone that they are let go of
    check(latest(found))
    table.remove_project("p")
    snapshot = latest(found)
    check(snapshot)
    assert len(snapshot.mirror) == 10


def test_the_shortlist_holds_what_is_nearest(tmp_path: Path) -> None:
    table = opened(tmp_path)
    put(table, "p", "large.py", 20_000, 1)
    snapshot = latest(reader(tmp_path))
    vectors = random_vectors(20_000, 1)
    recalled = 0
    for query in random_vectors(20, 2) + 2 * vectors[:20]:  # something is near, as in life
        query /= np.linalg.norm(query)
        best = {f"symbol 1 {n}" for n in np.argsort(-(vectors @ query))[:10]}
        near, _ = snapshot.mirror.nearest(snapshot.table, query, 10, None)
        recalled += len(best & {row.symbol for row in snapshot.mirror.rows(near.tolist())})
    assert recalled >= 0.9 * 200


def test_only_the_projects_asked_for_are_near(tmp_path: Path) -> None:
    table = opened(tmp_path)
    put(table, "p", "a.py", 50, 1)
    put(table, "q", "a.py", 50, 2)
    snapshot = latest(reader(tmp_path))
    assert snapshot.mirror.holds_only(["p", "q", "r"])
    assert not snapshot.mirror.holds_only(["p"])
    near, _ = snapshot.mirror.nearest(snapshot.table, random_vectors(1, 3)[0], 200, ["q", "r"])
    assert {row.project for row in snapshot.mirror.rows(near.tolist())} == {"q"}
    assert len(near) == 50


def test_a_half_written_change_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, found = opened(tmp_path), reader(tmp_path)
    put(table, "p", "a.py", 5, 1)
    assert len(held(latest(found))) == 5
    with monkeypatch.context() as patch:
        # Between the deletion and the commit: other processes see the deletion in the files.
        patch.setattr(ChunkTable, "_commit", lambda _table: None)
        table.replace("p", ["a.py"], None)
    assert connect(tmp_path).open_table(table_name("f", DIMENSIONS)).count_rows() == 0
    assert len(held(latest(found))) == 5
    assert len(held(latest(reader(tmp_path)))) == 5
    put(table, "p", "a.py", 4, 2)
    assert len(held(latest(found))) == 4


def test_a_version_file_that_tells_nothing_means_the_newest(tmp_path: Path) -> None:
    table = opened(tmp_path)
    put(table, "p", "a.py", 5, 1)
    (tmp_path / "version").write_bytes(b"")  # what a crash of the machine can leave
    assert generation.read_version(tmp_path) is None
    assert len(held(latest(reader(tmp_path)))) == 5
    opened(tmp_path)
    assert generation.read_version(tmp_path) is not None


def test_a_table_made_anew_is_taken_up(tmp_path: Path) -> None:
    table, found = opened(tmp_path), reader(tmp_path)
    assert found.latest() is not None
    put(table, "p", "a.py", 5, 1)
    check(latest(found))
    for file in table.path.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(IndexUnavailableError):
        reader(tmp_path).latest()
    put(opened(tmp_path), "p", "b.py", 7, 2)
    snapshot = latest(found)
    assert len(held(snapshot)) == len(snapshot.mirror) == 7
    check(snapshot)


def test_where_nothing_is_indexed_there_is_no_table(tmp_path: Path) -> None:
    assert reader(tmp_path).latest() is None


def test_a_version_that_was_dropped_is_forgotten(tmp_path: Path) -> None:
    table = opened(tmp_path)
    put(table, "p", "a.py", 5, 1)
    mirror = Mirror()
    name = table_name("f", DIMENSIONS)
    before = connect(tmp_path).open_table(name)
    put(table, "p", "b.py", 3, 2)
    mirror.follow(connect(tmp_path).open_table(name))
    assert len(mirror) == 8
    mirror.follow(before)
    assert len(mirror) == 5


def test_many_rows_outside_the_text_index_are_not_read_one_by_one(tmp_path: Path) -> None:
    table, found = opened(tmp_path), reader(tmp_path)
    put(table, "p", "a.py", 100, 1)
    table.index_text()
    put(table, "p", "b.py", 500, 2)
    assert latest(found).text_index == "whole"
    put(table, "p", "c.py", 3_000, 3)
    assert latest(found).text_index == "behind"
    table.index_text()
    assert latest(found).text_index == "whole"


def test_rounding_keeps_directions() -> None:
    vectors = random_vectors(500, 5)
    vectors[7] = 0
    whole = rounded(vectors)
    assert whole.dtype == np.int8
    assert np.abs(whole).max(axis=1).tolist() == [0 if row == 7 else 127 for row in range(500)]
    others = np.delete(whole, 7, axis=0).astype(np.float32)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    queries = random_vectors(20, 6)
    assert np.abs((others - np.delete(vectors, 7, axis=0)) @ queries.T).max() < 0.005 * 2
