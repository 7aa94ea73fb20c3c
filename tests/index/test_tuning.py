"""Pairs from rows, training on them, and the change of vectors; real tables and the real model."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gardenerd.core.tuning import decide
from gardenerd.errors import CancelledError
from gardenerd.index.adopting import adopt, drop_others, embedder_of, rows
from gardenerd.index.build import index_files
from gardenerd.index.embed import FOLDER, StaticEmbedder, load_embedder
from gardenerd.index.search import search
from gardenerd.index.table import ChunkTable
from gardenerd.index.tuning import pairs
from gardenerd.index.tuning.pairs import Pair
from gardenerd.index.tuning.run import CANDIDATE, run
from gardenerd.store.embeddings import Embeddings
from gardenerd.workers.jobs import (
    Added,
    GatherPairs,
    IndexFiles,
    PairsOf,
    SearchIndex,
)
from gardenerd.workers.tune_jobs import TuneEmbedding
from tests.live import german

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


@pytest.fixture
def packaged() -> StaticEmbedder:
    return StaticEmbedder(FOLDER)


def indexed(root: Path, folder: Path, embedder: StaticEmbedder) -> ChunkTable:
    table = ChunkTable(folder, embedder.fingerprint, embedder.dimensions)
    paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.*"))]
    job = IndexFiles(project="p", root=str(root), paths=paths)
    index_files(table, embedder, job, lambda _: None, lambda: None)
    return table


def gathered(table: ChunkTable, target: Path, given: PairsOf) -> list[Pair]:
    target.parent.mkdir(exist_ok=True)
    job = GatherPairs(projects=[given], target=str(target))
    done = pairs.gather(lambda project: rows(table, pairs.columns(), project), job)
    found = pairs.read(target)
    assert done.count == sum(bool(pair.question) for pair in found)
    return found


def test_docstrings_commits_and_answers_become_pairs(
    tmp_path: Path, packaged: StaticEmbedder
) -> None:
    root = tmp_path / "shop"
    (root / "tests").mkdir(parents=True)
    (root / "a.py").write_text(
        'def total(items):\n    """The sum of all that was bought.\n\n    In euro.\n    """\n'
        "    return sum(item.price for item in items)\n\n\n"
        "def bare(parcel):\n    return parcel.weight * TARIFF\n"
    )
    (root / "b.py").write_text(
        'def held(x):\n    """Something that is held out entirely."""\n    return x + 1\n'
    )
    (root / "tests" / "test_a.py").write_text(
        'def test_total():\n    """The sum of nothing is nothing at all."""\n    assert 1\n'
    )
    (root / "README.md").write_text("# Shop\nThe sum of all that was bought is shown.\n")
    given = PairsOf(
        project="p",
        held_out=["b.py"],
        added=[
            Added(
                path="a.py",
                message=f"Parcels are weighed at the counter {SECRET}\n\nLonger.",
                runs=[["    return parcel.weight * TARIFF", "gone since"]],
            ),
            Added(path="b.py", message="An older change of what is held", runs=[["return x + 1"]]),
            Added(path="a.py", message="Nothing of it stands any more", runs=[["no such line"]]),
        ],
        answers=[("where is the price of a parcel?", "in bare(), by its weight")],
    )
    table = indexed(root, tmp_path / "index", packaged)
    found = {pair.question: pair for pair in gathered(table, tmp_path / "p" / "pairs", given)}
    total = found["The sum of all that was bought."]
    assert (total.kind, total.file, total.held_out) == ("docstring", "a.py", False)
    assert "bought" not in total.passage
    assert "sum(item.price" in total.passage
    assert found["Something that is held out entirely."].held_out
    commit = next(pair for pair in found.values() if pair.kind == "commit")
    assert "def bare" in commit.passage
    assert SECRET not in commit.question
    answer = found["where is the price of a parcel?"]
    assert (answer.kind, answer.held_out) == ("answer", False)
    assert "by its weight" in answer.passage
    assert len([question for question in found if question]) == 4


def test_commits_in_held_out_files_are_not_learned_from(
    tmp_path: Path, packaged: StaticEmbedder
) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    added: list[Added] = []
    for n in range(20):
        (root / f"m{n}.py").write_text(f"def f{n}(x):\n    return x.attribute_{n}\n")
        run_ = [f"    return x.attribute_{n}"]
        added.append(Added(path=f"m{n}.py", message=f"Change number {n} of twenty", runs=[run_]))
    table = indexed(root, tmp_path / "index", packaged)
    given = PairsOf(project="p", held_out=["m10.py"], added=added)
    found = [p for p in gathered(table, tmp_path / "p" / "pairs", given) if p.kind == "commit"]
    assert {pair.file for pair in found if pair.held_out} == {"m0.py", "m1.py", "m2.py"}
    assert {pair.file for pair in found} == {f"m{n}.py" for n in range(20)} - {"m10.py"}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Pair]]]:
    """A project documented in German, its table, and its pairs."""
    folder = tmp_path_factory.mktemp("taught")
    german.write(folder / "firma", folder / "altbau")
    table = indexed(folder / "firma", folder / "index", StaticEmbedder(FOLDER))
    held_out = [f"part{n}/module{n}{m}.py" for n in range(1, 8) for m in (0, 5)]
    given = PairsOf(project="p", held_out=held_out)
    yield folder, gathered(table, folder / "run" / pairs.PAIRS, given)


def tuned(folder: Path, found: list[Pair]) -> Path:
    folder.mkdir()
    lines = b"".join(msgspec.json.encode(pair) + b"\n" for pair in found)
    (folder / pairs.PAIRS).write_bytes(lines)
    return folder


def test_true_pairs_pass_the_gate_and_shuffled_ones_do_not(
    tmp_path: Path, taught: tuple[Path, list[Pair]]
) -> None:
    _, found = taught
    true = run(TuneEmbedding(folder=str(tuned(tmp_path / "true", found)), incumbent=None))
    assert decide(true).outcome == "promoted", decide(true)
    assert true.loss_last < true.loss_first

    trained = [pair for pair in found if pair.question and not pair.held_out]
    passages = [pair.passage for pair in trained]
    random.Random(1).shuffle(passages)
    wrong = [
        msgspec.structs.replace(pair, passage=passage)
        for pair, passage in zip(trained, passages, strict=True)
    ]
    wrong += [pair for pair in found if pair.held_out]
    harmful = run(TuneEmbedding(folder=str(tuned(tmp_path / "wrong", wrong)), incumbent=None))
    assert decide(harmful).outcome == "refused", decide(harmful)

    # What serves is no worse than itself, and no better.
    again = run(
        TuneEmbedding(
            folder=str(tuned(tmp_path / "again", found)),
            incumbent=str(tmp_path / "true" / CANDIDATE),
        )
    )
    assert decide(again).outcome == "refused", decide(again)


def test_vectors_are_made_anew_or_stay(
    tmp_path: Path, taught: tuple[Path, list[Pair]], packaged: StaticEmbedder
) -> None:
    source, found = taught
    run(TuneEmbedding(folder=str(tuned(tmp_path / "run", found)), incumbent=None))
    candidate = StaticEmbedder(tmp_path / "run" / CANDIDATE)
    index = tmp_path / "index"
    shutil.copytree(source / "index", index)
    table = ChunkTable(index, packaged.fingerprint, packaged.dimensions)
    job = SearchIndex(query="zählt Verträge rückwärts", k=5)
    before = search(table, packaged, job).hits

    def cancelled() -> None:
        raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        adopt(table, index, candidate, cancelled)
    assert not (index / "next").exists()
    assert search(table, packaged, job).hits == before

    made = adopt(table, index, candidate, lambda: None)
    assert made.count() == table.count() > 900
    assert made.generation == table.generation
    assert made.unindexed_rows() == 0
    assert search(table, packaged, job).hits == before, "the old table serves until it is dropped"
    row = next(rows(made, ["symbol", "text", "docstring", "vector"])).to_pylist()[0]
    expected = candidate.encode([pairs.passage(row["symbol"], row["text"], row["docstring"])])[0]
    np.testing.assert_allclose(np.array(row["vector"], np.float32), expected, atol=1e-3)
    drop_others(made)
    assert [path.name for path in (index / "lance").iterdir()] == [made.path.name]


def test_what_serves_is_named_by_one_file(tmp_path: Path) -> None:
    versions = Embeddings(tmp_path)
    assert embedder_of("embedded", versions).fingerprint == load_embedder().fingerprint
    model = tmp_path / "v1" / "model"
    shutil.copytree(FOLDER, model)
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")
    assert versions.serving() is None, "a model that nobody adopted does not serve"
    versions.serve("v1")
    assert embedder_of("embedded", versions).fingerprint != load_embedder().fingerprint
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:1000])
    assert embedder_of("embedded", versions).fingerprint == load_embedder().fingerprint
    shutil.rmtree(model)
    assert versions.serving() is None, "one that was lost does not either"
