"""From paths to rows: read, mask, cut, split into words. Pure of LanceDB, so that it can run in
processes of its own: tree-sitter's binding holds the GIL, threads would not help.

    python -m gardenerd.index.parsing

serves pieces of work on standard input and output until its input closes, which it also does when
the worker that started it is killed.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from gardenerd.index.chunk import Chunk, chunk_text
from gardenerd.index.identifiers import search_words
from gardenerd.index.languages import language_of
from gardenerd.index.text import read_file
from gardenerd.workers.jobs import FileResult

# What of a chunk its vector stands for: its name, what it says of itself, how it begins.
_EMBED_DOCSTRING = 300
_EMBED_BODY = 400
# A hostile file cannot fill the table: 1 MB of text gives a few hundred chunks at most usually.
_MAX_CHUNKS = 20_000

_LENGTH = struct.Struct(">Q")


class Piece(msgspec.Struct, array_like=True):
    """Files to read. ``known`` is path → digest of those that the index holds already."""

    root: str
    paths: list[str]
    max_file_bytes: int
    known: dict[str, str]


class Rows(msgspec.Struct, array_like=True):
    """The chunks of the files of a piece, by column, and what became of each file.

    ``results`` count chunks but cannot know which are new. A file whose digest is known has no
    rows, and its path is in ``unchanged``.
    """

    results: list[FileResult]
    unchanged: list[str]
    columns: dict[str, list[str]]
    start_line: list[int]
    end_line: list[int]
    embed: list[str]


def parse_piece(piece: Piece) -> Rows:
    """Read and cut the files of a piece. Never raises for what a file holds."""
    columns: dict[str, list[str]] = {
        name: []
        for name in (
            "path", "symbol", "kind", "language", "signature", "docstring", "text", "search",
            "digest", "chunk_digest",
        )
    }  # fmt: skip
    rows = Rows([], [], columns, [], [], [])
    root = Path(piece.root)
    for path in piece.paths:
        found = read_file(root, path, piece.max_file_bytes)
        if found.state == "read" and piece.known.get(path) == found.digest:
            rows.unchanged.append(path)
            chunks: list[Chunk] = []
        else:
            chunks = chunk_text(path, found.text)[:_MAX_CHUNKS] if found.state == "read" else []
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
        if chunks:
            _append(rows, path, found.digest, chunks)
    return rows


def _append(rows: Rows, path: str, digest: str, chunks: list[Chunk]) -> None:
    columns = rows.columns
    count = len(chunks)
    place = search_words(path)
    columns["path"] += [path] * count
    columns["language"] += [language_of(path)] * count
    columns["digest"] += [digest] * count
    for chunk in chunks:
        columns["symbol"].append(chunk.symbol)
        columns["kind"].append(chunk.kind)
        columns["signature"].append(chunk.signature)
        columns["docstring"].append(chunk.docstring)
        columns["text"].append(chunk.text)
        columns["search"].append(f"{place} {search_words(chunk.symbol)} {search_words(chunk.text)}")
        columns["chunk_digest"].append(chunk_digest(chunk.text))
        rows.start_line.append(chunk.start_line)
        rows.end_line.append(chunk.end_line)
        rows.embed.append(embedded_text(chunk))


def chunk_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def embedded_text(chunk: Chunk) -> str:
    """The bounded text that a chunk's vector is made of."""
    docstring = chunk.docstring[:_EMBED_DOCSTRING]
    return f"{chunk.symbol}\n{docstring}\n{chunk.text[:_EMBED_BODY]}"


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer each :class:`Piece` by its :class:`Rows`, until ``source`` ends."""
    decoder = msgspec.msgpack.Decoder(Piece)
    while (data := receive(source)) is not None:
        send(target, msgspec.msgpack.encode(parse_piece(decoder.decode(data))))


def send(target: BinaryIO, data: bytes) -> None:
    target.write(_LENGTH.pack(len(data)))
    target.write(data)
    target.flush()


def receive(source: BinaryIO) -> bytes | None:
    """One message; None at the end of the stream."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = source.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
