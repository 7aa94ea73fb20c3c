"""Which examples a run may learn from: nothing that is, or nearly is, held-out code."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

from gardenerd.core import quality
from gardenerd.workers.jobs import HeldOutText
from gardenerd.workers.train_jobs import Example

NEAR = 0.7
"""Share of word groups in common that makes two texts near-duplicates (BigCode takes .7 to .85)."""
_WINDOW = 60
"""Groups in a row: held-out code is also found within a text that is mostly something else. On
three repositories it leaves out 4 % of the examples, mostly tests and commands that repeat others.
"""
_GROUP = 5
_PERMUTATIONS = 128
_WORD = re.compile(r"\w+|[^\w\s]")


def clean(
    examples: Sequence[Example], heldout: Sequence[HeldOutText]
) -> tuple[list[Example], dict[str, int]]:
    """The examples to train on, in order, and how many were left out for each reason.

    Left out: what :func:`gardenerd.core.quality.rejection` names, exact duplicates (white space
    aside), near-duplicates of an earlier example, and examples that held-out code contains: at
    least 70 % of their groups of five words, or of 60 of them in a row, stand in one held-out
    file. Containment and not likeness, because a function is a small part of its file.
    """
    index = _index(heldout)
    seen: set[bytes] = set()
    near = MinHashLSH(threshold=NEAR, num_perm=_PERMUTATIONS)
    kept: list[Example] = []
    dropped: Counter[str] = Counter()
    for example in examples:
        words = _WORD.findall(example.text)
        digest = hashlib.blake2b("\0".join(words).encode(), digest_size=16).digest()
        groups = _groups(words)
        reason = quality.rejection(example.text)
        if reason is None and digest in seen:
            reason = "duplicate"
        if reason is None and _is_contained(groups, index):
            reason = "near held-out code"
        if reason is None:
            sketch = MinHash(num_perm=_PERMUTATIONS)
            sketch.update_batch([group.to_bytes(8) for group in set(groups)])
            if near.query(sketch):
                reason = "near-duplicate"
            else:
                near.insert(str(len(kept)), sketch)
        if reason is None:
            seen.add(digest)
            kept.append(example)
        else:
            dropped[reason] += 1
    return kept, dict(dropped)


def containment(text: str, heldout: Sequence[HeldOutText]) -> float:
    """The largest share of the text's groups of five words that one held-out file has."""
    return _containment(_groups(_WORD.findall(text)), _index(heldout))


def _index(heldout: Sequence[HeldOutText]) -> dict[int, list[int]]:
    files: dict[int, list[int]] = defaultdict(list)
    for number, text in enumerate(heldout):
        for group in set(_groups(_WORD.findall(text.text))):
            files[group].append(number)
    return files


def _is_contained(groups: list[int], index: dict[int, list[int]]) -> bool:
    if _containment(groups, index) >= NEAR:
        return True
    standing: Counter[int] = Counter()
    for last, group in enumerate(groups):
        if last >= _WINDOW:
            standing.subtract(index.get(groups[last - _WINDOW], ()))
        for file in index.get(group, ()):
            standing[file] += 1
            if standing[file] >= NEAR * _WINDOW:
                return True
    return False


def _containment(groups: list[int], index: dict[int, list[int]]) -> float:
    found: Counter[int] = Counter()
    distinct = set(groups)
    for group in distinct:
        found.update(index.get(group, ()))
    return max(found.values(), default=0) / len(distinct)


def _groups(words: list[str]) -> list[int]:
    """Hashes of all runs of five words; of the whole, when there are fewer."""
    last = max(1, len(words) - _GROUP + 1)
    return [
        int.from_bytes(
            hashlib.blake2b("\0".join(words[i : i + _GROUP]).encode(), digest_size=8).digest()
        )
        for i in range(last)
    ]
