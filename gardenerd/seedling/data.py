"""From files to rows of tokens: half of the files are learned by filling in their middle."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedTokenizerFast

from gardenerd.seedling import tokenizer as vocabulary

FIM_RATE = 0.5
"""Up to 0.9 costs nothing in left-to-right prediction (Bavarian et al., 2022)."""
# Long files are cut, so that a middle and what surrounds it stand in one row.
_PIECE_CHARACTERS = 3_000


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Cut a file into pieces at line ends, each about as long as a row holds."""
    lines: list[str] = []
    size, limit = 0, rng.randint(_PIECE_CHARACTERS // 2, _PIECE_CHARACTERS)
    for line in text.splitlines(keepends=True):
        lines.append(line)
        size += len(line)
        if size >= limit:
            yield "".join(lines)
            lines, size = [], 0
            limit = rng.randint(_PIECE_CHARACTERS // 2, _PIECE_CHARACTERS)
    if lines:
        yield "".join(lines)


def fill_in(text: str, rng: random.Random) -> str:
    """Rearrange ``text`` as prefix, suffix, middle; the middle is a run of lines or a span."""
    if rng.random() < 0.5:
        lines = text.splitlines(keepends=True)
        first = rng.randrange(len(lines))
        last = min(len(lines), first + 1 + min(int(rng.expovariate(1 / 4)), 20))
        prefix, middle = "".join(lines[:first]), "".join(lines[first:last])
    else:
        start = rng.randrange(len(text))
        end = min(len(text), start + 1 + int(rng.expovariate(1 / 120)))
        prefix, middle = text[:start], text[start:end]
    suffix = text[len(prefix) + len(middle) :]
    return (
        f"{vocabulary.PREFIX}{prefix}{vocabulary.SUFFIX}{suffix}"
        f"{vocabulary.MIDDLE}{middle}{vocabulary.END}"
    )


def rows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, *, length: int, seed: int
) -> Iterator[torch.Tensor]:
    """Endless rows of ``length`` + 1 tokens; the files are shuffled anew in each pass."""
    epoch = 0
    buffer: list[int] = []
    while True:
        rng = random.Random(f"{seed}-{epoch}")
        documents = [piece for text in texts for piece in pieces(text, rng)]
        rng.shuffle(documents)
        for start in range(0, len(documents), 256):
            batch = [
                fill_in(piece, rng) if rng.random() < FIM_RATE else piece + vocabulary.END
                for piece in documents[start : start + 256]
            ]
            for encoding in tokenizer(batch)["input_ids"]:
                buffer += encoding
            while len(buffer) > length:
                yield torch.tensor(buffer[: length + 1])
                del buffer[:length]
        epoch += 1
