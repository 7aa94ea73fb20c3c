"""From paths to rows: read, mask, cut, split into words. Pure of LanceDB, so that it can run in
processes of its own: tree-sitter's binding holds the GIL, threads would not help.

    python -m gardenerd.index.parsing

serves pieces of work on standard input and output until its input closes, which it also does when
the worker that started it is killed.
"""

from __future__ import annotations

import gc
import hashlib
import struct
import sys
from pathlib import Path
from typing import IO

import msgspec

from gardenerd.index.chunk import Chunk, chunk_text
from gardenerd.index.identifiers import search_words
from gardenerd.index.marks import marks_of
from gardenerd.index.text import read_file
from gardenerd.workers.jobs import FileResult

# A hostile file cannot fill the table: 1 MB of text gives a few hundred chunks at most usually.
_MAX_CHUNKS = 20_000

_LENGTH = struct.Struct(">Q")


class Piece(msgspec.Struct, array_like=True):
    """Files to read."""

    root: str
    paths: list[str]
    max_file_bytes: int


class Rows(msgspec.Struct, array_like=True):
    """What became of each file of a piece, and their chunks by column, file after file.

    ``results`` count the chunks but cannot know which are new.
    """

    results: list[FileResult]
    columns: dict[str, list[str]]
    start_line: list[int]
    end_line: list[int]


_COLUMNS = ("symbol", "kind", "signature", "docstring", "text", "search", "chunk_digest")


def parse_piece(piece: Piece) -> Rows:
    """Read and cut the files of a piece. Never raises for what a file holds."""
    rows = no_rows()
    root = Path(piece.root)
    for path in piece.paths:
        found = read_file(root, path, piece.max_file_bytes)
        read = found.state == "read"
        chunks = chunk_text(path, found.text)[:_MAX_CHUNKS] if read else []
        rows.results.append(
            FileResult(
                path=path,
                state="indexed" if found.state == "read" else found.state,
                reason=found.reason,
                size=found.size,
                mtime_ns=found.mtime_ns,
                digest=found.digest,
                chunks=len(chunks),
            )
        )
        append(rows, path, chunks)
    return rows


def no_rows() -> Rows:
    return Rows([], {name: [] for name in _COLUMNS}, [], [])


def append(rows: Rows, path: str, chunks: list[Chunk]) -> None:
    """Add the chunks of one file, with the words by which they are found at ``path``."""
    columns = rows.columns
    place = search_words(path)
    for chunk in chunks:
        columns["symbol"].append(chunk.symbol)
        columns["kind"].append(chunk.kind)
        columns["signature"].append(chunk.signature)
        columns["docstring"].append(chunk.docstring)
        columns["text"].append(chunk.text)
        words = f"{place} {search_words(chunk.symbol)} {search_words(chunk.text)}"
        columns["search"].append(" ".join([words, *marks_of(path, chunk.symbol)]))
        columns["chunk_digest"].append(chunk_digest(chunk.text))
        rows.start_line.append(chunk.start_line)
        rows.end_line.append(chunk.end_line)


def chunk_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def serve(source: IO[bytes], target: IO[bytes]) -> None:
    """Answer each :class:`Piece` by its :class:`Rows`, until ``source`` ends."""
    # Syntax trees are many small objects without cycles, in a process that soon ends.
    gc.disable()
    decoder = msgspec.msgpack.Decoder(Piece)
    while (data := receive(source)) is not None:
        send(target, msgspec.msgpack.encode(parse_piece(decoder.decode(data))))


def send(target: IO[bytes], data: bytes) -> None:
    """One message, all of it: a process that is frozen while it writes has written a part, and
    where ``PYTHONUNBUFFERED`` is set nobody else writes the rest."""
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[target.write(left) :]
    target.flush()


def receive(source: IO[bytes]) -> bytes | None:
    """One message; None at the end of the stream."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = source.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
