"""Words of code: identifiers, and the parts that their names are made of."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_MAX_WORD = 80
_CACHE_WORDS = 100_000

_cache: dict[str, str] = {}


def split_identifier(name: str) -> list[str]:
    """``getHTTPResponse2`` → ``[get, http, response, 2]``; parts in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def _expand(word: str) -> str:
    if len(word) > _MAX_WORD:  # encoded data, not a name
        return ""
    whole = word.lower().strip("_")
    parts = split_identifier(word)
    return whole if len(parts) < 2 else f"{whole} {' '.join(parts)}"


def search_words(text: str) -> str:
    """The text as words for the full-text index: each name, and behind it its parts."""
    found = _WORD.findall(text)
    try:
        return " ".join([_cache[word] for word in found])
    except KeyError:
        if len(_cache) > _CACHE_WORDS:
            _cache.clear()
        for word in set(found):
            if word not in _cache:
                _cache[word] = _expand(word)
    return " ".join([_cache[word] for word in found])
