"""What a word is, twice: as a `tokenizers` pipeline, and the same rule in numpy, much faster.

A word is a run of letters or a run of digits; ``camelCase`` and ``HTTPServer`` are cut where case
says so, everything is lower case, and the rest (punctuation, white space, symbols) is dropped:
``parseHTTPHeader_v2`` is ``parse http header v 2``. Bytes of other scripts count as letters, so
nothing that a person wrote as a word is lost. The pipeline is written into ``tokenizer.json``, so
that any tool of the model2vec format reads the model unchanged; `Words` finds the same words
without leaving numpy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

CAMEL = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
"""Where a case change begins a new word; ASCII alone, since scripts without case have none."""

WORD = r"\p{L}+|[0-9]+"

_camel = re.compile(CAMEL)
_beyond_ascii = re.compile(r"[^\x00-\x7f]")
_first_word = re.compile(rb"[a-z\x80-\xff]+|[0-9]+")

_SEPARATOR, _LOWER, _UPPER, _DIGIT = range(4)


def pipeline() -> Tokenizer:
    """A BPE tokenizer with an empty vocabulary and this module's rule of what a word is."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [normalizers.Replace(Regex(CAMEL), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(WORD), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _class_of_byte() -> bytes:
    classes = bytearray(256)
    for byte in range(256):
        character = chr(byte)
        if byte >= 0x80 or "a" <= character <= "z":
            classes[byte] = _LOWER
        elif "A" <= character <= "Z":
            classes[byte] = _UPPER
        elif "0" <= character <= "9":
            classes[byte] = _DIGIT
    return bytes(classes)


def _starts_of_triple() -> bytes:
    """Whether the middle of (before, here, after), two bits each, is the first byte of a word."""
    starts = bytearray(256)
    for before in range(4):
        for here in range(1, 4):
            for after in range(4):
                new = (
                    before == _SEPARATOR
                    or (before == _DIGIT) != (here == _DIGIT)
                    or (before == _LOWER and here == _UPPER)
                    or (before == _UPPER and here == _UPPER and after == _LOWER)
                )
                starts[before << 4 | here << 2 | after] = new
    return bytes(starts)


_CLASSES = _class_of_byte()
_STARTS = np.frombuffer(_starts_of_triple(), dtype=bool)
# A polynomial hash modulo 2^64 with one random value a byte. Separators count nothing, so that the
# hash of a word is that of the stretch from its first byte to the next word's.
_VALUES = np.random.default_rng(20261101).integers(1, 2**63, 256, dtype=np.uint64)
_VALUES[np.frombuffer(_CLASSES, dtype=np.uint8) == _SEPARATOR] = 0
_BASE = 0x9E3779B97F4A7C13
_INVERSE = pow(_BASE, -1, 2**64)


def _powers(base: int, length: int) -> NDArray[np.uint64]:
    factors = np.full(length, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def as_bytes(text: str) -> bytes:
    """`text` in UTF-8, such that case and byte class alone tell its words."""
    if text.isascii():
        return text.encode("ascii")
    spaced = _camel.sub(" ", text).lower()
    spaced = _beyond_ascii.sub(lambda m: m[0] if m[0].isalpha() else " ", spaced)
    return spaced.encode("utf-8")


class Words:
    """The words of a batch of texts, as hashes, with the bytes to read them from when needed."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        """Find the words of `texts` (from `as_bytes`), concatenated in one buffer."""
        joined = b"\n".join((*texts, b""))
        buffer = joined.lower()
        lengths = np.fromiter((len(text) + 1 for text in texts), dtype=np.int64, count=len(texts))
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        classes = np.frombuffer(joined.translate(_CLASSES), dtype=np.uint8)
        triples = classes << 2
        triples[1:] |= classes[:-1] << 4
        triples[:-1] |= classes[1:]
        self.starts: NDArray[np.int64] = np.flatnonzero(_STARTS[triples])
        """(words,) position of each word's first byte."""
        self.first: NDArray[np.int64] = np.searchsorted(self.starts, offsets)
        """(texts + 1,) index of each text's first word, as the row pointers of a sparse matrix."""
        self._buffer = buffer
        if not len(self.starts):
            self.hashes: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
            """(words,) equal for equal words; zero never occurs."""
            return
        values = _VALUES[np.frombuffer(buffer, dtype=np.uint8)]
        values *= _powers_to(len(buffer))[0][: len(buffer)]
        sums = np.cumsum(values, dtype=np.uint64)
        # the sum before a word's first byte: the one of the byte before it, zero at the very start
        before = np.where(self.starts > 0, sums[self.starts - 1], np.uint64(0))
        hashes = np.diff(before, append=sums[-1])
        hashes *= _powers_to(len(buffer))[1][self.starts]
        self.hashes = hashes | np.uint64(1)

    def read(self, index: int) -> bytes:
        """The bytes of the word at `index`."""
        end = int(self.starts[index + 1]) if index + 1 < len(self.starts) else len(self._buffer)
        found = _first_word.match(self._buffer, int(self.starts[index]), end)
        assert found is not None
        return found[0]


_cached: tuple[NDArray[np.uint64], NDArray[np.uint64]] = (
    np.ones(1, dtype=np.uint64),
    np.ones(1, dtype=np.uint64),
)


def _powers_to(length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """At least `length` powers of the hash's base and of its inverse; kept for the next."""
    global _cached
    if len(_cached[0]) < length:
        size = 1 << (length - 1).bit_length()
        _cached = (_powers(_BASE, size), _powers(_INVERSE, size))
    return _cached


def hashes_of(words: Sequence[bytes]) -> NDArray[np.uint64]:
    """(n,) the hash of each of `words`, every one of which is a single word."""
    return Words(words).hashes
