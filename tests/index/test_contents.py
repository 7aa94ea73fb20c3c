"""The store of contents: bounded, least recently used first, apart by project."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from gardenerd.index.contents import Content, ContentStore, Kept, content_of
from gardenerd.index.rows import COLUMNS, record_batch

DIMENSIONS = 64
COUNT = 64


def rows(seed: int) -> pa.RecordBatch:
    """Rows of vectors that cannot be compressed: some kilobytes."""
    columns: dict[str, list[object]] = {name: [name] * COUNT for name in COLUMNS}
    columns |= {"start_line": list(range(COUNT)), "end_line": list(range(COUNT))}
    vectors = np.random.default_rng(seed).standard_normal((COUNT, DIMENSIONS), dtype=np.float32)
    return record_batch(columns, vectors)


def kept(n: int, project: str = "p") -> Kept:
    return Kept(project, f"a_{n}.py", f"{n:032}", rows(n))


def content(n: int) -> Content:
    return content_of(f"a_{n}.py", f"{n:032}")


def opened(folder: Path) -> ContentStore:
    return ContentStore(folder, "g", DIMENSIONS)


def here(store: ContentStore, count: int) -> list[int]:
    found = store.rows([content(n) for n in range(count)])
    return [n for n in range(count) if content(n) in found]


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.exchange([], [kept(1), kept(2)], 1 << 20)
    found = opened(tmp_path).rows([content(1), content(2), content(3)])
    assert found == {content(1): rows(1), content(2): rows(2)}
    store.exchange([content(1)], [], 1 << 20)
    assert here(store, 4) == [2]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(10):
        store.exchange([], [kept(n)], 1 << 20)
    limit = store.bytes
    assert limit > 10 * COUNT * DIMENSIONS
    touched = store.touch([content(0), content(3), content(77)])
    assert touched == dict.fromkeys([content(0), content(3)], rows(0).serialize().size)
    for n in range(10, 15):
        store.exchange([], [kept(n)], limit)
        assert store.bytes <= limit
    assert {0, 3, 14} <= set(here(store, 15))
    assert not {1, 2, 4} & set(here(store, 15))


def test_the_bound_holds_on_the_disk(tmp_path: Path) -> None:
    store, limit = opened(tmp_path), 200_000
    for n in range(100):
        store.exchange([], [kept(n), kept(1_000 + n)], limit)
        assert store.bytes <= limit
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1.5 * limit
    store.exchange([], [], 0)
    assert store.bytes == 0


def test_a_project_takes_along_only_what_it_alone_had(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.exchange([], [kept(1), kept(2), kept(2, "q"), kept(3, "q")], 1 << 20)
    store.forget_project("p")
    assert here(store, 4) == [2, 3]
    assert store.origins("p") == []
    assert sorted(store.origins("q")) == ["a_2.py", "a_3.py"]
    store.forget_project("q")
    assert here(store, 4) == []


def test_nothing_of_what_was_forgotten_stays_in_the_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.exchange([], [kept(n) for n in range(20)], 1 << 20)
    with closing(sqlite3.connect(store.path)) as connection:
        asked = "SELECT rows FROM contents ORDER BY digest"
        datas = [data for (data,) in connection.execute(asked)]
    pieces = [datas[7][at : at + 32] for at in range(0, len(datas[7]), 32)]
    pieces = [piece for piece in pieces if piece not in datas[8]]
    before = store.path.read_bytes()
    assert sum(piece in before for piece in pieces) > len(pieces) / 2
    store.forget("p", ["a_7.py"])
    after = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert len(after) < len(before)
    assert [piece for piece in pieces if piece in after] == []
    assert here(store, 20) == [n for n in range(20) if n != 7]


def test_the_contents_of_another_table_are_deleted(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.exchange([], [kept(1)], 1 << 20)
    other = ContentStore(tmp_path, "another", DIMENSIONS)
    assert here(other, 2) == []
    assert not store.path.exists()
