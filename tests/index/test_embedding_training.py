"""Pairs from source, a tiny training run from end to end, and the figures it is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gardenerd.index.embed import StaticEmbedder
from gardenerd.index.embedding import evaluation
from gardenerd.index.embedding.counts import word_counts
from gardenerd.index.embedding.pairs import Example, examples, from_text
from gardenerd.index.embedding.passage import passage
from gardenerd.index.embedding.training import Pairs, Recipe, save, train, train_tokenizer
from gardenerd.seedling.corpus import SourceFile

SOURCE = '''"""Reads settings from a file and checks them."""

class Reader(Base):
    """Reads one settings file at a time."""

    limit = 3

    @property
    def size(self) -> int:
        """Number of bytes that were read.

        Zero before the first read.
        """
        # the cached value is stale after a reload
        value = self._bytes
        if value < 0:
            raise ValueError(f"negative size {value} of the file")
        return value

def load(path):
    with open(path) as file:
        return parse(file.read())
'''


def test_examples_of_a_file() -> None:
    found = {example.name: example for example in from_text("app/settings.py", SOURCE)}
    size = found["size"]
    assert size.place == "app/settings.py Reader"
    assert size.symbol == "Reader size"
    assert size.signature.split() == ["@property", "def", "size(self)", "->", "int:"]
    assert size.questions == [
        "Number of bytes that were read.",
        "Number of bytes that were read.\n\nZero before the first read.",
        "the cached value is stale after a reload",
        "ValueError: negative size of the file",
    ]
    assert "Number of bytes" not in size.body
    assert "return value" in size.body
    reader = found["Reader"]
    assert reader.questions == ["Reads one settings file at a time."]
    assert "def size(self) -> int:" in reader.body
    load = found["load"]
    assert not load.documented
    assert load.body.count("\n") == 1
    assert found["settings py"].body.splitlines() == ["class Reader(Base):", "def load(path):"]


@pytest.mark.parametrize("text", ["", "def broken(", "\x00", "x = 1", '"""Only a docstring."""'])
def test_a_file_without_examples(text: str) -> None:
    assert list(from_text("a.py", text)) == []


def test_repeated_code_counts_once_and_boilerplate_is_not_asked() -> None:
    body = (
        'def f{0}(x):\n    """Says the same as many others."""\n'
        "    return other_{0}(x, name, {1})\n"
    )
    texts = [body.format("abcdefgh"[n] * 3, n) for n in range(5)] + [body.format("aaa", 9)]
    found = list(examples(SourceFile("p", f"p/{n}.py", text) for n, text in enumerate(texts)))
    assert len(found) == 5
    assert sum(example.documented for example in found) == 2


def synthetic() -> list[Example]:
    """Questions and code that share no word, only topics: a start from words alone cannot win."""
    letters = "bcdfghjklmnpqrst"
    pairs: list[Example] = []
    for n, first in enumerate(letters):
        for second in letters:
            question = f"ask{first} want{second} please"
            body = f"    code{first}x = run{second}y(value)"
            pairs.append(
                Example(f"m{n}.py", "def f(a):", body, "some name", [question], documented=True)
            )
    return pairs


def test_a_tiny_run_learns_its_pairs(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    pairs = synthetic()
    tokenizer = train_tokenizer(
        (text for p in pairs for text in (p.body, p.signature, *p.questions)), vocabulary=600
    )
    rows = Pairs(pairs, tokenizer)
    recipe = Recipe(passes=80, batch=128, learning_rate=0.01, dimensions=32, name=0.0, keep=1.0)
    said: list[str] = []

    def watch(table: np.ndarray) -> str:
        said.append(str(table.shape))
        return said[-1]

    task = evaluation.task(pairs, bare=True)
    before = evaluation.random_of(task, dimensions=32)
    table = train(rows, recipe, watch, watch_every=1.0)
    assert said[0] == str((tokenizer.get_vocab_size(), 32))
    save(table, tokenizer, tmp_path / "model")
    embedder = StaticEmbedder(tmp_path / "model")
    assert embedder.dimensions == 32
    after = evaluation.of_vectors(task, embedder.encode)
    assert before.recall_at_10 < 25
    assert after.recall_at_10 > 90


def test_a_passage_is_bounded_and_says_its_symbol_first() -> None:
    text = passage("Reader.size", "x" * 5000, "y" * 5000)
    assert text.startswith("Reader.size Reader.size ")
    assert len(text) < 1000


def test_figures_by_hand() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    found = evaluation.figures(scores, np.array([0, 1, 2]))
    assert found.recall_at_1 == pytest.approx(100 / 3)
    assert found.recall_at_5 == 100
    assert found.mrr_at_10 == pytest.approx(100 * (1 + 1 / 2 + 1 / 2) / 3)


def test_bm25_agrees_with_its_formula() -> None:
    vocabulary: dict[str, int] = {}
    candidates = word_counts(["red green green", "blue red", "blue blue blue yellow"], vocabulary)
    questions = word_counts(["green red", "yellow"], vocabulary)
    scores = evaluation.bm25(questions, candidates, k1=1.2, b=0.75)
    green = np.log(1 + 2.5 / 1.5) * 2 * 2.2 / (2 + 1.2)
    red = np.log(1 + 1.5 / 2.5) * 2.2 / (1 + 1.2)
    assert scores[0, 0] == pytest.approx(green + red, rel=1e-5)
    assert scores[1].argmax() == 2
    assert scores[1, :2].tolist() == [0, 0]
