"""The tour: what it picks from the code, and that it leaves nothing behind."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gardenerctl.tour.material import (
    copy_source,
    cut,
    file_to_edit,
    gap_in,
    question_about,
)
from gardenerctl.tour.stage import Stage
from gardenerd.errors import DaemonNotRunningError, RefusedError
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Hello
from tests.gardenerctl.serving import gardenerctl

_CODE = '''\
"""A shop."""


def total_of_prices(prices):
    """What all of them cost."""
    total = 0
    for price in prices:
        total += price
    return total


def one_liner(): return 1
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("[core]\n")
    (folder / "pkg").mkdir()
    (folder / "pkg" / "shop.py").write_text(_CODE)
    (folder / "link.py").symlink_to(folder / "pkg" / "shop.py")
    (folder / "large.py").write_bytes(b"x = 1\n" * 200_000)
    return folder


def test_copy_takes_what_an_index_wants(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert copy_source(source, target) == 1
    found = [path.relative_to(target) for path in target.rglob("*") if path.is_file()]
    assert found == [Path("pkg/shop.py")]


def test_copy_refuses_what_is_no_folder_or_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("none", "file", "empty"):
        with pytest.raises(RefusedError):
            copy_source(tmp_path / name, tmp_path / "copy")


def test_question_and_edit_come_from_the_code(source: Path) -> None:
    assert question_about(source) == "how does total_of_prices work?"
    chosen = file_to_edit(source / "pkg")
    assert chosen is not None
    path, addition = chosen
    assert path.name == "shop.py"
    ast.parse(_CODE + addition)


def test_gap_is_a_body_and_its_truth(source: Path) -> None:
    gap = gap_in(source, ["pkg/shop.py"])
    assert gap is not None
    assert (gap.symbol, gap.first, gap.last) == ("total_of_prices", 6, 9)
    assert gap.truth.splitlines()[0] == "    total = 0"
    cut(source, gap)
    lines = (source / "pkg" / "shop.py").read_text().splitlines()
    assert lines[gap.first - 1] == "    "
    assert "total += price" not in "\n".join(lines)
    assert lines[-1] == "def one_liner(): return 1"


def test_gap_in_a_language_with_braces(tmp_path: Path) -> None:
    text = "package a\n\nfunc addAll(xs []int) int {\n\ts := 0\n\ts += xs[0]\n\treturn s\n}\n"
    (tmp_path / "a.go").write_text(text)
    gap = gap_in(tmp_path, ["a.go"])
    assert gap is not None
    assert (gap.symbol, gap.first, gap.last, gap.indent) == ("addAll", 4, 6, "\t")


def test_stage_leaves_nothing_behind_after_a_failure(source: Path) -> None:
    stage = Stage(source, keep=False)
    with pytest.raises(RuntimeError), stage:
        stage.copy()
        assert stage.start().call(Hello())["protocol"] == 1
        raise RuntimeError
    assert not stage.folder.exists()
    with Client(stage.home) as client, pytest.raises(DaemonNotRunningError):
        client.call(Hello())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_try_of_a_path_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    done = gardenerctl(
        tmp_path / "home", "try", str(tmp_path / "none"), "--json", TMPDIR=str(tmp_path)
    )
    assert done.returncode == 1
    assert json.loads(done.stderr)["code"] == "refused"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_try_leaves_nothing(source: Path, number: signal.Signals) -> None:
    # Not under tmp_path: that is too long for a socket, and the fallback is not what is tested.
    with tempfile.TemporaryDirectory(prefix="gt-") as temporary:
        trying = subprocess.Popen(
            [sys.executable, "-m", "gardenerctl", "try", str(source)],
            env={**os.environ, "TMPDIR": temporary},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert trying.stdout is not None
        try:
            for line in trying.stdout:
                if line.startswith("gardenerd "):
                    break
            pid = int(line.split("process ")[1].split(",")[0])
            trying.send_signal(number)
            trying.stdout.read()
            assert trying.wait(60) == 130
        finally:
            trying.kill()
            trying.wait()
            trying.stdout.close()
        assert list(Path(temporary).iterdir()) == []
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
