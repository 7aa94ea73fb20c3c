"""May we train now? One pure decision, with its reason in words."""

from __future__ import annotations

from dataclasses import dataclass

from gardenerd.core import hours
from gardenerd.settings import Loop

_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the decision looks at. ``None`` is unknown, and unknown never counts as permission."""

    minute: int
    """Of the local day, 0 to 1439."""
    now: float = 0.0
    """Seconds since the epoch."""
    idle_seconds: float | None = None
    """Since the user's last input."""
    activity: tuple[int, ...] = (0,) * 24
    """By hour of the day, in how many minutes of the last weeks the user did something."""
    active_days: int = 0
    """On how many days they did."""
    tending_since: float | None = None
    """When the first project came, in seconds since the epoch."""
    awake_in_window: float | None = None
    """When the machine was last awake within a window, in seconds since the epoch."""
    on_battery: bool | None = None
    hot: bool = False
    """The system slows itself down because of heat."""
    free_memory_mb: float | None = None
    busy: float = 0.0
    """Share of all processors that other programs use, 0 to 1."""
    new_examples: int = 0
    minimum: int | None = None
    """New examples needed; None takes the setting."""
    paused_until: float | None = None
    """Held by the user until then; infinite: until resumed."""
    running: bool = False
    """A run is under way."""
    user_started: bool = False
    """The user asked for this run: hours, idleness, battery and the count do not matter."""


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reason: str


# Above this share of the processors, somebody is using the machine, whatever the keyboard says.
_BUSY = 0.5
# Somebody whose last key was pressed less than this ago is at the machine, also at night.
_PRESENT_S = 60.0
# After a window that the machine slept through, being away for so long is enough.
_CATCH_UP_MINUTES = 5.0


def may_train(facts: Facts, settings: Loop) -> Verdict:
    """Whether a run may start, or one that is under way may go on. Never asks for more examples
    of a run that is under way."""
    return (
        _paused(facts)
        or (None if facts.running else _already_enough(facts, settings))
        or _machine(facts, settings)
        or _moment(facts, settings)
    )


def _paused(facts: Facts) -> Verdict | None:
    until = facts.paused_until
    if until is None or until <= facts.now:
        return None
    if until == float("inf"):
        return Verdict(False, "paused by you, until gardenerctl resume")
    return Verdict(False, f"paused by you for another {_span(until - facts.now)}")


def _already_enough(facts: Facts, settings: Loop) -> Verdict | None:
    minimum = settings.batch_size if facts.minimum is None else facts.minimum
    if facts.user_started or facts.new_examples >= minimum:
        return None
    missing = minimum - facts.new_examples
    plural = "" if missing == 1 else "s"
    return Verdict(
        False, f"waiting for {missing} more example{plural} ({facts.new_examples} of {minimum})"
    )


def _machine(facts: Facts, settings: Loop) -> Verdict | None:
    if facts.on_battery and not settings.on_battery and not facts.user_started:
        return Verdict(False, "on battery")
    if facts.hot:
        return Verdict(False, "the machine is too hot")
    free = facts.free_memory_mb
    # a run under way holds its own memory already
    if free is not None and free < settings.min_free_memory_mb and not facts.running:
        return Verdict(
            False,
            f"not enough free memory ({free:,.0f} MB of {settings.min_free_memory_mb:,} needed)",
        )
    return None


def _moment(facts: Facts, settings: Loop) -> Verdict:
    if facts.user_started:
        return Verdict(True, "started by you")
    window = hours.window(settings, facts.activity, facts.active_days)
    named = hours.words(settings, window, facts.active_days)
    inside = window is not None and in_window(facts.minute, window)
    missed = window is not None and not inside and _missed(facts, window)
    enough = settings.idle_minutes
    if missed:
        enough = min(enough or _CATCH_UP_MINUTES, _CATCH_UP_MINUTES)
    by_idleness = enough > 0
    away = by_idleness and facts.idle_seconds is not None and facts.idle_seconds >= enough * 60
    if inside and facts.idle_seconds is not None and facts.idle_seconds < _PRESENT_S:
        return Verdict(False, f"within {named}, but you are active")
    if inside and facts.busy > _BUSY:
        return Verdict(False, "other programs are busy")
    if inside:
        return Verdict(True, f"within {named}")
    if away and facts.busy > _BUSY:
        return Verdict(False, "you are away, but other programs are busy")
    if away:
        slept = f"{named} passed in sleep, and " if missed else ""
        return Verdict(True, f"{slept}you have been away for {_span(facts.idle_seconds or 0)}")
    if window is None and not by_idleness:
        return Verdict(False, "neither a window nor idle time is set: gardenerctl train starts one")
    outside = f"outside {named}" if window is not None else "no window is set"
    if not by_idleness:
        return Verdict(False, outside)
    if facts.idle_seconds is None:
        return Verdict(False, f"{outside}, and whether you are away is unknown here")
    if facts.idle_seconds < _PRESENT_S:
        return Verdict(False, f"{outside} and you are active")
    return Verdict(
        False,
        f"{outside} and you have been away for only {_span(facts.idle_seconds)} of {enough:g} min",
    )


def _missed(facts: Facts, window: tuple[int, int]) -> bool:
    """Whether the machine slept, or was off, all through the latest window."""
    start, end = window
    ended = facts.now - (facts.minute - end) % _DAY * 60
    began = ended - (end - start) % _DAY * 60
    tended = facts.tending_since is not None and facts.tending_since < began
    return tended and (facts.awake_in_window is None or facts.awake_in_window < began)


def in_window(minute: int, window: tuple[int, int]) -> bool:
    """Whether a minute of the day lies within ``window`` (start included, end not).

    Minutes are those that the clock on the wall shows, so a change to or from summer time lengthens
    or shortens the window by what the clock skips, and nothing else.
    """
    start, end = window
    return (minute - start) % _DAY < (end - start) % _DAY


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
