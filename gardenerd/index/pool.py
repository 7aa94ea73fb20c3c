"""Parser processes for a large batch: started for it, gone after it."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator

import msgspec

from gardenerd.errors import WorkerError
from gardenerd.index.parsing import Piece, Rows, parse_piece, receive, send

# Starting a process costs as much as parsing this many files here.
_MIN_FILES = 100
_MAX_PROCESSES = 4
# Results waiting to be written; bounds the memory of a large batch.
_AHEAD = 8

_rows = msgspec.msgpack.Decoder(Rows)


def parse_pieces(pieces: Iterable[Piece], files: int) -> Iterator[Rows]:
    """The rows of each piece, in any order; by other processes when ``files`` are many.

    Closing the iterator ends the processes, as does the end of this process.
    """
    if files < _MIN_FILES:
        return (parse_piece(piece) for piece in pieces)
    return _in_processes(list(pieces))


def _in_processes(pieces: list[Piece]) -> Iterator[Rows]:
    todo: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
    for piece in pieces:
        todo.put(piece)
    done: queue.Queue[Rows | BaseException] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()
    count = min(_MAX_PROCESSES, os.cpu_count() or 1, len(pieces))
    children = [_start() for _ in range(count)]
    threads = [
        threading.Thread(target=_drive, args=(child, todo, done, stop), daemon=True)
        for child in children
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in pieces:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        for child in children:
            child.kill()
        for thread in threads:
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    done.get_nowait()
                thread.join(0.01)
        for child in children:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gardenerd.index.parsing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _drive(
    child: subprocess.Popen[bytes],
    todo: queue.SimpleQueue[Piece | None],
    done: queue.Queue[Rows | BaseException],
    stop: threading.Event,
) -> None:
    source, target = child.stdout, child.stdin
    assert source is not None
    assert target is not None
    while not stop.is_set():
        try:
            piece = todo.get_nowait()
        except queue.Empty:
            return
        if piece is None:
            return
        try:
            send(target, msgspec.msgpack.encode(piece))
            data = receive(source)
        except OSError as error:
            data, cause = None, str(error)
        else:
            cause = "it ended"
        if data is None:
            if not stop.is_set():
                done.put(
                    WorkerError(
                        f"a parser process failed: {cause} (status {child.poll()})",
                        hint="the files will be tried again",
                    )
                )
            return
        done.put(_rows.decode(data))
