"""Jobs and answers of a training run; see `gardenerd.workers.jobs`."""

from __future__ import annotations

from typing import Literal

import msgspec

from gardenerd.workers.jobs import AdapterRef, Job


class Hyperparameters(msgspec.Struct, kw_only=True, frozen=True):
    """All decided: the user's, else the base model's, else the general defaults."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    learning_rate: float = 2e-4
    target_modules: str | tuple[str, ...] = "all-linear"
    batch_tokens: int = 8_192
    max_length: int = 1_024
    steps: int | None = None
    """None: two passes over the set."""
    warmup_steps: int = 5
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    fim_rate: float = 0.5
    seed: int = 0
    hold: float = 4.0
    """How much a nat of distance from the base weighs on anchors, beside one of a token's cost."""
    minutes: float = 30.0
    anew: bool = False
    """The parent's weights are not taken over: it is only what the candidate succeeds."""


class Example(msgspec.Struct, kw_only=True, frozen=True):
    """One piece of the training set, a line of ``train.jsonl`` in the run folder."""

    id: str
    path: str
    kind: str
    """``function``, ``class``, ``section``, ..., ``commit``, or ``answer`` for feedback."""
    language: str
    text: str
    weight: float = 1.0


SEEN = "seen.json"
"""In the run folder: of the examples that the run's steps came to, by id, what a token of it cost
in nats when it was last come to, before it was learned from; null if that is not known any more."""


class TrainAdapter(Job, kw_only=True, frozen=True):
    """Train and evaluate in ``folder``, the run's own.

    Read there: ``train.jsonl`` (:class:`Example`), ``heldout.jsonl`` (:class:`HeldOutText`),
    ``fresh.jsonl`` (:class:`FreshText`).
    Written there: ``metrics.jsonl``, :data:`SEEN`, ``checkpoint/``, ``candidate/`` (a peft adapter
    and its card), ``report.json`` (:class:`RunReport`). Updates are :class:`TrainProgress`.
    """

    run: str
    project: str
    folder: str
    base: str
    """A model folder."""
    incumbent: AdapterRef | None
    """What serves now: the candidate is compared with it."""
    parent: AdapterRef | None
    """What training continues from, the challenger if there is one; None starts from the base."""
    previous: AdapterRef | None = None
    """What served before the incumbent, while that is on probation; None: the base, or nothing."""
    on_probation: bool = False
    judged_after: bool = False
    """The fresh code is left out of training and scored under the candidate: the first night."""
    hyperparameters: Hyperparameters
    mlflow: str = ""
    """Where to track the run; empty: nowhere."""


class TrainProgress(msgspec.Struct, kw_only=True, frozen=True):
    phase: Literal["preparing", "training", "validating"]
    percent: float
    """Of the whole run, 0 to 100."""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    """Mean loss of the last steps, in nats a token."""
    tokens_per_second: float = 0.0
    """Real tokens: no padding."""
    seconds_left: float | None = None


class PairedScore(msgspec.Struct, kw_only=True, frozen=True):
    """One held-out file under the three models, in bits per byte on the same tokens."""

    path: str
    slice: Literal["recent", "older", "general"]
    bytes: int
    base: float
    incumbent: float
    candidate: float


class FreshScore(msgspec.Struct, kw_only=True, frozen=True):
    """One day's fresh code, in bits per byte, before any of these trained on it."""

    day: str
    bytes: int
    base: float
    incumbent: float
    challenger: float
    """Of the challenger as it was before this run; on the first night, of the candidate."""
    previous: float | None = None
    """Of what served before the incumbent, while that is on probation."""


class RunReport(msgspec.Struct, kw_only=True, frozen=True):
    """What a training run hands over; the daemon's gate decides on it."""

    scores: list[PairedScore]
    finite: bool
    """No loss, gradient or logit was NaN or infinite."""
    trained_parameters: int
    planned_parameters: int
    base_unchanged: bool
    """The base's weights have the same digest after training as before."""
    steps: int
    tokens: int
    examples: int
    dropped: dict[str, int]
    """Examples left out, by reason (near held-out code, too short, ...)."""
    loss_first: float
    loss_last: float
    tokens_per_second: float
    seconds: dict[str, float]
    """Wall-clock seconds by phase."""
    peak_rss_bytes: int = 0
    expected_rss_bytes: int = 0
    """What it was expected to take, by the base's shape and the settings."""
    fresh: list[FreshScore] = []
    strength: float = 1.0
    """Of what was trained, to how much the candidate was lowered to keep general code."""
    base_variety: float = 1.0
    """How little the base repeats itself when it writes on: 1 never, 0 always."""
    variety: float = 1.0
    """... and the candidate."""
    incumbent_variety: float = 1.0
    """... and what serves: its weights are as they were, but not what they run on."""
    distance: float = 0.0
    """KL(base || candidate) on general code, in nats a token."""
    seen: int = 0
    """Examples, anchors aside, that its steps came to; the time may have ended before the rest."""
    filling: list[tuple[float, float]] = []
    """By place to fill in, what the right middle costs under base and candidate, nats a token."""
    adapter_bytes: int | None = None
    """Of the candidate's weights; None if it was not measured."""
    load_seconds: float = 0.0
    """To put the candidate on a base in memory."""


TrainJob = TrainAdapter
