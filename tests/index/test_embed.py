"""The seam for vectors: the embedded static model, and what happens when a model is not there."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import json
import locale
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

from gardenerd.errors import ModelError
from gardenerd.index.embed import FOLDER, StaticEmbedder, fingerprint, load_embedder


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder(FOLDER)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "model"))


def functions(*modules: ModuleType) -> list[tuple[str, str]]:
    """(first paragraph of the docstring, code without it) of the modules' public functions."""
    found: list[tuple[str, str]] = []
    for module in modules:
        for name, value in sorted(vars(module).items()):
            if not isinstance(value, FunctionType) or value.__module__ != module.__name__:
                continue
            tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
            function = tree.body[0]
            assert isinstance(function, ast.FunctionDef)
            docstring = ast.get_docstring(function)
            if name.startswith("_") or not docstring or len(function.body) < 2:
                continue
            del function.body[0]
            found.append((docstring.split("\n\n", 1)[0], ast.unparse(function)))
    return found


def test_shape_type_and_length(embedder: StaticEmbedder) -> None:
    vectors = embedder.encode(["def add(a, b): return a + b", "class Parser: ..."])
    assert vectors.shape == (2, embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_no_texts_and_texts_without_words(embedder: StaticEmbedder) -> None:
    assert embedder.encode([]).shape == (0, embedder.dimensions)
    vectors = embedder.encode(["", "!? \n ☃ ...", "word", ""])
    assert vectors[[0, 1, 3]].any() == False  # noqa: E712  (a numpy truth value)
    assert vectors[2].any()


def test_odd_texts(embedder: StaticEmbedder) -> None:
    texts = ["x" * 1_000_000, "word " * 200_000, "\x00\x01", "日本語 текст", "\ud800 lone", "a"]
    assert np.isfinite(embedder.encode(texts)).all()


def test_the_same_vectors_as_model2vec(embedder: StaticEmbedder) -> None:
    from model2vec import StaticModel

    texts = [code for pair in functions(shutil, textwrap, subprocess, inspect) for code in pair]
    texts += [
        "",
        "getHTTPResponseCode",
        "naïve Größe — 日本語",
        "zqxjkvbpw 0x1f4a9",
        "a\tb  c" * 99,
    ]
    theirs = StaticModel.from_pretrained(FOLDER).encode(texts)
    np.testing.assert_allclose(embedder.encode(texts), theirs, atol=1e-3)


def test_a_text_has_one_vector_in_any_batch(embedder: StaticEmbedder) -> None:
    texts = [code for _, code in functions(shutil, textwrap, subprocess, inspect, json, ast)] * 9
    alone = np.concatenate([embedder.encode([text]) for text in texts[:40]])
    np.testing.assert_allclose(embedder.encode(texts)[:40], alone, atol=1e-5)


def test_a_fresh_embedder_agrees_with_one_that_has_seen_much(embedder: StaticEmbedder) -> None:
    embedder.encode([f"unheard{n:x}of words{n}" for n in range(5000)])
    texts = ["def frobnicate_the_quuxes(self): ...", "unheard7of"]
    np.testing.assert_array_equal(embedder.encode(texts), StaticEmbedder(FOLDER).encode(texts))


def test_identifiers_are_read_whatever_their_case(embedder: StaticEmbedder) -> None:
    camel, snake, other = embedder.encode(["parseHttpHeader", "parse_http_header", "draw_circle"])
    assert camel @ snake > 0.999
    assert camel @ other < 0.5


def test_a_docstring_finds_its_function(embedder: StaticEmbedder) -> None:
    pairs = functions(shutil, textwrap, statistics, inspect, ast, tempfile, locale, difflib)
    assert len(pairs) >= 50
    questions, code = zip(*pairs[:: len(pairs) // 50][:50], strict=True)
    scores = embedder.encode(questions) @ embedder.encode(code).T
    rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert (rank < 5).mean() > 0.8


def test_needs_neither_torch_nor_model2vec() -> None:
    program = (
        "import sys\n"
        "from gardenerd.index.embed import load_embedder\n"
        "assert load_embedder().encode(['some text']).any()\n"
        "print([m for m in ('torch', 'transformers', 'model2vec') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_package_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 20_000_000


def test_fingerprint_follows_each_byte(copy: Path) -> None:
    before = fingerprint(copy)
    assert before == fingerprint(FOLDER) == load_embedder().fingerprint
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint(copy) != before


def test_a_folder_of_the_same_format_loads_as_static(copy: Path) -> None:
    other = load_embedder(str(copy))
    assert isinstance(other, StaticEmbedder)
    assert other.name == str(copy)
    assert other.fingerprint == fingerprint(FOLDER)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{not json", None])
def test_a_damaged_model_says_so(copy: Path, file: str, content: bytes | None) -> None:
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_embedder(str(copy))
    assert str(copy) in caught.value.message
    assert caught.value.hint


def test_a_damaged_configuration_says_so(copy: Path) -> None:
    (copy / "config.json").write_text("[")
    with pytest.raises(ModelError, match="damaged"):
        load_embedder(str(copy))


def test_weights_that_do_not_fit_the_vocabulary_are_refused(copy: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"embeddings": np.zeros((3, 4), np.float32)}, copy / "model.safetensors")
    with pytest.raises(ModelError, match="pieces"):
        load_embedder(str(copy))


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        StaticEmbedder(tmp_path / "nowhere")
    assert caught.value.hint


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None, reason="it is installed"
)
def test_another_model_without_its_package_says_what_to_install() -> None:
    with pytest.raises(ModelError, match="not installed") as caught:
        load_embedder("some/model")
    assert "gardener[sentence-transformers]" in caught.value.hint


def test_another_model_through_sentence_transformers(
    monkeypatch: pytest.MonkeyPatch, copy: Path
) -> None:
    (copy / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "sentence_transformers", _sentence_transformers())
    other = load_embedder(str(copy))
    assert other.dimensions == 3
    assert other.encode(["a", "b"]).dtype == np.float32
    assert other.fingerprint == fingerprint(copy)
    by_name = load_embedder("owner/name")
    assert len(by_name.fingerprint) == 16
    assert by_name.fingerprint == load_embedder("owner/name").fingerprint
    with pytest.raises(ModelError, match="no such model"):
        load_embedder("owner/missing")


def _sentence_transformers() -> ModuleType:
    """The two calls that are made of sentence-transformers, over vectors of three numbers."""

    class SentenceTransformer:
        def __init__(self, name: str, *, trust_remote_code: bool) -> None:
            assert not trust_remote_code
            if name.endswith("missing"):
                raise OSError("no such model")

        def get_sentence_embedding_dimension(self) -> int:
            return 3

        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            return np.array([[1, 0, 0]] * len(texts), dtype=np.float64)

    module = ModuleType("sentence_transformers")
    vars(module)["SentenceTransformer"] = SentenceTransformer
    return module
