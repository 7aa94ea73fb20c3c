"""Citations that no source stands behind do not come out, however they are written and cut."""

import pytest

from gardenerd.answer.citations import CitationFilter
from tests.answer.sources import SOURCES


def said(text: str, *, step: int = 1) -> tuple[str, int]:
    shape = CitationFilter(SOURCES)
    pieces = [text[i : i + step] for i in range(0, len(text), step)]
    shown = "".join(shape.feed(each) for each in pieces) + shape.close()
    return shown, shape.removed


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize(
    ("written", "shown", "removed"),
    [
        ("It is here [a/b.py:10-12].", "It is here [a/b.py:10-12].", 0),
        ("One line [a/b.py:11] of it.", "One line [a/b.py:11] of it.", 0),
        ("Both [a/b.py:10-12, c.py:1].", "Both [a/b.py:10-12, c.py:1].", 0),
        ("Not there [a/b.py:10-13].", "Not there.", 1),
        ("No file [made/up.py:1-2], no.", "No file, no.", 1),
        ("Half [c.py:1, up.py:3].", "Half.", 1),
        ("Two [up.py:1, up.py:3] and [a/b.py:9].", "Two and.", 3),
        ("Backwards [a/b.py:12-10].", "Backwards.", 1),
        ("With a column [a/b.py:11:4], [up.py:1:4].", "With a column [a/b.py:11:4],.", 1),
        ("In code `a/b.py:10-12` and `a/b.py:11`.", "In code `a/b.py:10-12` and `a/b.py:11`.", 0),
        ("In code `up.py:10` it is.", "In code it is.", 1),
        ("In both [`up.py:10`] it is.", "In both it is.", 1),
        ("Code `x[a:1]`, `f(up.py:3)`, `d['k']`.", "Code `x[a:1]`, `f(up.py:3)`, `d['k']`.", 0),
        ("A list [1, 2] and x[a:1] stay.", "A list [1, 2] and x[a:1] stay.", 0),
        ("A slice [0:3], a key [a:1].", "A slice [0:3], a key [a:1].", 0),
        ("A host [example.com:80], `1.2.3.4:80`.", "A host [example.com:80], `1.2.3.4:80`.", 0),
        ("```\nx = [up.py:3]\n```\n[up.py:3] no", "```\nx = [up.py:3]\n```\n no", 1),
        ("Cut off [made/up.py:1", "Cut off", 1),
        ("Cut off `made/up.py:1", "Cut off", 1),
        ("An open [ bracket\nand more", "An open [ bracket\nand more", 0),
        ("An open ` quote\nand more", "An open ` quote\nand more", 0),
        ("The end `", "The end `", 0),
    ],
)
def test_only_citations_of_sources_are_shown(
    written: str, shown: str, removed: int, step: int
) -> None:
    assert said(written, step=step) == (shown, removed)
