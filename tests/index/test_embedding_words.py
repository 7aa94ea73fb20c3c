"""The words that numpy finds are those of the tokenizer's own pipeline."""

from __future__ import annotations

import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from gardenerd.index.embedding.words import Words, as_bytes, hashes_of, pipeline

_PIPELINE = pipeline()
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def by_numpy(text: str) -> list[str]:
    words = Words([as_bytes(text)])
    return [words.read(index).decode("utf-8") for index in range(len(words.starts))]


def by_tokenizer(text: str) -> list[str]:
    normalised = _PIPELINE.normalizer.normalize_str(text)
    return [word for word, _ in _PIPELINE.pre_tokenizer.pre_tokenize_str(normalised)]


def in_bytes(word: str) -> str:
    return _BYTES.pre_tokenize_str(word)[0][0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("camelCase", "camel case"),
        ("snake_case_name", "snake case name"),
        ("HTTPServer", "http server"),
        ("parseHTTPHeader_v2(x1=0xFF)", "parse http header v 2 x 1 0 x ff"),
        ("SCREAMING_CASE", "screaming case"),
        ("utf8 sha256sum", "utf 8 sha 256 sum"),
        ("naïve Größe — 日本語", "naïve größe 日本語"),
        ("", ""),
        ("!? ... ☃", ""),
    ],
)
def test_words_of(text: str, words: str) -> None:
    assert by_numpy(text) == words.split()
    assert by_tokenizer(text) == [in_bytes(word) for word in words.split()]


@given(st.text(alphabet=string.ascii_letters + string.digits + "_. \n(é語—²", max_size=60))
def test_the_same_words_as_the_tokenizer(text: str) -> None:
    assert [in_bytes(word) for word in by_numpy(text)] == by_tokenizer(text)


@given(st.lists(st.text(alphabet="abAB1_ ", max_size=12), max_size=8))
def test_texts_keep_their_own_words(texts: list[str]) -> None:
    words = Words([as_bytes(text) for text in texts])
    together = [words.read(index).decode() for index in range(len(words.starts))]
    assert together == [word for text in texts for word in by_numpy(text)]
    assert list(words.first) == [
        sum(len(by_numpy(t)) for t in texts[:n]) for n in range(len(texts) + 1)
    ]


def test_equal_words_have_equal_hashes_wherever_they_stand() -> None:
    words = Words([b"alpha beta(alpha", b"ALPHA_gamma beta"])
    first, beta, again, upper, gamma, last = words.hashes.tolist()
    assert first == again == upper
    assert beta == last
    assert len({first, beta, gamma}) == 3


def test_hashes_of_many_words_differ() -> None:
    words = ["".join(letters).encode() for letters in itertools.product("abcdefghij", repeat=4)]
    assert len(set(hashes_of(words).tolist())) == len(words)
