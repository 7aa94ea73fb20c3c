"""Pairs from rows, training on them, and the change of vectors; real tables and the real model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer

from gardenerd.core.tuning import decide
from gardenerd.errors import CancelledError, ModelError, RefusedError
from gardenerd.index.build import index_files
from gardenerd.index.embed import FOLDER, StaticEmbedder
from gardenerd.index.embedding.counts import Counts
from gardenerd.index.embedding.tuned import TunedRows, load
from gardenerd.index.queries import EncodeQuery, TunedQueries
from gardenerd.index.reader import TableReader, project_rows
from gardenerd.index.search import search
from gardenerd.index.table import ChunkTable
from gardenerd.index.tuning import pairs, training
from gardenerd.index.tuning.pairs import Pair, gather
from gardenerd.index.tuning.run import as_arrays, run
from gardenerd.workers.jobs import Added, IndexFiles, SearchIndex
from gardenerd.workers.tune_jobs import TuneEmbedding
from gardenerd.workers.tuned import TunedRef
from tests.live import german

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


@pytest.fixture
def packaged() -> StaticEmbedder:
    return StaticEmbedder(FOLDER)


def indexed(root: Path, folder: Path, embedder: StaticEmbedder, project: str = "p") -> None:
    table = ChunkTable(folder, embedder.fingerprint, embedder.dimensions)
    paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.*"))]
    job = IndexFiles(project=project, root=str(root), paths=paths)
    index_files(table, embedder, job, lambda _: None, lambda: None)


def gathered(folder: Path, embedder: StaticEmbedder, given: TuneEmbedding) -> list[Pair]:
    size = embedder.dimensions
    rows = project_rows(folder, embedder.fingerprint, size, given.project, pairs.COLUMNS)
    return gather(rows, given)


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
    given = TuneEmbedding(
        index="",
        target="",
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
    indexed(root, tmp_path / "index", packaged)
    found = {pair.question: pair for pair in gathered(tmp_path / "index", packaged, given)}
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
    indexed(root, tmp_path / "index", packaged)
    given = TuneEmbedding(index="", target="", project="p", held_out=["m10.py"], added=added)
    found = [p for p in gathered(tmp_path / "index", packaged, given) if p.kind == "commit"]
    assert {pair.file for pair in found if pair.held_out} == {"m0.py", "m1.py", "m2.py"}
    assert {pair.file for pair in found} == {f"m{n}.py" for n in range(20)} - {"m10.py"}


HELD_OUT = [f"part{n}/module{n}{m}.py" for n in range(1, 8) for m in (0, 5)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project documented in German, ``firma``, and its index."""
    folder = tmp_path_factory.mktemp("taught")
    german.write(folder / "firma", folder / "altbau")
    indexed(folder / "firma", folder / "index", StaticEmbedder(FOLDER))
    return folder


def job(taught: Path, target: Path, **changed: Any) -> TuneEmbedding:
    index = str(taught / "index")
    whole = TuneEmbedding(index=index, project="p", held_out=HELD_OUT, target=str(target))
    return msgspec.structs.replace(whole, **changed)


def test_true_pairs_pass_the_gate_and_what_serves_is_not_better_than_itself(
    tmp_path: Path, taught: Path
) -> None:
    report = run(job(taught, tmp_path / "rows"))
    assert decide(report).outcome == "promoted", decide(report)
    assert report.loss_last < report.loss_first
    assert all(pair.incumbent == pair.packaged for pair in report.held_out)

    ref = TunedRef(project="p", file=str(tmp_path / "rows"), fingerprint=report.fingerprint)
    again = run(job(taught, tmp_path / "again", incumbent=ref))
    assert decide(again).outcome == "refused", decide(again)
    assert sum(p.incumbent > p.packaged for p in again.held_out) > 50
    with pytest.raises(RefusedError, match="nothing is new"):
        run(job(taught, tmp_path / "again", known=[report.digest]))
    with pytest.raises(RefusedError, match="only 0"):
        run(job(taught, tmp_path / "again", project="q"))

    def cancelled() -> None:
        raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        run(job(taught, tmp_path / "cut short"), cancelled)
    assert not (tmp_path / "cut short").exists()


def test_shuffled_pairs_do_not_pass(
    tmp_path: Path, taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pairs say is what passes, and not that there was a training."""

    def shuffled(batches: Iterator[Any], given: TuneEmbedding) -> list[Pair]:
        found = gather(batches, given)
        trained = [pair for pair in found if pair.question and not pair.held_out]
        passages = [pair.passage for pair in trained]
        random.Random(1).shuffle(passages)
        wrong = zip(trained, passages, strict=True)
        rest = [pair for pair in found if not pair.question or pair.held_out]
        return [msgspec.structs.replace(pair, passage=text) for pair, text in wrong] + rest

    monkeypatch.setattr("gardenerd.index.tuning.run.gather", shuffled)
    decision = decide(run(job(taught, tmp_path / "rows")))
    assert decision.outcome == "refused", decision


def test_only_rows_of_what_was_asked_move_and_only_queries_feel_it(
    tmp_path: Path, taught: Path, packaged: StaticEmbedder
) -> None:
    target = tmp_path / "rows"
    report = run(job(taught, target))
    rows = load(target, report.fingerprint, packaged.fingerprint, packaged.dimensions)
    assert 50 < len(rows.pieces) == report.pieces < 1_000
    assert target.stat().st_size < 300 * report.pieces + 1_000

    # As a whole table with these rows in it would embed.
    texts = ["zählt Verträge rückwärts", "def unrelated(): pass", "", "zählt zählt zählt"]
    expected = packaged.encode(texts)
    for text, plain in zip(texts, expected, strict=True):
        given = packaged.encode_query(text, rows)
        packaged_table, packaged.table = packaged.table, rows.on(packaged.table)
        np.testing.assert_allclose(given, packaged.encode([text])[0], atol=1e-6)
        packaged.table = packaged_table
        if "z" not in text:
            np.testing.assert_allclose(given, plain, atol=1e-6)


def test_a_project_is_searched_by_the_rows_given_for_it(
    tmp_path: Path, packaged: StaticEmbedder
) -> None:
    asked = list(german.write(tmp_path / "firma", tmp_path / "altbau").items())[:20]
    indexed(tmp_path / "firma", tmp_path / "index", packaged)
    indexed(tmp_path / "altbau", tmp_path / "index", packaged, "q")
    report = run(job(tmp_path, tmp_path / "rows"))
    rows = load(tmp_path / "rows", report.fingerprint, packaged.fingerprint, packaged.dimensions)
    reader = TableReader(tmp_path / "index", packaged.fingerprint, packaged.dimensions)

    def answered(projects: list[str] | None, tuned: dict[str, EncodeQuery]) -> int:
        wanted = [SearchIndex(query=question, k=3, projects=projects) for question, _ in asked]
        found = [search(reader.latest(), packaged, each, tuned).hits for each in wanted]
        return sum(
            name in {hit.symbol for hit in hits if hit.project == "q"}
            for (_, name), hits in zip(asked, found, strict=True)
        )

    tuned = partial(packaged.encode_query, tuned=rows)
    before = answered(["q"], {})
    # The glossary of German knows some of their words; of what is left most is found.
    assert answered(["q"], {"q": tuned}) >= before + (len(asked) - before) // 2 + 1
    assert answered(["q"], {"p": tuned}) == before
    # Where several are searched, a tuned one neither drowns the others nor is drowned by them.
    everywhere = answered(None, {})
    assert answered(None, {"q": tuned}) >= everywhere
    assert answered(["p", "q"], {"q": tuned}) == answered(None, {"q": tuned})
    far_off = {"q": lambda text: -tuned(text)}
    assert answered(None, far_off) <= everywhere


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file, ref: file.unlink(), "missing"),
        (lambda file, ref: file.write_bytes(file.read_bytes()[:-9]), "not as it was written"),
        (lambda file, ref: file.write_bytes(b""), "not as it was written"),
    ],
)
def test_what_is_damaged_is_not_used(
    tmp_path: Path, packaged: StaticEmbedder, harm: Callable[[Path, str], None], said: str
) -> None:
    file = tmp_path / "rows"
    table = packaged.table.copy()
    table[7] += 1
    good = TunedRows.between(packaged.fingerprint, packaged.table, table).save(file)
    ref = TunedRef(project="p", file=str(file), fingerprint=good)
    queries = TunedQueries(packaged)
    assert set(queries.of([ref])[0]) == {"p"}
    harm(file, good)
    assert set(queries.of([ref])[0]) == {"p"}, "what was loaded is not read again"
    tuned, unusable = TunedQueries(packaged).of([ref])
    assert tuned == {}
    assert said in unusable["p"]


def test_rows_of_another_embedding_are_not_used(tmp_path: Path, packaged: StaticEmbedder) -> None:
    file = tmp_path / "rows"
    name = TunedRows("another", np.arange(2, dtype=np.int32), packaged.table[:2]).save(file)
    with pytest.raises(ModelError, match="another embedding"):
        load(file, name, packaged.fingerprint, packaged.dimensions)


def test_answers_of_one_question_are_not_its_wrong_answers(packaged: StaticEmbedder) -> None:
    def pair(key: str, passage: str) -> Pair:
        return Pair(
            kind="commit", file="f", key=key, question=f"{key} it", passage=passage, held_out=False
        )

    counts = Counts(Tokenizer.from_file(str(FOLDER / "tokenizer.json")))
    found = as_arrays([pair("a", "x"), pair("a", "y"), pair("b", "x")], ["z"], packaged, counts)
    answers = training._Answers(found)  # pyright: ignore[reportPrivateUsage]
    chosen, wrong = np.array([0, 2]), np.array([0, 1, 2])  # x, y and z
    assert answers.also(chosen, wrong).tolist() == [
        [False, True, True, True, False],
        [True, False, True, False, False],
    ]
