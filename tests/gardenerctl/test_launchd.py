"""The templates of the services: what launchd and systemd would read."""

from __future__ import annotations

import configparser
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

_FOLDER = Path(__file__).parents[2] / "launchd"
_PLIST = _FOLDER / "dev.gardener.gardenerd.plist"
_UNIT = _FOLDER / "gardenerd.service"

# What launchd.plist(5) knows of what is used here, with the type that it wants.
_TYPES: dict[str, type] = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "EnvironmentVariables": dict,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "Nice": int,
    "Umask": int,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
    "LimitLoadToSessionType": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}


def _filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


@pytest.fixture
def plist() -> dict[str, Any]:
    text = _filled(
        _PLIST.read_text(),
        PYTHON="/opt/gardener/bin/python",
        HOME=escape("/Users/a & b/<gardener>"),
        LOGS="/Users/a/Library/Logs/gardener",
    )
    assert "@" not in text
    return plistlib.loads(text.encode())


def test_plist_has_known_keys_of_the_right_types(plist: dict[str, Any]) -> None:
    assert plist.keys() == _TYPES.keys()
    assert {key: type(value) for key, value in plist.items()} == _TYPES


def test_plist_starts_the_daemon_in_its_home(plist: dict[str, Any]) -> None:
    assert plist["Label"] == _PLIST.stem
    assert plist["ProgramArguments"][1:] == ["-I", "-m", "gardenerd", "run", "--quiet"]
    assert plist["EnvironmentVariables"]["GARDENER_HOME"] == "/Users/a & b/<gardener>"
    for path in (
        plist["ProgramArguments"][0],
        plist["WorkingDirectory"],
        plist["StandardOutPath"],
        plist["StandardErrorPath"],
    ):
        assert Path(path).is_absolute()


def test_plist_avoids_what_is_known_to_hurt(plist: dict[str, Any]) -> None:
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert plist["ExitTimeOut"] > 5
    assert plist["ProcessType"] == "Standard"
    assert plist["Umask"] == 0o077
    assert plist["SoftResourceLimits"]["NumberOfFiles"] >= 4_096
    assert "AbandonProcessGroup" not in plist


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    filled = _filled(_UNIT.read_text(), PYTHON=sys.executable, HOME=str(tmp_path))
    assert "@" not in filled
    path = tmp_path / _UNIT.name
    path.write_text(filled)
    return path


def test_unit_stops_in_order_and_restarts_after_crashes_alone(unit: Path) -> None:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(unit)
    service = parsed["Service"]
    assert service["ExecStart"] == f"{sys.executable} -I -m gardenerd run --quiet"
    assert f"GARDENER_HOME={unit.parent}" in service["Environment"].split()
    assert service["Restart"] == "on-failure"
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 5
    assert service["UMask"] == "0077"
    assert int(service["LimitNOFILE"]) >= 4_096
    assert parsed["Install"]["WantedBy"] == "default.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_with_the_unit(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(unit.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # It returns 0 for an unknown key too: only what it says on stderr tells.
    about_it = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, about_it) == (0, [])
