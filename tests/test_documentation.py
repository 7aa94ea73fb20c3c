"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from gardenerd.settings import Settings

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_verbs_are_those_of_the_command_line() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "gardenerctl", "--help"], capture_output=True, text=True, check=True
    ).stdout
    verbs = set(re.findall(r"^    ([a-z]+) ", printed, re.MULTILINE))
    assert len(verbs) > 20
    section = README.split("## Commands", 1)[1].split("\n## ", 1)[0]
    told = set(re.findall(r"`([a-z]+)[ `]", section))
    assert verbs - told == set()


def test_the_settings_are_the_real_ones_with_their_defaults() -> None:
    section = README.split("## Settings", 1)[1].split("\n## ", 1)[0]
    told = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| `([^`]*)` \|", section, re.MULTILINE))
    real = {
        f"{part}.{name}": value
        for part, values in msgspec.to_builtins(Settings()).items()
        for name, value in values.items()
        if not (part == "train" and value is None)
    }
    assert told == {name: msgspec.json.encode(value).decode() for name, value in real.items()}


def test_the_two_commands_are_there() -> None:
    assert "make try" in README
    assert "make test" in README
