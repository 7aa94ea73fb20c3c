"""Counters of energy as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.host.energy import counters, joules


def package(folder: Path, name: str, used: str, most: int = 262_143_328_850) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "energy_uj").write_text(f"{used}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most}\n")


def test_packages_are_read_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "1000000")
    package(tmp_path, "intel-rapl:1", "5")
    package(tmp_path, "intel-rapl:0:0", "900000")
    package(tmp_path, "dtpm", "7")
    assert counters(tmp_path) == {
        "intel-rapl:0": (1_000_000, 262_143_328_850),
        "intel-rapl:1": (5, 262_143_328_850),
    }


@pytest.mark.parametrize("used", ["", "unknown"])
def test_what_cannot_be_read_is_unknown(tmp_path: Path, used: str) -> None:
    assert counters(tmp_path / "nowhere") == {}
    package(tmp_path, "intel-rapl:0", used)
    assert counters(tmp_path) == {}
    assert joules({}, {}) is None


def test_the_difference_counts_also_across_a_beginning_anew() -> None:
    before = {"a": (1_000_000, 10_000_000), "b": (9_000_000, 10_000_000)}
    after = {"a": (3_000_000, 10_000_000), "b": (500_000, 10_000_000)}
    assert joules(before, after) == 2.0 + 1.5
    assert joules(before, {"a": (3_000_000, 10_000_000)}) is None
