"""What a query asks for: its title, its words, and the names and files that it spells out. Pure.

Queries come as one identifier, a wish in a few words, or a whole report with a stack trace. A long
one is searched by its parts, since its first line says most and a log in it would drown the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from gardenerd.index.glossary import glossary_for
from gardenerd.index.identifiers import search_words

# A query's cost grows with its words; beyond this they are noise.
_MAX_WORDS = 64
_MAX_CHARS = 20_000
_MAX_NAMES = 200
_SHORT = 200
_TITLE_CHARS = 300

_TEST_QUERY = re.compile(r"(?i)\b(unit ?|py)?tests?\b|\btesting\b|\bfixtures?\b|\btest_\w+")
_PROSE_QUERY = re.compile(
    r"(?i)\b(docs?|documentation|readme|changelog|guide|tutorial|install\w*)\b"
)
_HTML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_NAME = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|#|->)[A-Za-z_]\w*)*")
_JOINT = re.compile(r"::|#|->")
_LIKE_CODE = re.compile(r"_|\.|[a-z0-9][A-Z]")
_PATH = re.compile(r"[\w./\\-]+")
_FILE = re.compile(r"\w\.[A-Za-z]\w{0,7}\Z")


@dataclass(frozen=True, slots=True)
class Query:
    """A query's parts. Of a short one the title is all there is."""

    short: bool
    title: str
    """The first line of a long query; in English, as far as its words are known."""
    title_words: tuple[str, ...]
    """Split and stemmed as the index's, in order, each once; as are the others."""
    words: tuple[str, ...]
    """Of a long query those that say most; else none."""
    names: frozenset[str]
    """Identifiers as they stand in the query, ``.`` between their parts; in a long query only what
    cannot be a plain word. And each part of them."""
    files: frozenset[str]
    """Names of files in lower case, perhaps with folders, ``/`` between them; those of a stack
    trace's lines too."""
    tests: bool
    prose: bool

    @classmethod
    def of(cls, text: str) -> Query:
        """Take a query of any characters and length apart."""
        text = text[:_MAX_CHARS].strip()
        short = len(text) <= _SHORT and "\n" not in text
        if not short:
            text = _HTML_COMMENT.sub(" ", text).strip()
        title = text if short else text.split("\n", 1)[0][:_TITLE_CHARS]
        asked, entitled = text, title
        if glossary := glossary_for(text):
            of_title, of_text = glossary.translate(title), glossary.translate(text)
            title, text = of_title.english, f"{of_text.english}\n{of_text.own}"
            entitled = f"{title}\n{of_title.own}"  # comments may be in that language too
        # What a translation spells out is no name.
        spelled = [_JOINT.sub(".", name) for name in _NAME.findall(text) if name in asked]
        names = [name for name in spelled if short or _LIKE_CODE.search(name)][: 4 * _MAX_NAMES]
        return cls(
            short=short,
            title=title,
            title_words=_unique(entitled),
            words=() if short else _telling(text, entitled, names),
            names=_with_parts(names),
            files=_files(text),
            tests=short and bool(_TEST_QUERY.search(text)),
            prose=short and bool(_PROSE_QUERY.search(text)),
        )


def like_code(name: str) -> bool:
    """Whether a name cannot be a plain word of English."""
    return bool(_LIKE_CODE.search(name))


def _unique(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(search_words(text).split()))


def _telling(text: str, title: str, names: list[str]) -> tuple[str, ...]:
    """Of a long text the words that say most.

    Names tell more than prose, the title more than the rest, and what is repeated more than what is
    said once.
    """
    words = search_words(text).split()
    counts = Counter(words)
    named = set(_unique(" ".join(names)))
    entitled = set(_unique(title))
    first = {word: place for place, word in reversed(list(enumerate(words)))}

    def weight(word: str) -> float:
        value = min(counts[word], 4) + 3 * (word in named) + 6 * (word in entitled)
        return value * (0.3 if len(word) < 3 or word.isdigit() else 1.0)

    return tuple(sorted(counts, key=lambda word: (-weight(word), first[word]))[:_MAX_WORDS])


def _with_parts(names: list[str]) -> frozenset[str]:
    found = dict.fromkeys(names)
    for name in names:
        parts = name.split(".")
        found.update(dict.fromkeys(parts))
        found.update(dict.fromkeys(map(".".join, pairwise(parts))))
    return frozenset(list(found)[:_MAX_NAMES])


def _files(text: str) -> frozenset[str]:
    # Runs first, then what they end in: one expression for both takes the square of a run's length.
    runs = (run.strip("./\\-") for run in _PATH.findall(text))
    found = {run.replace("\\", "/").lower() for run in runs if _FILE.search(run, len(run) - 12)}
    return frozenset(sorted(found)[:_MAX_NAMES])
