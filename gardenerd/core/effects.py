"""What the learning loop wants done. The daemon carries it out and reports back by events."""

from __future__ import annotations

import msgspec


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Prepare(Effect, frozen=True, kw_only=True):
    """Gather examples, compose the set and freeze it as run ``run``."""

    run: str
    project: str
    attended: bool


class Launch(Effect, frozen=True, kw_only=True):
    """Start the training process on ``run``, or let it resume from its checkpoint."""

    run: str


class Freeze(Effect, frozen=True, kw_only=True):
    """Stop the training process where it stands."""


class Thaw(Effect, frozen=True, kw_only=True):
    """Let the frozen training process go on."""


class Suspend(Effect, frozen=True, kw_only=True):
    """Have the training process save a checkpoint and leave."""


class Abort(Effect, frozen=True, kw_only=True):
    """End the work on ``run`` and drop it."""

    run: str


class Announce(Effect, frozen=True, kw_only=True):
    """Tell whoever follows that the state changed."""
