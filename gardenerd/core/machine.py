"""The states of the learning loop: an event in, a new state and effects out, and nothing else.

    watching ─▶ collecting ─▶ preparing ─▶ training ⇄ paused ─▶ validating ─▶ watching
        └──────── a person's request ────────┘

One run at a time on a machine. A run that a person asked for is *attended*: it goes on while they
work; any other yields to its user at once. The shape (an event in, instructions out, no I/O, an
illegal move raises) is that of the worker state machine of dask.distributed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gardenerd.core.effects import (
    Abort,
    Announce,
    Effect,
    Freeze,
    Launch,
    Prepare,
    Suspend,
    Thaw,
)
from gardenerd.core.events import (
    Advanced,
    CancelRequested,
    Considered,
    Ended,
    Event,
    Held,
    HeldLong,
    Prepared,
    Recovered,
    Released,
    Requested,
    Suspended,
)

Phase = Literal["watching", "collecting", "preparing", "training", "paused", "validating"]
_RUNNING: frozenset[Phase] = frozenset(("training", "validating"))


class IllegalMove(Exception):
    """An event that cannot happen in this state: a defect of the caller, never of a user."""


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """The whole state of the loop."""

    phase: Phase = "watching"
    reason: str = "nothing new to learn from"
    """Why it is in this phase, in words a person understands."""
    run: str = ""
    project: str = ""
    attended: bool = False
    held: frozenset[str] = frozenset()
    """Who holds training back: ``person``, ``host``."""
    resume_to: Literal["training", "validating"] = "training"
    """What a paused run goes back to."""
    on_disk: bool = False
    """A paused run whose process has left; resuming starts it again from its checkpoint."""

    @property
    def busy(self) -> bool:
        return self.phase not in ("watching", "collecting")


Step = tuple[Loop, list[Effect]]


def step(loop: Loop, event: Event, *, new_run: str = "") -> Step:
    """The state and the effects that follow ``event``.

    Args:
        new_run: the name that a run takes if this event starts one.

    Raises:
        IllegalMove: the event names another run, or cannot happen now.
    """
    match event:
        case Considered():
            return _considered(loop, event, new_run)
        case Requested(project=project):
            return _requested(loop, project, new_run)
        case Recovered():
            return _recovered(loop, event)
        case Prepared(run=run):
            _expect(loop, run, "preparing")
            return _launched(loop)
        case Advanced(run=run, phase=phase):
            if loop.phase == "paused":  # said just before it was frozen
                return _set(loop, resume_to=phase), []
            _expect(loop, run, "training", "validating")
            return _announced(_set(loop, phase=phase, reason=_REASONS[phase]))
        case Held(by=by, reason=reason):
            return _held(loop, by, reason)
        case Released(by=by):
            return _released(loop, by)
        case HeldLong():
            if loop.phase != "paused" or loop.on_disk:
                return loop, []
            return loop, [Suspend()]
        case Suspended(run=run):
            return _suspended(loop, run)
        case CancelRequested():
            return loop, [Abort(run=loop.run)] if loop.busy else []
        case Ended(run=run, outcome=outcome, reason=reason):
            _expect(loop, run, "preparing", "training", "validating", "paused")
            ended = Loop(held=loop.held, reason=f"last run: {outcome} ({reason})")
            return _announced(ended)
        case _:
            raise IllegalMove(f"unknown event {event!r}")


_REASONS: dict[str, str] = {
    "preparing": "gathering examples",
    "training": "learning",
    "validating": "comparing the candidate with what serves",
}


def _considered(loop: Loop, event: Considered, new_run: str) -> Step:
    if loop.busy:
        return loop, []
    if event.allowed and not loop.held:
        return _begin(loop, event.project, new_run, attended=False)
    phase: Phase = "collecting" if event.new_examples else "watching"
    if (phase, event.reason) == (loop.phase, loop.reason):
        return loop, []
    return _announced(_set(loop, phase=phase, reason=event.reason))


def _requested(loop: Loop, project: str, new_run: str) -> Step:
    if not loop.busy:
        return _begin(loop, project, new_run, attended=True)
    if loop.project != project or loop.attended:
        raise IllegalMove(f"a run was requested while {loop.phase}")
    # The run that they ask for is under way by itself: it is theirs now and yields no more.
    adopted = _set(loop, attended=True)
    if loop.phase == "paused" and not _must_hold(adopted):
        return _resumed(adopted)
    return adopted, []


def _begin(loop: Loop, project: str, run: str, *, attended: bool) -> Step:
    if not run:
        raise IllegalMove("a run needs a name")
    begun = _set(
        loop,
        phase="preparing",
        reason=_REASONS["preparing"],
        run=run,
        project=project,
        attended=attended,
        resume_to="training",
        on_disk=False,
    )
    return begun, [Prepare(run=run, project=project, attended=attended), Announce()]


def _recovered(loop: Loop, event: Recovered) -> Step:
    if loop.busy:
        raise IllegalMove(f"a run was recovered while {loop.phase}")
    waiting = _set(
        loop,
        phase="paused",
        reason="resuming after a restart",
        run=event.run,
        project=event.project,
        attended=event.attended,
        on_disk=True,
    )
    if waiting.held:
        return _announced(waiting)
    return _resumed(waiting)


def _launched(loop: Loop) -> Step:
    """Inputs are frozen: start, unless someone holds training back."""
    if _must_hold(loop):
        held = _set(loop, phase="paused", on_disk=True, reason="paused before it started")
        return _announced(held)
    return _set(loop, phase="training", reason=_REASONS["training"]), [
        Launch(run=loop.run),
        Announce(),
    ]


def _held(loop: Loop, by: str, reason: str) -> Step:
    held = _set(loop, held=loop.held | {by})
    if loop.phase in _RUNNING and _must_hold(held):
        resume_to = "validating" if loop.phase == "validating" else "training"
        paused = _set(held, phase="paused", reason=reason, resume_to=resume_to)
        return paused, [Freeze(), Announce()]
    return held, []


def _released(loop: Loop, by: str) -> Step:
    released = _set(loop, held=loop.held - {by})
    if loop.phase == "paused" and not _must_hold(released):
        return _resumed(released)
    return released, []


def _resumed(loop: Loop) -> Step:
    phase: Phase = "training" if loop.on_disk else loop.resume_to
    going = _set(loop, phase=phase, reason=_REASONS[phase], on_disk=False)
    how: Effect = Launch(run=loop.run) if loop.on_disk else Thaw()
    return going, [how, Announce()]


def _suspended(loop: Loop, run: str) -> Step:
    _expect(loop, run, "paused", "training", "validating")
    waiting = _set(loop, phase="paused", on_disk=True)
    # Released while it was still saving: it goes on at once, from the checkpoint.
    if not _must_hold(waiting):
        return _resumed(waiting)
    return _announced(waiting)


def _must_hold(loop: Loop) -> bool:
    return "person" in loop.held or ("host" in loop.held and not loop.attended)


def _expect(loop: Loop, run: str, *phases: Phase) -> None:
    if loop.phase not in phases or loop.run != run:
        raise IllegalMove(f"run {run!r} cannot do this while {loop.phase} with {loop.run!r}")


def _set(loop: Loop, **changes: object) -> Loop:
    return msgspec.structs.replace(loop, **changes)


def _announced(loop: Loop) -> Step:
    return loop, [Announce()]
