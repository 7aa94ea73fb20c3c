"""How long the user has been away."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from gardenerd.host.command import output


async def macos() -> float | None:
    """Seconds since the last input, from the HID system."""
    printed = await output("ioreg", "-c", "IOHIDSystem", "-d", "4", "-r")
    return None if printed is None else parse_ioreg(printed)


async def linux() -> float | None:
    """Seconds since the last input: the least of what logind and the terminals say.

    logind knows graphical sessions, whose idle hint the desktop sets; the access times of
    terminals know typing over ssh and on consoles.
    """
    uid = os.getuid()
    ages = [terminal_age(Path("/dev/pts").glob("[0-9]*"), uid), await _logind(uid)]
    known = [age for age in ages if age is not None]
    return min(known) if known else None


async def _logind(uid: int) -> float | None:
    printed = await output(
        "loginctl", "show-user", str(uid), "-p", "IdleHint", "-p", "IdleSinceHint", "-p", "Sessions"
    )
    return None if printed is None else parse_logind(printed, time.time())


def parse_ioreg(printed: str) -> float | None:
    """Seconds from ``"HIDIdleTime" = <nanoseconds>``; the least, where there are several."""
    found = re.findall(r'"HIDIdleTime"\s*=\s*(\d+)', printed)
    return min(int(nanoseconds) for nanoseconds in found) / 1e9 if found else None


def parse_logind(printed: str, now: float) -> float | None:
    """Seconds from ``loginctl show-user``; None where no session would tell.

    Args:
        printed: ``key=value`` lines.
        now: seconds since the epoch; ``IdleSinceHint`` is in microseconds of it.
    """
    values = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    if not values.get("Sessions", "").strip() or "IdleHint" not in values:
        return None
    if values["IdleHint"] != "yes":
        return 0.0
    since = values.get("IdleSinceHint", "")
    return max(0.0, now - int(since) / 1e6) if since.isdigit() and int(since) else None


def terminal_age(terminals: Iterable[Path], uid: int) -> float | None:
    """Seconds since the last key on any of the user's ``terminals``; None if there is none.

    The kernel sets a terminal's access time when input is read (to 8 s, against spying).
    """
    latest: float | None = None
    for terminal in terminals:
        try:
            status = terminal.stat()
        except OSError:
            continue  # closed meanwhile
        if status.st_uid == uid:
            latest = status.st_atime if latest is None else max(latest, status.st_atime)
    return None if latest is None else max(0.0, time.time() - latest)
