"""The daemon's own life: one in a home, clean ends, no orphans, small."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.live.garden import Garden, until

HEAVY = ("libtorch", "libarrow", "_lancedb", "libtokenizers", "_multiarray_umath")


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_one_daemon_in_a_home(shared: Garden) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "gardenerd", "run"],
        env=shared.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"pid {shared.pid}" in second.stderr
    assert shared.json("status")["daemon"]["pid"] == shared.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_ends_it_and_its_children_cleanly(
    garden: Garden, project: Path, number: signal.Signals
) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    garden.found("basket")
    family = garden.family()
    assert len(family) > 1
    garden.signal(number)
    assert garden.wait() == 0
    assert alive(family) == []
    assert garden.refusal("status", status=3)["code"] == "not_running"


def test_a_second_interrupt_ends_it_at_once(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    family = garden.family()
    # Frozen children cannot leave in an orderly way: the first interrupt has to wait for them.
    for child in family[1:]:
        child.suspend()
    garden.signal(signal.SIGINT)
    garden.signal(signal.SIGINT)
    assert garden.wait() in (0, 130)
    until(lambda: alive(family) == [], 10)


def test_after_a_kill_it_starts_again_and_no_child_is_left(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    family = garden.family()
    garden.kill()
    until(lambda: alive(family) == [], 10)
    assert garden.refusal("status", status=3)["code"] == "not_running"
    garden.start()
    assert garden.json("status")["projects"][0]["files"] == 5


def test_nothing_heavy_is_in_the_supervisor(shared: Garden, project: Path) -> None:
    shared.ctl("add", str(project))
    shared.settle()
    shared.found("basket")
    maps = Path(f"/proc/{shared.pid}/maps")
    loaded = maps.read_text() if maps.exists() else ""
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("kind", ["index", "search"])
def test_a_worker_that_is_killed_comes_back(shared: Garden, project: Path, kind: str) -> None:
    shared.ctl("add", str(project))
    shared.settle()
    shared.found("basket")
    worker = next(w for w in shared.json("ps")["workers"] if w["kind"] == kind)
    psutil.Process(worker["pid"]).kill()
    until(lambda: not psutil.pid_exists(worker["pid"]), 10)
    assert "shop/basket.py" in shared.found("basket total price")
    (project / "shop" / "basket.py").write_text("def weigh_the_basket(): ...\n")
    shared.settle()
    assert "shop/basket.py" in shared.found("weigh the basket")


def test_a_search_heals_an_index_that_was_damaged(shared: Garden, project: Path) -> None:
    shared.ctl("add", str(project))
    shared.settle()
    shared.found("basket")
    shared.ctl("unload")
    damaged = [file for file in (shared.home.index / "lance").rglob("*") if file.is_file()]
    for file in damaged:
        file.write_bytes(b"")
    assert damaged
    until(lambda: "shop/basket.py" in shared.found("basket total price"), 30)


def test_unload_and_keep_alive_end_the_workers(shared: Garden, project: Path) -> None:
    shared.ctl("add", str(project))
    shared.settle()
    shared.found("basket")
    assert "index" in shared.ctl("unload")
    assert shared.json("ps")["workers"] == []
    shared.stop()
    shared.configure('[index]\nkeep_alive = "1s"\n')
    shared.start()
    shared.found("basket")
    until(lambda: shared.json("ps")["workers"] == [], 30)


def test_start_stop_and_restart_in_the_background(home_folder: Path) -> None:
    garden = Garden(home_folder)
    garden.ctl("start")
    first = garden.json("status")["daemon"]["pid"]
    garden.ctl("start")
    assert garden.json("status")["daemon"]["pid"] == first
    garden.ctl("restart")
    second = garden.json("status")["daemon"]["pid"]
    assert second != first
    process = psutil.Process(second)
    garden.ctl("stop")
    until(lambda: alive([process]) == [], 5)
    assert garden.refusal("status", status=3)["code"] == "not_running"


def test_a_wrong_setting_is_named_and_nothing_starts(home_folder: Path) -> None:
    garden = Garden(home_folder)
    garden.configure("[train]\nrank = 0\ndropout = 1.0\nlearning_rate = 0.5\n")
    done = subprocess.run(
        [sys.executable, "-m", "gardenerd", "run"],
        env=garden.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    for name in ("rank", "dropout", "learning_rate"):
        assert f"train.{name}" in done.stderr
