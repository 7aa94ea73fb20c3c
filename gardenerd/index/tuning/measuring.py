"""How near the top a question's code is, by the vector alone: 1 / rank, by the rows of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gardenerd.index.embed import StaticEmbedder
from gardenerd.index.embedding.counts import Counts, Rows
from gardenerd.index.tuning.pairs import Pair
from gardenerd.index.tuning.training import directions
from gardenerd.workers.tune_jobs import HeldOutPair

Floats = NDArray[np.float32]

_TOGETHER = 512
"""Questions compared with all candidates at once."""


class Exam:
    """The held-out questions of a project, to be put to the packaged table, to the incumbent's, and
    to one candidate after the other: tables are (vocabulary, dimensions).

    All are asked among the project's code, whose vectors are those of the packaged table.
    """

    def __init__(
        self, pairs: Sequence[Pair], packaged: StaticEmbedder, incumbent: Floats, counts: Counts
    ) -> None:
        self._parts: list[_Part] = []
        for kind in ("docstring", "commit"):
            asked = [pair for pair in pairs if pair.kind == kind and pair.held_out]
            if not asked:
                continue
            passages = list(dict.fromkeys(p.passage for p in pairs if p.kind in (kind, "")))
            place = {text: number for number, text in enumerate(passages)}
            answers: dict[str, list[int]] = defaultdict(list)
            for pair in asked:
                answers[pair.key].append(place[pair.passage])
            questions = {pair.key: pair.question for pair in asked}
            files = {pair.key: pair.file for pair in asked}
            self._parts.append(
                _Part(
                    kind,
                    counts(list(questions.values())),
                    packaged.encode(passages),
                    answers,
                    [key if kind == "commit" else files[key] for key in answers],
                )
            )
        self._before = [(part.ranks(packaged.table), part.ranks(incumbent)) for part in self._parts]

    def compare(self, candidate: Floats) -> list[HeldOutPair]:
        """Every question under the three tables."""
        return [
            HeldOutPair(kind=part.kind, cluster=cluster, packaged=a, incumbent=b, candidate=c)
            for part, before in zip(self._parts, self._before, strict=True)
            for cluster, a, b, c in zip(part.clusters, *before, part.ranks(candidate), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Part:
    """The questions of one kind."""

    kind: Literal["docstring", "commit"]
    questions: Rows
    shown: Floats
    answers: Mapping[str, Sequence[int]]
    clusters: Sequence[str]

    def ranks(self, table: Floats) -> list[float]:
        asked, _ = directions(self.questions @ table)
        return reciprocal_ranks(asked, self.shown, list(self.answers.values()))


def reciprocal_ranks(asked: Floats, shown: Floats, answers: Sequence[Sequence[int]]) -> list[float]:
    """1 / the rank of the best answer to each question; a tie counts half.

    Args:
        asked: (questions, dimensions).
        shown: (passages, dimensions).
        answers: the rows of ``shown`` that answer each.
    """
    ranks: list[float] = []
    for first in range(0, len(answers), _TOGETHER):
        scores = asked[first : first + _TOGETHER] @ shown.T
        for row, right in zip(scores, answers[first : first + _TOGETHER], strict=True):
            best = row[right].max()
            ranks.append(1 / (1 + float((row > best).sum()) + (float((row == best).sum()) - 1) / 2))
    return ranks
