"""Sources as a search gives them."""

from __future__ import annotations

from gardenerd.workers.jobs import Hit


def hit(path: str, start: int, text: str) -> Hit:
    lines = text.removesuffix("\n").split("\n")
    return Hit(
        project="p",
        path=path,
        start_line=start,
        end_line=start + len(lines) - 1,
        symbol="f",
        kind="function",
        score=1.0,
        text=text,
    )


SOURCES = [hit("a/b.py", 10, "one\ntwo\nthree"), hit("c.py", 1, "four")]
