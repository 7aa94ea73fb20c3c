"""What a night should learn from: new code alone, with some replay, or all from scratch?

    python -m bench.mixes REPO COMMITS [--nights N] [--steps N] [--json FILE]

REPO and COMMITS as for ``bench.nights``. The same weeks are learned night by night with each mix,
by the same number of steps; every night goes on from the one before. There is no daemon and no gate
here: each mix shows what it does by itself. Measured after each night, in bits per byte relative to
the base: the code that the *next* week adds, old held-out code as it stood in the first week, and
general code. The first night is the same for all of them.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import torch

from bench import history
from gardenerd.core import replay
from gardenerd.core.holdout import held_out
from gardenerd.core.quality import rejection
from gardenerd.index.reading import harvest
from gardenerd.models import adapters, nll
from gardenerd.models.card import Card, write_card
from gardenerd.models.info import resolve, train_defaults
from gardenerd.models.load import Base, load_base
from gardenerd.seedling import MODEL_DIR
from gardenerd.settings import Train
from gardenerd.store.examples import example_id
from gardenerd.train import anchor, dataset, evaluate, examples, loop, objective, shrink
from gardenerd.train import model as adapted
from gardenerd.train.run import training_dtype
from gardenerd.workers.jobs import (
    AdapterRef,
    Example,
    Harvest,
    Harvested,
    HeldOutText,
    Hyperparameters,
)

_FIRST = 3  # times the steps, in the first night, which has all of the project to learn
_SET = 500
_FIRST_SET = 5_000
_DAY = 86_400.0


@dataclass(frozen=True)
class Mix:
    name: str
    replay_share: float
    telling_share: float = replay.TELLING_SHARE
    anew: bool = False


MIXES = (
    Mix("new only", 0.0),
    Mix("10 % replay", 0.1),
    Mix("25 % replay", 0.25),
    Mix("50 % replay", 0.5),
    Mix("50 % replay, any", 0.5, telling_share=0.0),
    Mix("from scratch", 0.5, anew=True),
)


@dataclass
class Week:
    """What a night finds."""

    examples: list[Example]
    """Of the files that changed."""
    changed: set[str]
    next: dict[str, str]
    """The code that comes after it."""


@dataclass
class Buffer:
    """The replay buffer, in memory."""

    held: dict[str, Example] = field(default_factory=dict[str, Example])
    items: dict[str, replay.Item] = field(default_factory=dict[str, replay.Item])
    used: set[str] = field(default_factory=set[str])

    def take(self, week: Week, now: float) -> None:
        standing = {example.id for example in week.examples}
        for id in [id for id, e in self.held.items() if e.path in week.changed]:
            if id not in standing:
                del self.held[id], self.items[id]
        for example in week.examples:
            self.held.setdefault(example.id, example)
            item = replay.Item(id=example.id, path=example.path, kind=example.kind, created=now)
            self.items.setdefault(example.id, item)

    def compose(self, mix: Mix, size: int, night: int) -> list[Example]:
        new = [item for item in self.items.values() if item.id not in self.used]
        old = [item for item in self.items.values() if item.id in self.used]
        chosen = replay.compose(
            new,
            old,
            size,
            mix.replay_share,
            night,
            since=(night - 0.5) * _DAY,
            telling_share=mix.telling_share,
        )
        return [self.held[id] for id in chosen]

    def learned(self, costs: dict[str, float]) -> None:
        self.used |= set(costs)
        for id, cost in costs.items():
            self.items[id] = msgspec.structs.replace(self.items[id], cost=cost)


def weeks_of(repo: Path, commits: Sequence[str]) -> tuple[list[Week], dict[str, str]]:
    """What each night finds, and old held-out code as it stands at the first."""
    weeks: list[Week] = []
    with tempfile.TemporaryDirectory(prefix="gardener-mixes-") as name:
        past = history.History(repo, Path(name) / "project")
        old: dict[str, str] = {}
        for number, (here, after) in enumerate(pairwise(commits)):
            past.checkout(here)
            paths = past.files() if not number else past.changed(commits[number - 1], here)
            if not number:
                old = past.old_code()
            learned = sorted(set(paths) - held_out(past.files()))
            weeks.append(
                Week(_harvested(past.root, learned), set(learned), past.added(here, after))
            )
    return weeks, old


def _harvested(root: Path, paths: list[str]) -> list[Example]:
    found: list[Example] = []

    def collect(part: Harvested) -> None:
        found.extend(
            Example(
                id=example_id("", chunk.path, chunk.text),
                path=chunk.path,
                kind=chunk.kind,
                language=chunk.language,
                text=chunk.text,
            )
            for chunk in part.chunks
            if rejection(chunk.text) is None
        )

    harvest(Harvest(root=str(root), paths=paths), collect, lambda: None)
    return found


class Learner:
    """One mix's way through the nights."""

    def __init__(self, mix: Mix, folder: Path, old: dict[str, str], steps: int) -> None:
        self._mix, self._folder, self._steps = mix, folder, steps
        self._old = list(old.values())
        judging, _ = evaluate.general_modules()
        self._general = [text.text for text in evaluate.bound(evaluate.general_texts(judging))]
        self._heldout = [
            HeldOutText(path=str(i), slice="older", text=text)
            for i, text in enumerate([*self._old, *self._general])
        ]
        self._buffer = Buffer()
        self._parent: AdapterRef | None = None
        self._base_nats: dict[tuple[str, ...], float] = {}
        """By texts; shared with those that go on from here."""

    def with_mix(self, mix: Mix, folder: Path) -> Learner:
        """Another that goes on from here."""
        other = copy.copy(self)
        other._mix, other._folder, other._buffer = mix, folder, copy.deepcopy(self._buffer)
        return other

    def night(self, number: int, week: Week) -> dict[str, float]:
        """Learn, then measure."""
        self._buffer.take(week, number * _DAY)
        first = self._parent is None
        from_base = first or self._mix.anew
        size = _FIRST_SET if from_base else _SET
        kept, _ = examples.clean(self._buffer.compose(self._mix, size, number), self._heldout)
        share = anchor.SHARE if from_base else anchor.SHARE_FROM_PARENT
        kept += examples.clean(anchor.anchors(len(kept), number, share), self._heldout)[0]
        chosen = msgspec.structs.replace(
            resolve(Train(), train_defaults(MODEL_DIR)),
            steps=self._steps * (_FIRST if first else 1),
            minutes=60.0,
            seed=number,
            anew=self._mix.anew,
        )
        self._parent = self._trained(number, kept, chosen)
        return self._measured(list(week.next.values()))

    def _trained(self, number: int, kept: list[Example], chosen: Hyperparameters) -> AdapterRef:
        base = load_base(MODEL_DIR, dtype=training_dtype())
        parent = adapted.continued(base, chosen, self._parent)
        chosen = objective.held(chosen, parent)
        model = adapted.prepare(base, chosen, parent)
        rows = dataset.Rows(
            base,
            kept,
            max_length=chosen.max_length,
            rows_per_step=1,
            fim_rate=chosen.fim_rate,
            seed=number,
        )
        folder = self._folder / f"v{number}"
        folder.mkdir(parents=True)
        result = loop.train(
            base,
            model,
            rows,
            chosen,
            folder,
            identity="",
            report=lambda _progress: None,
            leave=lambda: False,
            check=lambda: None,
        )
        self._buffer.learned({kept[n].id: cost for n, cost in result.costs.items()})
        candidate = folder / "candidate"
        adapted.save(model, candidate)
        card = Card(
            base="seedling",
            fingerprint=base.info.fingerprint,
            rank=chosen.rank,
            alpha=chosen.alpha,
            target_modules=chosen.target_modules,
            parent=parent.version if parent else None,
            run=str(number),
            data_digest="",
            steps=result.steps,
            hold=chosen.hold,
            created="",
        )
        write_card(candidate, card)
        plain = load_base(MODEL_DIR, dtype=torch.float32)
        strength = shrink.shrink(plain, candidate, parent, lambda: None)
        write_card(candidate, msgspec.structs.replace(card, strength=strength))
        return AdapterRef(version=f"v{number}", folder=str(candidate))

    def _measured(self, following: list[str]) -> dict[str, float]:
        assert self._parent is not None
        base = load_base(MODEL_DIR, dtype=torch.float32)
        model = adapters.attach(base, Path(self._parent.folder), name="asked")
        model.set_adapter("asked")
        found: dict[str, float] = {}
        for name, texts in (("next", following), ("old", self._old), ("general", self._general)):
            asked = tuple(texts)
            if asked not in self._base_nats:
                with model.disable_adapter():
                    self._base_nats[asked] = _nats(base, model, asked)
            before = self._base_nats[asked]
            found[name] = _nats(base, model, asked) / before - 1 if before else 0.0
        return found


def _nats(base: Base, model: Any, texts: Sequence[str]) -> float:
    return sum(score.nats for score in nll.score(base, texts, model=model))


def measure(repo: Path, commits: Sequence[str], steps: int) -> dict[str, Any]:
    """By mix, what was measured after each night."""
    warnings.simplefilter("ignore", FutureWarning)
    weeks, old = weeks_of(repo, commits)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gardener-mixes-") as name:
        folder = Path(name)
        learner = Learner(MIXES[0], folder / "first", old, steps)
        first = learner.night(0, weeks[0])
        print(f"{'first night':18}   1  {_words(first)}", flush=True)
        for mix in MIXES:
            goes_on = learner.with_mix(mix, folder / mix.name)
            found[mix.name] = [first]
            for number, week in enumerate(weeks[1:], 1):
                found[mix.name].append(goes_on.night(number, week))
                print(f"{mix.name:18} {number + 1:3}  {_words(found[mix.name][-1])}", flush=True)
    return {"mixes": found, "mean": {name: _mean(nights) for name, nights in found.items()}}


def _mean(nights: Sequence[dict[str, float]]) -> dict[str, float]:
    """Over the nights after the first, which is the same for all; and where they ended."""
    later = nights[1:]
    mean = {f"{name}, mean": sum(n[name] for n in later) / len(later) for name in ("next", "old")}
    return mean | {"old, last": later[-1]["old"], "general, last": later[-1]["general"]}


def _words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:+.2%}" for name, value in figures.items())


def main() -> None:
    parser = history.parser("mixes", nights=6)
    parser.add_argument("--steps", type=int, default=120, help="of a night; the first has thrice")
    arguments = parser.parse_args()
    commits = history.commits(arguments.commits, arguments.repo)[: arguments.nights + 1]
    found = measure(arguments.repo, commits, arguments.steps)
    for name, mean in found["mean"].items():
        print(f"{name:18}      {_words(mean)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
