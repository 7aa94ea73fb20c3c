"""The daemon as a process: start, stop, restart, run, unload, version."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from gardenerctl.console import Console
from gardenerd import __version__
from gardenerd.errors import DaemonNotRunningError, TimedOutError, WorkerError
from gardenerd.paths import Home, find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Hello, Shutdown, Unload

# A daemon answers within half a second; a cold disk or a busy machine may need much longer.
_START_S = 15.0
# An ordered shutdown takes up to 5 s, then SIGTERM and SIGKILL follow.
_STOP_S = 10.0
_POLL_S = 0.05


def start(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    hello, started = launch(find_home())
    pid = hello.get("pid")
    if console.as_json:
        console.document({**hello, "started": started})
    elif started:
        console.line(f"gardenerd {hello.get('version', '')} started, process {pid}")
    else:
        console.line(f"gardenerd is running already, process {pid}")
    _mention_skew(hello, console)
    return 0


def stop(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    stopped = halt(find_home())
    message = "gardenerd stopped" if stopped else "gardenerd was not running"
    if console.as_json:
        console.document({"stopped": stopped, "message": message})
    else:
        console.line(message)
    return 0


def restart(arguments: argparse.Namespace, console: Console) -> int:
    halt(find_home())
    return start(arguments, console)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Become the daemon. ``-P`` keeps the modules of the folder one stands in out of it."""
    del arguments, console
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gardenerd", "run"])


def unload(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    with Client(find_home()) as client:
        body = client.call(Unload())
    if console.as_json:
        console.document(body)
    else:
        console.line(body.get("message", "unloaded"))
    return 0


def version(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    hello = _hello(find_home()) or {}
    daemon = hello.get("version")
    if console.as_json:
        console.document({"version": __version__, "daemon": daemon})
    else:
        console.line(f"gardenerctl {__version__}")
        console.line(f"gardenerd {daemon}" if daemon else "gardenerd is not running")
    _mention_skew(hello, console)
    return 0


def launch(home: Home) -> tuple[dict[str, Any], bool]:
    """See to it that a daemon serves ``home``; its ``hello``, and whether this call started it.

    Raises:
        WorkerError: it ended at once, or did not answer in time; the message has its last words.
    """
    hello = _hello(home)
    if hello is not None:
        return hello, False
    home.create()
    began = time.time()
    with _output(home).open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "gardenerd", "run", "--quiet"],
            cwd=home.root,
            env={**os.environ, "GARDENER_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Reaps it, should it end before this process does.
    threading.Thread(target=child.wait, daemon=True).start()
    try:
        return _greet(home, child, began)
    except BaseException:
        # Also when interrupted: nothing half started stays behind.
        child.terminate()
        raise


def halt(home: Home) -> bool:
    """Stop the daemon of ``home`` and wait until it is gone; whether there was one.

    Raises:
        TimedOutError: it is still there, even after SIGTERM.
    """
    if not _locked(home):
        return False
    pid = _pid_in(home.lock)
    try:
        with Client(home) as client:
            client.call(Shutdown(), timeout_s=3)
    except (DaemonNotRunningError, TimedOutError):
        _signal(pid, signal.SIGTERM)  # it holds the lock and does not answer
    if _freed(home):
        return True
    _signal(pid, signal.SIGTERM)
    if _freed(home):
        return True
    raise TimedOutError(
        f"gardenerd did not stop within {2 * _STOP_S:.0f} s",
        hint=f"kill -9 {pid}" if pid else "see `gardenerctl logs`",
    )


def _greet(home: Home, child: subprocess.Popen[bytes], began: float) -> tuple[dict[str, Any], bool]:
    """Wait until a daemon answers: ``child``, or the one of another start that won the lock."""
    deadline = time.monotonic() + _START_S
    hint = "`gardenerctl run` shows it in the foreground"
    while time.monotonic() < deadline:
        ended = child.poll()
        hello = _hello(home)
        if hello is not None:
            return hello, hello.get("pid") == child.pid
        if ended is not None:
            words = _last_words(home, began)
            raise WorkerError(f"gardenerd ended at once with status {ended}: {words}", hint=hint)
        time.sleep(_POLL_S)
    words = _last_words(home, began)
    raise WorkerError(f"gardenerd did not answer within {_START_S:.0f} s: {words}", hint=hint)


def _hello(home: Home) -> dict[str, Any] | None:
    """What the daemon of ``home`` says of itself, and its process; None when nobody answers."""
    try:
        with Client(home) as client:
            found = client.call(Hello(), timeout_s=2)
            # Read afterwards: before, the lock may still name a daemon that was killed.
            return {**found, "pid": _pid_in(home.lock)}
    except (DaemonNotRunningError, TimedOutError):
        return None


def _locked(home: Home) -> bool:
    """Whether a daemon holds the lock; a shared try never takes it away from one."""
    try:
        with home.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _freed(home: Home) -> bool:
    deadline = time.monotonic() + _STOP_S
    while _locked(home):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _pid_in(lock: Path) -> int | None:
    """The process that the lock names, 0 and 1 excluded: those must never get a signal."""
    try:
        text = lock.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdigit() and int(text) > 1 else None


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is None:
        return
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended between the look and the signal, as wished


def _output(home: Home) -> Path:
    """What the daemon prints before its log is set up, of the last start alone."""
    return home.logs / "gardenerd.out"


def _last_words(home: Home, began: float) -> str:
    """The last error of the log since ``began``, else the end of what the process printed."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(began))
    try:
        lines = home.log_file.read_bytes().splitlines()[-200:]
    except OSError:
        lines = []
    for line in reversed(lines):
        try:
            entry = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if entry.get("level") in ("error", "critical") and str(entry.get("time", "")) >= stamp:
            traceback = str(entry.get("traceback", "")).strip().splitlines()
            return ": ".join([str(entry.get("event", "")), *traceback[-1:]])
    printed = _output(home).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    errors = [line for line in printed if line.startswith("error: ")]
    return (errors or printed or ["it said nothing"])[-1].removeprefix("error: ")


def _mention_skew(hello: dict[str, Any], console: Console) -> None:
    daemon = hello.get("version")
    if daemon and daemon != __version__:
        console.note(
            f"note: gardenerd {daemon} is running and this is {__version__}: gardenerctl restart"
        )
