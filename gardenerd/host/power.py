"""Where the power comes from, and whether heat slows the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gardenerd.host.command import output

_SUPPLIES = Path("/sys/class/power_supply")
_ZONES = Path("/sys/class/thermal")


@dataclass(frozen=True, slots=True)
class Power:
    on_battery: bool | None
    """None: not known."""
    percent: float | None = None
    """Of the battery; None where there is none."""


async def macos_power() -> Power:
    printed = await output("pmset", "-g", "batt")
    return Power(None) if printed is None else parse_pmset_batt(printed)


async def macos_hot() -> bool:
    printed = await output("pmset", "-g", "therm")
    return printed is not None and parse_pmset_therm(printed)


def parse_pmset_batt(printed: str) -> Power:
    """From ``pmset -g batt``."""
    source = re.search(r"drawing from '([^']+)'", printed)
    if source is None:
        return Power(None)
    percent = re.search(r"InternalBattery[^\n]*?(\d+)%", printed)
    # a UPS counts as a battery: the mains are off
    return Power(source[1] != "AC Power", float(percent[1]) if percent else None)


def parse_pmset_therm(printed: str) -> bool:
    """Whether ``pmset -g therm`` reports a limit of speed or a warning level."""
    limits = re.findall(r"CPU_(?:Speed|Scheduler)_Limit\s*=\s*(\d+)", printed)
    if any(int(limit) < 100 for limit in limits):
        return True
    levels = re.findall(r"(?:Thermal|Performance) Warning Level\s*(?:=|set to)\s*(\d+)", printed)
    return any(int(level) > 0 for level in levels)


def linux_power(supplies: Path = _SUPPLIES) -> Power:
    """From the kernel's power supplies. A desktop without a battery is on the mains."""
    mains: list[bool] = []
    discharging = False
    percent: float | None = None
    try:
        found = sorted(supplies.iterdir())
    except OSError:
        return Power(None)
    for supply in found:
        # a mouse's or a keyboard's battery says nothing about the machine's
        if _text(supply / "scope") == "Device":
            continue
        kind = _text(supply / "type")
        if kind in ("Mains", "USB"):
            mains.append(_text(supply / "online") == "1")
        elif kind in ("Battery", "UPS"):
            discharging = discharging or _text(supply / "status") == "Discharging"
            capacity = _text(supply / "capacity")
            percent = float(capacity) if capacity.isdigit() else percent
    if percent is None and not discharging:
        return Power(False)
    if any(mains):
        return Power(False, percent)
    return Power(discharging or bool(mains), percent)


def linux_hot(zones: Path = _ZONES) -> bool:
    """Whether a zone is within 5 K of the temperature at which the kernel begins to throttle."""
    for zone in zones.glob("thermal_zone*"):
        now = _text(zone / "temp")
        for kind in zone.glob("trip_point_*_type"):
            if _text(kind) != "passive":
                continue
            limit = _text(zone / kind.name.replace("_type", "_temp"))
            if _number(now) and _number(limit) and 0 < int(limit) <= int(now) + 5_000:
                return True
    return False


def _number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""  # a driver that does not offer this file, or the device left
