"""What can happen to the learning loop. Facts only: deciding what follows is the machine's."""

from __future__ import annotations

from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Considered(Event, frozen=True, kw_only=True):
    """The pace was asked for the project that waits the longest; ``reason`` is its verdict."""

    allowed: bool
    reason: str
    project: str = ""
    new_examples: int = 0


class Requested(Event, frozen=True, kw_only=True):
    """A person asked for a run of ``project`` now; one that began by itself becomes theirs."""

    project: str


class Prepared(Event, frozen=True, kw_only=True):
    """The inputs of ``run`` are frozen in its folder."""

    run: str


class Advanced(Event, frozen=True, kw_only=True):
    """The training process entered a phase."""

    run: str
    phase: Literal["training", "validating"]


class Held(Event, frozen=True, kw_only=True):
    """``by``: the person, with a command; or the host, because its user came back."""

    by: Literal["person", "host"]
    reason: str


class Released(Event, frozen=True, kw_only=True):
    by: Literal["person", "host"]


class HeldLong(Event, frozen=True, kw_only=True):
    """The run has been frozen for so long that its memory is worth more than its warmth."""


class Suspended(Event, frozen=True, kw_only=True):
    """The training process saved its work and left."""

    run: str


class CancelRequested(Event, frozen=True, kw_only=True):
    pass


class Ended(Event, frozen=True, kw_only=True):
    """The run is over, whatever came of it; its outcome is recorded already."""

    run: str
    outcome: str
    reason: str


class Recovered(Event, frozen=True, kw_only=True):
    """At start: the daemon's last life left ``run`` unfinished, with frozen inputs."""

    run: str
    project: str
    attended: bool
