"""The parser process: a whole answer, whatever happens to it while it writes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from gardenerd.index.parsing import Piece, Rows, receive, send


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_process_that_is_frozen_while_it_writes_loses_nothing(
    tmp_path: Path, unbuffered: str
) -> None:
    names = [f"module_{number}.py" for number in range(60)]
    for name in names:  # more than a pipe holds, so that it stands in the midst of writing
        (tmp_path / name).write_text("def total(prices):\n    return sum(prices)\n\n\n" * 100)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gardenerd.index.parsing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONUNBUFFERED": unbuffered},
    )
    with process:
        source, target = process.stdin, process.stdout
        assert source is not None
        assert target is not None
        send(source, msgspec.msgpack.encode(Piece(str(tmp_path), names, 1_000_000)))
        _until_it_waits(process.pid)
        process.send_signal(signal.SIGSTOP)
        _until(process.pid, psutil.STATUS_STOPPED)
        process.send_signal(signal.SIGCONT)
        data = receive(target)
        assert data is not None
        rows = msgspec.msgpack.decode(data, type=Rows)
        assert [result.path for result in rows.results] == names
        assert len(rows.columns["text"]) == sum(result.chunks for result in rows.results)
        source.close()
        assert process.wait(20) == 0


def _until(pid: int, status: str) -> None:
    while psutil.Process(pid).status() != status:
        time.sleep(0.002)


def _until_it_waits(pid: int) -> None:
    """Until it used some processor time, and then none for a while: the pipe is full."""
    process, since, before = psutil.Process(pid), time.monotonic(), 0.0
    while time.monotonic() - since < 0.3 or not before:
        now = sum(process.cpu_times()[:2])
        if now != before or process.status() != psutil.STATUS_SLEEPING:
            since, before = time.monotonic(), now
        time.sleep(0.01)
