"""One learner's way through the weeks of a history, without a daemon and without a gate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file

from gardenerd.core import replay
from gardenerd.models import adapters, nll
from gardenerd.models.card import WEIGHTS, Card, read_card, write_card
from gardenerd.models.info import resolve, train_defaults
from gardenerd.models.load import Base, load_base, training_dtype
from gardenerd.seedling import MODEL_DIR
from gardenerd.settings import Train
from gardenerd.train import anchor, dataset, evaluate, examples, loop, objective, shrink
from gardenerd.train import model as adapted
from gardenerd.workers.jobs import AdapterRef, HeldOutText
from gardenerd.workers.train_jobs import Example, Hyperparameters

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
    """Each night starts from the base."""
    merged: bool = False
    """Each night starts a new adapter on the base with the last one in its weights."""
    resting: bool = False
    """Code of files that change nearly every week is left to retrieval."""


@dataclass
class Week:
    """What a night finds."""

    examples: list[Example]
    """Of the files that changed."""
    changed: set[str]
    churning: set[str]
    """The files that change nearly every week."""
    next: dict[str, str]
    """The code that comes after it."""


@dataclass
class Buffer:
    """The replay buffer, in memory."""

    held: dict[str, Example] = field(default_factory=dict[str, Example])
    items: dict[str, replay.Item] = field(default_factory=dict[str, replay.Item])
    used: set[str] = field(default_factory=set[str])
    churning: set[str] = field(default_factory=set[str])

    def take(self, week: Week, now: float) -> None:
        self.churning = week.churning
        standing = {example.id for example in week.examples}
        for id in [id for id, e in self.held.items() if e.path in week.changed]:
            if id not in standing:
                del self.held[id], self.items[id]
        for example in week.examples:
            self.held.setdefault(example.id, example)
            item = replay.Item(id=example.id, path=example.path, kind=example.kind, created=now)
            self.items.setdefault(example.id, item)

    def compose(self, mix: Mix, size: int, night: int) -> list[Example]:
        left_out = self.churning if mix.resting else set[str]()
        items = [item for item in self.items.values() if item.path not in left_out]
        new = [item for item in items if item.id not in self.used]
        old = [item for item in items if item.id in self.used]
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
        if self._mix.merged and parent is not None:
            _merge(base, parent)
        begun = None if self._mix.merged else parent
        chosen = objective.held(chosen, parent)
        model = adapted.prepare(base, chosen, begun)
        rows = dataset.rows_of(base, kept, chosen)
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
        if self._mix.merged and parent is not None:
            _add(candidate, parent)
        plain = load_base(MODEL_DIR, dtype=torch.float32)
        strength = shrink.shrink(plain, candidate, parent, lambda: None)
        write_card(candidate, msgspec.structs.replace(read_card(candidate), strength=strength))
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


def _merge(base: Base, parent: AdapterRef) -> None:
    """Put the parent into the base's own weights."""
    exact = load_base(MODEL_DIR, dtype=torch.float32)
    merged = adapters.attach(exact, Path(parent.folder), name="merged").merge_and_unload()
    base.model.load_state_dict(merged.state_dict())


def _add(candidate: Path, parent: AdapterRef) -> None:
    """Make the candidate what it and its parent come to together, at the rank of one of them.

    Both have the same scale, so the sum of the products is that of the factors put side by side;
    its greatest singular values are kept.
    """
    new, old = adapters.load_weights(candidate), adapters.load_weights(Path(parent.folder))
    found: dict[str, torch.Tensor] = {}
    for name in (name for name in new if "lora_A" in name):
        up = name.replace("lora_A", "lora_B")
        rank = new[name].shape[0]
        q_up, r_up = torch.linalg.qr(torch.cat([new[up], old[up]], dim=1))
        q_down, r_down = torch.linalg.qr(torch.cat([new[name], old[name]]).t())
        left, values, right = torch.linalg.svd(r_up @ r_down.t())
        root = values[:rank].sqrt()
        found[up] = (q_up @ left[:, :rank] * root).contiguous()
        found[name] = (root[:, None] * right[:rank] @ q_down.t()).contiguous()
    save_file(found, candidate / WEIGHTS, metadata={"format": "pt"})
    write_card(candidate, read_card(candidate))


def _nats(base: Base, model: Any, texts: Sequence[str]) -> float:
    return sum(score.nats for score in nll.score(base, texts, model=model))
