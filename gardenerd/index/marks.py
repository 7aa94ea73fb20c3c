"""Marks beside the words of the full-text index: what a chunk defines, and what its file is called.

A definition that a query names must be among the candidates, however many chunks mention it. No
word of a text looks like a mark (``identifiers.search_words`` leaves neither ``:`` nor ``/``).
"""

from __future__ import annotations

from functools import lru_cache

from gardenerd.index.query import Query

# Files that stand for the folder that holds them.
_OF_THE_FOLDER = frozenset({"__init__", "index", "mod", "main"})


def marks_of(path: str, symbol: str) -> list[str]:
    """Those of a chunk: the symbol, its last part, the file's name with and without its ending."""
    found = [f"/{name}" for name in _file_names(path)]
    if symbol:
        lowered = _word(symbol)
        found += dict.fromkeys([f":{lowered}", f":{lowered.rpartition('.')[2]}"])
    return found


def marks_asked(query: Query) -> list[str]:
    """Those of the chunks that a query names."""
    names = sorted(_word(name) for name in query.names)
    found = {f":{name}": None for name in names}
    found |= {f"/{name}": None for name in names if "." not in name}
    found |= {f"/{path.rpartition('/')[2]}": None for path in sorted(query.files)}
    return list(found)


@lru_cache(maxsize=8)  # chunks come file after file
def _file_names(path: str) -> list[str]:
    folder, _, name = path.lower().rpartition("/")
    stem = name.partition(".")[0]
    found = [_word(name), _word(stem)]
    if stem in _OF_THE_FOLDER and folder:
        found.append(_word(folder.rpartition("/")[2]))
    return list(dict.fromkeys(found))


def _word(name: str) -> str:
    return "".join(name.lower().split())
