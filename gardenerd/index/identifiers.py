"""Words of code for the full-text index: identifiers, and the parts that their names are made of.

Splitting, stemming and stop words are done here, once for each different word, rather than by the
full-text index for each occurrence: it then only has to cut at spaces.
"""

from __future__ import annotations

import re

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_VOWEL = re.compile(r"[aeiouy]")
_MAX_WORD = 80
_CACHE_WORDS = 200_000

# Letters, digits and the underscore stay, as do the bytes of other scripts; the rest is space.
_KEEP = bytes(c if c > 127 or c == 95 or chr(c).isalnum() else 32 for c in range(256))
_OTHER = re.compile(r"[^\w\s]")

_STOP = frozenset(
    "a an and are as at be by def do does for from has have how i if in into is it its no not of "  # noqa: SIM905
    "on or self so such than that the their them then there these they this to was what when "
    "where which who will with you your".split()
)

_cache: dict[bytes, str] = {}


def split_identifier(name: str) -> list[str]:
    """``getHTTPResponse2`` → ``[get, http, response, 2]``; parts in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def stem(word: str) -> str:
    """A lower-case word without its plainest English endings: parse, parsed, parsing → pars.

    The first step of Porter's algorithm and a final ``e``; more would join what code keeps apart.
    """
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if len(root) > 2 and root != word and _VOWEL.search(root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    if len(word) > 3 and word.endswith(("ll", "e")):
        word = word[:-1]
    return word


def _expand(raw: bytes) -> str:
    word = raw.decode()
    if len(word) > _MAX_WORD:  # encoded data, not a name
        return ""
    parts = split_identifier(word)
    found = [stem(part) for part in parts if part not in _STOP]
    if len(parts) < 2:
        return found[0] if found else ""
    # The whole name too, so that one who spells it out finds it first.
    return " ".join([word.lower().strip("_"), *found])


def search_words(text: str) -> str:
    """The text as words for the full-text index: each name, and behind it its parts."""
    if not text.isascii():
        text = _OTHER.sub(" ", text)
    found = text.encode(errors="replace").translate(_KEEP).split()
    try:
        return " ".join([_cache[word] for word in found])
    except KeyError:
        if len(_cache) > _CACHE_WORDS:
            _cache.clear()
        for word in set(found):
            if word not in _cache:
                _cache[word] = _expand(word)
    return " ".join([_cache[word] for word in found])
