"""Queries in other languages than English: the field's words in English, as far as they are known.

Code and its documentation are mostly English, and so is the embedding. For each language there is
a glossary of general words of programming (``de.tsv`` and so on): on each line stems, ``|`` between
them, a tab, and what they mean in English. A word is known when it is a stem and one of its
language's endings; a stem of several words is known when they follow each other.
"""

from __future__ import annotations

from functools import cache

from gardenerd.index.glossary.detect import languages_of_query
from gardenerd.index.glossary.translate import Glossary


def glossary_for(text: str) -> Glossary | None:
    """The glossary of the language that a query is in; None for English and what is not known."""
    candidates = [_loaded(language) for language in languages_of_query(text)]
    known = [(glossary.count(text), glossary) for glossary in candidates]
    most, best = max(known, key=lambda pair: pair[0], default=(0, None))
    return best if most else None


@cache
def _loaded(language: str) -> Glossary:
    return Glossary.load(language)
