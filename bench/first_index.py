"""How long a first index takes, against parsing the same files with tree-sitter on one core.

    python -m bench.first_index [FOLDER]

Both in the same run, on the source of the standard library by default. The index is built by the
real worker process, from the job to its answer, the worker being ready; the parse is the bare one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import zmq

from gardenerd.index.languages import parser_for
from gardenerd.workers.frames import Answer, Assign, Failed, FromChild, Ready
from gardenerd.workers.jobs import Hits, Indexed, IndexFiles, Job, SearchIndex

LIMIT = 2.0
"""At most this many times the bare parse."""

_TIMEOUT_MS = 120_000


class WorkerProcess:
    """The index worker as a process, driven by raw frames."""

    def __init__(self, socket: zmq.Socket[bytes], process: subprocess.Popen[bytes]) -> None:
        self._socket = socket
        self._process = process
        self._identity, frame = self._receive()
        if not isinstance(frame, Ready):
            raise RuntimeError(f"the worker said {frame}")

    def ask(self, job: Job, answer: type[msgspec.Struct]) -> Any:
        """Do one job; returns its answer, updates left aside."""
        number = uuid.uuid4().hex
        assign = Assign(id=number, job=msgspec.Raw(msgspec.json.encode(job)))
        self._socket.send_multipart([self._identity, msgspec.json.encode(assign)])
        while True:
            _, frame = self._receive()
            if isinstance(frame, Answer) and frame.id == number:
                return msgspec.json.decode(frame.body, type=answer)
            if isinstance(frame, Failed):
                raise RuntimeError(frame.message)

    def peak_rss(self) -> int:
        """Largest resident memory so far, in bytes, of the worker alone."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        return psutil.Process(self._process.pid).memory_info().rss

    def cpu_seconds(self) -> float:
        """Processor time so far, of the worker and of its children that have ended."""
        return sum(psutil.Process(self._process.pid).cpu_times()[:4])

    def _receive(self) -> tuple[bytes, Any]:
        if not self._socket.poll(_TIMEOUT_MS):
            raise RuntimeError("the worker does not answer")
        identity, data = self._socket.recv_multipart()
        return identity, msgspec.json.decode(data, type=FromChild)


@contextlib.contextmanager
def worker(home: Path) -> Generator[WorkerProcess]:
    """A worker with a home of its own, ended at the end."""
    (home / "index").mkdir(parents=True, exist_ok=True)
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    endpoint = f"ipc://{home}/w.sock"
    socket.bind(endpoint)
    process = subprocess.Popen(
        [sys.executable, "-m", "gardenerd.workers.indexer", endpoint, str(home / "worker.log")],
        stdin=subprocess.PIPE,
        env={**os.environ, "GARDENER_HOME": str(home)},
    )
    try:
        yield WorkerProcess(socket, process)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        socket.close()
        context.term()


def sources(root: Path) -> list[str]:
    """The Python files under ``root``, site-packages left out, relative."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "site-packages" not in path.parts and path.stat().st_size <= 1_000_000
    )


def measure(root: Path | None = None) -> dict[str, Any]:
    """Seconds of both, their ratio, and what was indexed."""
    root = root or Path(sysconfig.get_paths()["stdlib"])
    paths = sources(root)
    data = [(root / path).read_bytes() for path in paths]
    parser = parser_for("python")
    started, before = time.perf_counter(), time.process_time()
    for source in data:
        parser.parse(source)
    parse_s, parse_cpu = time.perf_counter() - started, time.process_time() - before
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Path(folder)
        with worker(home) as process:
            job = IndexFiles(project="bench", root=str(root), paths=paths)
            process.ask(SearchIndex(query="ready"), Hits)  # its imports are done
            started, before = time.perf_counter(), process.cpu_seconds()
            process.ask(job, Indexed)
            index_s, index_cpu = time.perf_counter() - started, process.cpu_seconds() - before
            peak = process.peak_rss()
    return {
        "files": len(paths),
        "megabytes": round(sum(map(len, data)) / 1e6, 1),
        "parse_s": round(parse_s, 2),
        "index_s": round(index_s, 2),
        "ratio": round(index_s / parse_s, 2),
        "limit": LIMIT,
        "within": index_s / parse_s <= LIMIT,
        # On a machine with other work the wall clock says little; this is what is spent.
        "parse_cpu_s": round(parse_cpu, 2),
        "index_cpu_s": round(index_cpu, 2),
        "peak_rss_mb": round(peak / 1e6),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None), indent=2))
