from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from gardenerd.errors import CancelledError, IndexUnavailableError
from gardenerd.index.build import index_files
from gardenerd.index.embed import load_embedder
from gardenerd.index.generation import read_generation
from gardenerd.index.table import ChunkTable, connect
from gardenerd.workers.jobs import (
    Checked,
    CheckIndex,
    Done,
    Harvest,
    Harvested,
    Hit,
    Hits,
    Indexed,
    IndexFiles,
    IndexProgress,
    OptimizeIndex,
    ReadTexts,
    RemoveProject,
    SearchIndex,
)
from tests.workers.index_driver import Pair, index_worker

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("h")


@pytest.fixture(scope="module")
def shared(shared_home: Path) -> Generator[Pair]:
    """One worker for the tests that each keep to a project of their own."""
    with index_worker(shared_home) as driver:
        yield driver


def garden(root: Path, count: int = 12) -> list[str]:
    """A small project: ``count`` modules of a class and two functions, and a page."""
    root.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for n in range(count):
        name = f"bed_{n}.py"
        (root / name).write_text(
            f"class Bed{n}:\n    def water_{n}(self):\n        return {n}\n\n\n"
            f"def plant_{n}(seed):\n    return seed + {n}\n"
        )
        names.append(name)
    (root / "README.md").write_text("# Garden\nHow to plant_1 and water.\n")
    return [*names, "README.md"]


def search(driver: Pair, query: str, project: str, k: int = 10) -> list[Hit]:
    job = SearchIndex(query=query, k=k, projects=[project])
    return driver.searcher.ask(job, Hits).hits


def open_table(folder: Path) -> ChunkTable:
    """The table in an index folder that no worker holds."""
    embedder = load_embedder()
    return ChunkTable(folder, embedder.fingerprint, embedder.dimensions)


def table_rows(table: ChunkTable) -> list[tuple[str, ...]]:
    """Every row, vectors too."""
    rows = connect(table.path.parent.parent).open_table(table.path.stem).to_arrow()
    return sorted(tuple(map(str, row.values())) for row in rows.to_pylist())


def everything(driver: Pair, root: Path, project: str, paths: list[str]) -> set[tuple[str, ...]]:
    """All that searches can bring up of a project."""
    found: set[tuple[str, ...]] = set()
    for path in paths:
        for hit in search(driver, Path(path).stem.replace("_", " ") + " plant water", project, 500):
            found.add((hit.path, hit.symbol, hit.text, hit.digest, str(hit.start_line)))
    return found


def test_a_project_is_indexed_and_found(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path)
    results = shared.index("found", tmp_path, paths)
    assert {r.state for r in results.values()} == {"indexed"}
    assert results["bed_3.py"].chunks == results["bed_3.py"].new_chunks == 3
    assert results["bed_3.py"].size == (tmp_path / "bed_3.py").stat().st_size
    hits = search(shared, "plant_7", "found")
    assert (hits[0].path, hits[0].symbol, hits[0].start_line) == ("bed_7.py", "plant_7", 6)
    assert hits[0].text.startswith("def plant_7")
    assert hits[0].digest == results["bed_7.py"].digest
    assert search(shared, "Bed3.water_3", "found")[0].symbol == "Bed3.water_3"
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_code_comes_before_prose_that_mentions_it(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path)
    shared.index("prose", tmp_path, paths)
    assert search(shared, "plant_1", "prose")[0].path == "bed_1.py"


def test_an_unchanged_file_costs_no_new_row(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path)
    first = shared.index("again", tmp_path, paths)
    before = everything(shared, tmp_path, "again", paths)
    second = shared.index("again", tmp_path, paths)
    assert {p: r.chunks for p, r in second.items()} == {p: r.chunks for p, r in first.items()}
    assert {r.new_chunks for r in second.values()} == {0}
    assert everything(shared, tmp_path, "again", paths) == before


def test_a_change_is_found_at_once_and_the_old_text_leaves(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path)
    shared.index("edit", tmp_path, paths)
    source = (tmp_path / "bed_2.py").read_text().replace("plant_2", "uproot_weeds")
    (tmp_path / "bed_2.py").write_text(source)
    result = shared.index("edit", tmp_path, ["bed_2.py"])["bed_2.py"]
    assert (result.chunks, result.new_chunks) == (3, 1)
    assert search(shared, "uproot_weeds", "edit")[0].symbol == "uproot_weeds"
    assert all(hit.symbol != "plant_2" for hit in search(shared, "plant_2", "edit", 500))


def test_a_file_that_is_gone_or_left_out_leaves_the_index(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path)
    shared.index("gone", tmp_path, paths)
    (tmp_path / "bed_1.py").unlink()
    (tmp_path / "bed_2.py").write_bytes(b"\0\0")
    (tmp_path / "bed_3.py").rename(tmp_path / "moved.py")
    changed = ["bed_1.py", "bed_2.py", "bed_3.py", "moved.py"]
    results = shared.index("gone", tmp_path, changed)
    assert [results[p].state for p in changed] == ["gone", "skipped", "gone", "indexed"]
    assert results["bed_2.py"].reason == "binary"
    left = {hit.path for hit in search(shared, "bed plant water", "gone", 500)}
    assert left == (set(paths) | {"moved.py"}) - {"bed_1.py", "bed_2.py", "bed_3.py"}


def test_projects_are_apart_and_removed_alone(shared: Pair, tmp_path: Path) -> None:
    for name in ("here", "there"):
        shared.index(name, tmp_path / name, garden(tmp_path / name))
    assert shared.ask(RemoveProject(project="here"), Done).count == 12 * 3 + 1
    assert search(shared, "plant_1", "here") == []
    assert search(shared, "plant_1", "there")[0].project == "there"
    assert shared.ask(RemoveProject(project="here"), Done).count == 0


def test_quotes_in_names_stay_names(shared: Pair, tmp_path: Path) -> None:
    name, project = "o'brien's \"bed\".py", "it's"
    (tmp_path / name).write_text("def odd_name():\n    pass\n")
    shared.index(project, tmp_path, [name])
    (tmp_path / name).write_text("def odd_name():\n    return 1\n")
    shared.index(project, tmp_path, [name])
    assert [hit.path for hit in search(shared, "odd_name", project)] == [name]


@pytest.mark.parametrize(
    "query",
    [
        "", "   ", "\"unbalanced", "a AND OR NOT (", "*:* ^2 ~", "' OR 1=1 --", "\0\x01", "日本語",
        "the", "()[]{}", "plant_1 " * 8_000, "-" * 65_000, "😀", "a.b.c::d#e->f", "%s {} \\",
    ],
)  # fmt: skip
def test_any_query_is_answered(shared: Pair, tmp_path: Path, query: str) -> None:
    shared.index("odd", tmp_path, garden(tmp_path, 3))
    hits = search(shared, query, "odd")
    assert len(hits) <= 10
    assert search(shared, "plant_1", "odd")[0].symbol == "plant_1"


def test_an_empty_or_unknown_project_has_no_hits(shared: Pair) -> None:
    assert search(shared, "plant", "never added") == []
    assert shared.searcher.ask(SearchIndex(query="plant", projects=[]), Hits).hits == []


def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    root, home = tmp_path / "src", tmp_path / "h"
    paths = garden(root)
    (root / "bed_1.py").write_text(f"TOKEN = '{SECRET}'\n\ndef use_token():\n    '''{SECRET}'''\n")
    (root / "notes.md").write_text(f"# Notes\nthe token is {SECRET}\n")
    with index_worker(home) as driver:
        driver.index("p", root, [*paths, "notes.md"])
        hits = search(driver, "use_token", "p")
        assert "*" * len(SECRET) in hits[0].text
        number = driver.start(Harvest(root=str(root), paths=paths))
        driver.answer(number, Harvested)
        chunks = [c for u in driver.updates(number, Harvested) for c in u.chunks]
        target = tmp_path / "heldout.jsonl"
        job = ReadTexts(root=str(root), paths={"bed_1.py": "recent"}, target=str(target))
        assert driver.ask(job, Done).count == 1
    assert all(SECRET not in chunk.text for chunk in chunks)
    written = [p for p in [*home.rglob("*"), target] if p.is_file()]
    assert len(written) > 5
    for file in written:
        data = file.read_bytes().lower()
        assert SECRET.encode().lower() not in data, file
        assert SECRET[4:].encode().lower() not in data, file


def test_harvest_and_texts(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path, 200)
    number = shared.start(Harvest(root=str(tmp_path), paths=[*paths, "missing.py"]))
    assert shared.answer(number, Harvested).chunks == []
    updates = shared.updates(number, Harvested)
    assert len(updates) > 1
    chunks = [chunk for update in updates for chunk in update.chunks]
    assert len(chunks) == 200 * 3 + 1
    assert {c.symbol for c in chunks if c.path == "bed_9.py"} == {"Bed9", "Bed9.water_9", "plant_9"}
    target = tmp_path / "out.jsonl"
    which = {"bed_1.py": "recent", "bed_2.py": "older", "missing.py": "older"}
    assert shared.ask(
        ReadTexts(root=str(tmp_path), paths=which, target=str(target)),  # pyright: ignore[reportArgumentType]
        Done,
    ).count == 2  # fmt: skip
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(line["path"], line["slice"]) for line in lines] == [
        ("bed_1.py", "recent"),
        ("bed_2.py", "older"),
    ]
    assert lines[0]["text"] == (tmp_path / "bed_1.py").read_text()


def test_a_large_batch_uses_processes_that_leave(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path, 400)
    number = shared.start(IndexFiles(project="large", root=str(tmp_path), paths=paths))
    shared.answer(number, Indexed)
    updates = shared.updates(number, IndexProgress)
    assert len(updates) > 1
    assert [u.done for u in updates] == sorted(u.done for u in updates)
    assert updates[-1].done == updates[-1].total == len(paths)
    assert psutil.Process(shared.process.pid).children() == []
    assert search(shared, "plant_399", "large")[0].symbol == "plant_399"


def test_a_search_passes_while_files_are_indexed(shared: Pair, tmp_path: Path) -> None:
    shared.index("calm", tmp_path / "calm", garden(tmp_path / "calm"))
    paths = garden(tmp_path / "busy", 600)
    number = shared.start(IndexFiles(project="busy", root=str(tmp_path / "busy"), paths=paths))
    seen: list[str] = []
    while not shared.updates(number, IndexProgress) or len(seen) < 3:
        seen.append(search(shared, "plant_5", "calm")[0].symbol)
        shared.take_those_there()
    assert set(seen) == {"plant_5"}
    shared.answer(number, Indexed)
    assert search(shared, "plant_599", "busy")[0].symbol == "plant_599"


def test_a_cancelled_batch_stops_and_what_was_told_stays(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path, 900)
    number = shared.start(IndexFiles(project="stop", root=str(tmp_path), paths=paths))
    shared.wait_for(lambda: bool(shared.updates(number, IndexProgress)))
    shared.cancel(number)
    with pytest.raises(CancelledError):
        shared.answer(number, Indexed)
    told = [r.path for u in shared.updates(number, IndexProgress) for r in u.results]
    assert 0 < len(told) < len(paths)
    found = search(shared, f"{told[0].removesuffix('.py').replace('bed', 'plant')}", "stop")
    assert told[0] in {hit.path for hit in found}
    assert psutil.Process(shared.process.pid).children() == []


def test_kill_in_the_middle_then_again_gives_a_fresh_index(tmp_path: Path) -> None:
    root = tmp_path / "src"
    paths = garden(root, 300)
    with index_worker(tmp_path / "h") as driver:
        number = driver.start(IndexFiles(project="p", root=str(root), paths=paths))
        driver.wait_for(lambda: bool(driver.updates(number, IndexProgress)))
        parsers = psutil.Process(driver.process.pid).children()
        driver.process.kill()
        driver.process.wait()
        gone, alive = psutil.wait_procs(parsers, timeout=30)
        assert alive == []
        assert len(gone) == len(parsers)
    generation = read_generation(tmp_path / "h" / "index")
    with index_worker(tmp_path / "h") as driver:
        driver.index("p", root, paths)
        assert search(driver, "plant_299", "p")[0].symbol == "plant_299"
    fresh = open_table(tmp_path / "fresh")
    job = IndexFiles(project="p", root=str(root), paths=paths)
    index_files(fresh, load_embedder(), job, lambda _progress: None, lambda: None)
    assert fresh.count() == 300 * 3 + 1
    assert table_rows(open_table(tmp_path / "h" / "index")) == table_rows(fresh)
    assert read_generation(tmp_path / "h" / "index") == generation


def test_kill_in_the_middle_of_a_switch_then_there_and_back(tmp_path: Path) -> None:
    root = tmp_path / "src"
    paths = garden(root, 300)
    fresh = open_table(tmp_path / "fresh")
    job = IndexFiles(project="p", root=str(root), paths=paths)
    index_files(fresh, load_embedder(), job, lambda _progress: None, lambda: None)
    before = {path: (root / path).read_text() for path in paths}
    with index_worker(tmp_path / "h") as driver:
        driver.index("p", root, paths)
        for path in paths:
            (root / path).write_text(before[path] + "\nadded = 1\n")
        number = driver.start(job)
        driver.wait_for(lambda: bool(driver.updates(number, IndexProgress)))
        driver.process.kill()
        driver.process.wait()
    with index_worker(tmp_path / "h") as driver:
        assert driver.ask(job, Indexed).unchanged > 0
        for path in paths:
            (root / path).write_text(before[path])
        back = driver.ask(job, Indexed)
    # Of one write, what it replaced may have been lost with the process.
    assert back.reused >= len(paths) - 240
    assert back.reused + back.parsed == len(paths)
    assert table_rows(open_table(tmp_path / "h" / "index")) == table_rows(fresh)


def test_optimising_keeps_everything(shared: Pair, tmp_path: Path) -> None:
    paths = garden(tmp_path, 5)
    for _ in range(4):
        shared.index("tidy", tmp_path, paths)
        (tmp_path / "bed_1.py").write_text((tmp_path / "bed_1.py").read_text() + "\nx = 1\n")
    assert shared.ask(OptimizeIndex(), Done).count == 0
    assert search(shared, "plant_4", "tidy")[0].symbol == "plant_4"
    shared.index("tidy", tmp_path, paths)
    assert search(shared, "water_1", "tidy")[0].symbol == "Bed1.water_1"
    assert shared.ask(OptimizeIndex(), Done).count == 0


def test_results_name_the_generation(shared: Pair, shared_home: Path, tmp_path: Path) -> None:
    job = IndexFiles(project="g", root=str(tmp_path), paths=garden(tmp_path, 1), remove=["gone.py"])
    number = shared.start(job)
    shared.answer(number, Indexed)
    told = [update.generation for update in shared.updates(number, IndexProgress)]
    assert told == 2 * [read_generation(shared_home / "index")]


def test_an_index_deleted_under_a_running_worker_is_made_anew(tmp_path: Path) -> None:
    root, home = tmp_path / "src", tmp_path / "h"
    paths = garden(root, 2)
    with index_worker(home) as driver:
        driver.index("p", root, paths)
        before = read_generation(home / "index")
        driver.ask(RemoveProject(project="p"), Done)
        shutil.rmtree(home / "index")
        (home / "index").mkdir()
        results = driver.index("p", root, paths)
        assert {r.new_chunks for r in results.values()} == {1, 3}
        assert read_generation(home / "index") not in (before, None)
        assert search(driver, "plant_1", "p")[0].symbol == "plant_1"


def test_damage_under_a_running_worker_is_told_and_then_healed(tmp_path: Path) -> None:
    root, home = tmp_path / "src", tmp_path / "h"
    paths = garden(root, 6)
    with index_worker(home) as driver:
        driver.index("p", root, paths)
        before = read_generation(home / "index")
        for file in (home / "index" / "lance").rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
        job = SearchIndex(query="plant_1", projects=["p"])
        with pytest.raises(IndexUnavailableError) as failed:
            driver.searcher.ask(job, Hits)
        assert failed.value.hint
        assert driver.ask(CheckIndex(), Checked).generation != before
        results = driver.index("p", root, paths)
        assert read_generation(home / "index") != before
        assert {r.new_chunks for r in results.values()} == {1, 3}
        assert search(driver, "plant_1", "p")[0].symbol == "plant_1"
