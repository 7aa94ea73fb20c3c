"""What macOS and Linux print, as recorded, and what we make of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gardenerd.host import Linux, MacOS, idle, power, this_host
from gardenerd.host.power import Power

# ioreg -c IOHIDSystem -d 4 -r, shortened to the lines around the one that counts
IOREG = """
+-o IOHIDSystem  <class IOHIDSystem, id 0x100000f0c, registered, matched, active, busy 0 (0 ms)>
    {
      "IOClass" = "IOHIDSystem"
      "HIDIdleTime" = 4210583333
      "HIDScrollCountMaxTimeDeltaBetween" = 600
    }
"""
ON_MAINS = """Now drawing from 'AC Power'
 -InternalBattery-0 (id=22151267)\t84%; AC attached; not charging present: true
"""
ON_BATTERY = """Now drawing from 'Battery Power'
 -InternalBattery-0 (id=22151267)\t61%; discharging; 5:42 remaining present: true
"""
DESKTOP = "Now drawing from 'AC Power'\n"
COOL = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded
"""
THROTTLED = """2026-07-01 14:03:11 +0200 CPU Power notify
\tCPU_Scheduler_Limit \t= 100
\tCPU_Available_CPUs \t= 10
\tCPU_Speed_Limit \t= 72
"""


def test_idle_time_of_a_mac() -> None:
    assert idle.parse_ioreg(IOREG) == pytest.approx(4.210583333)
    assert idle.parse_ioreg("") is None


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (ON_MAINS, Power(False, 84.0)),
        (ON_BATTERY, Power(True, 61.0)),
        (DESKTOP, Power(False, None)),
        ("nonsense", Power(None)),
    ],
)
def test_power_of_a_mac(printed: str, expected: Power) -> None:
    assert power.parse_pmset_batt(printed) == expected


def test_heat_of_a_mac() -> None:
    assert not power.parse_pmset_therm(COOL)
    assert power.parse_pmset_therm(THROTTLED)


@pytest.mark.parametrize(
    ("printed", "seconds"),
    [
        ("Sessions=2\nIdleHint=no\nIdleSinceHint=0\n", 0.0),
        ("Sessions=2\nIdleHint=yes\nIdleSinceHint=1000000000\n", 500.0),
        ("Sessions=\nIdleHint=yes\nIdleSinceHint=0\n", None),
        ("", None),
    ],
)
def test_idle_time_by_logind(printed: str, seconds: float | None) -> None:
    assert idle.parse_logind(printed, 1_500.0) == seconds


def supply(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(text + "\n")


def test_power_of_linux(tmp_path: Path) -> None:
    assert power.linux_power(tmp_path) == Power(False)
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", capacity="55")
    supply(tmp_path, "AC", type="Mains", online="0")
    assert power.linux_power(tmp_path) == Power(True, 55.0)
    (tmp_path / "AC" / "online").write_text("1\n")
    assert power.linux_power(tmp_path) == Power(False, 55.0)
    assert power.linux_power(tmp_path / "none") == Power(None)


def test_a_mouse_on_battery_is_not_the_machine(tmp_path: Path) -> None:
    supply(tmp_path, "mouse", type="Battery", status="Discharging", capacity="9", scope="Device")
    assert power.linux_power(tmp_path) == Power(False)


def test_heat_of_linux(tmp_path: Path) -> None:
    supply(
        tmp_path, "thermal_zone0",
        temp="60000", trip_point_0_type="passive", trip_point_0_temp="95000",
    )  # fmt: skip
    assert not power.linux_hot(tmp_path)
    (tmp_path / "thermal_zone0" / "temp").write_text("91000")
    assert power.linux_hot(tmp_path)


def test_a_terminal_knows_when_it_was_typed_on(tmp_path: Path) -> None:
    terminal = tmp_path / "0"
    terminal.touch()
    os.utime(terminal, (0, 0))
    age = idle.terminal_age([terminal, tmp_path / "closed"], os.getuid())
    assert age is not None
    assert age > 1e9
    assert idle.terminal_age([terminal], os.getuid() + 1) is None


def test_this_machine_answers() -> None:
    import asyncio

    host = this_host()
    assert isinstance(host, Linux | MacOS)

    async def look() -> tuple[float | None, Power, bool]:
        return await host.idle_seconds(), await host.power(), await host.hot()

    seconds, _, hot = asyncio.run(look())
    assert seconds is None or seconds >= 0
    assert isinstance(hot, bool)
