"""How well a model predicts code that it never saw: in bits per byte, and in filling in."""

from __future__ import annotations

import lzma
import math
import random
from pathlib import Path

import torch

from gardenerd.models.load import Base, load_base
from gardenerd.models.nll import score
from gardenerd.seedling import GENERAL_MODULES, corpus
from gardenerd.seedling import tokenizer as vocabulary

_PLACES = 6
"""Places in each of the general modules where a middle is filled in."""
_LINES_BEFORE, _LINES_AFTER = 25, 12
_SEED = 3


def report(model: Path, files: int) -> dict[str, dict[str, dict[str, float]] | dict[str, float]]:
    """``packages``: bits per byte of the first ``files`` files of each held-out package, beside
    what xz makes of the same bytes. ``filling_in``: see `filling_in`.
    """
    base = load_base(model)
    found: dict[str, dict[str, float]] = {}
    for package, sources in corpus.held_out().items():
        texts = [file.text for file in sources[:files]]
        scores = score(base, texts)
        size = sum(len(text.encode()) for text in texts)
        packed = len(lzma.compress("".join(texts).encode(), preset=9))
        found[package] = {
            "files": len(texts),
            "bytes": size,
            "bits_per_byte": sum(s.bits_per_byte * s.bytes for s in scores)
            / sum(s.bytes for s in scores),
            "xz_bits_per_byte": 8 * packed / size,
        }
    return {"packages": found, "filling_in": filling_in(base)}


def filling_in(base: Base) -> dict[str, float]:
    """How middles of one to three lines, drawn from the general modules, are filled in.

    Returns:
        ``bits_per_byte`` of the middles, and ``without_suffix`` the same where nothing is said to
        follow; ``exact``, the share of middles that greedy decoding gives whole and ends there;
        ``end_when_whole`` and ``end_half_way``, the probability (geometric mean) of the end of
        text after all and after half of a middle.
    """
    rng = random.Random(_SEED)
    knowing, blind, size, exact, places = 0.0, 0.0, 0, 0, 0
    whole, half = 0.0, 0.0
    for file in sorted(corpus.held_out()["standard library"], key=_order):
        lines = file.text.splitlines(keepends=True)
        for _ in range(_PLACES):
            first = rng.randrange(30, len(lines) - 30)
            last = first + rng.randrange(1, 4)
            prefix = "".join(lines[max(0, first - _LINES_BEFORE) : first])
            middle = "".join(lines[first:last])
            if not middle.strip():
                continue
            suffix = "".join(lines[last : last + _LINES_AFTER])
            before = f"{vocabulary.PREFIX}{prefix}{vocabulary.SUFFIX}{suffix}{vocabulary.MIDDLE}"
            empty = f"{vocabulary.PREFIX}{prefix}{vocabulary.SUFFIX}{vocabulary.MIDDLE}"
            costs, greedy = _nats(base, before, middle)
            knowing += sum(costs[:-1])
            whole += costs[-1]
            exact += greedy
            blind += sum(_nats(base, empty, middle)[0][:-1])
            half += _nats(base, before, middle[: len(middle) // 2])[0][-1]
            size += len(middle.encode())
            places += 1
    return {
        "places": places,
        "bits_per_byte": knowing / math.log(2) / size,
        "without_suffix": blind / math.log(2) / size,
        "exact": exact / places,
        "end_when_whole": math.exp(-whole / places),
        "end_half_way": math.exp(-half / places),
    }


def _order(file: corpus.SourceFile) -> int:
    return GENERAL_MODULES.index(file.path.removesuffix(".py"))


def _nats(base: Base, before: str, middle: str) -> tuple[list[float], bool]:
    """The cost of each token of ``middle`` and of the end after it, and whether each is the
    likeliest: given what stands before it, that is when greedy decoding gives them all.
    """
    given = base.tokenizer.encode(before, add_special_tokens=False)
    wanted = base.tokenizer.encode(middle, add_special_tokens=False) + [base.end_token]
    with torch.inference_mode():
        logits = base.model(input_ids=torch.tensor([given + wanted])).logits
    chances = logits[0, len(given) - 1 : -1].float().log_softmax(-1)
    targets = torch.tensor(wanted)
    costs = -chances.gather(1, targets[:, None]).squeeze(1)
    return costs.tolist(), bool((chances.argmax(-1) == targets).all())
