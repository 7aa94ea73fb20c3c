"""Where the embedding's examples come from: freely licensed Python source, by the corpus's rules.

What is left out, and what is held out, is said in one place for all models of gardener:
`gardenerd.seedling.corpus`. The embedding takes more of each package than the seedling does, since
near copies are dropped example by example, and, where a folder of further unpacked packages is
given, those too; a held-out package in that folder is measured on, never trained on.
"""

from __future__ import annotations

import sysconfig
from email import message_from_string
from typing import TYPE_CHECKING

from gardenerd.seedling.corpus import HELD_OUT, SourceFile, admits
from gardenerd.seedling.corpus import held_out as installed_held_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MAX_FILE_BYTES = 400_000


def files(more: Path | None = None) -> Iterator[SourceFile]:
    """What is trained on: the standard library, the installed packages, and those under `more`."""
    from pathlib import Path

    names = sysconfig.get_paths()
    roots = [Path(names["stdlib"]), Path(names["purelib"])]
    for root in (*roots, *((more,) if more else ())):
        for path in sorted(root.rglob("*.py")):
            if admits(path.relative_to(root).parts):
                yield from _read(root, path)


def held_out(more: Path | None = None) -> list[SourceFile]:
    """What is measured on: the held-out packages, installed or under `more`."""
    found = installed_held_out()
    for name in sorted(HELD_OUT - found.keys()):
        if more and (more / name).is_dir():
            paths = sorted((more / name).rglob("*.py"))
            found[name] = [source for path in paths for source in _read(more, path)]
    return [source for name in sorted(found) for source in found[name]]


def licences(more: Path) -> list[tuple[str, str, str]]:
    """Name, version and licence of each package unpacked under `more`, by its metadata."""
    rows: list[tuple[str, str, str]] = []
    for path in sorted(more.glob("*.dist-info/METADATA")):
        about = message_from_string(path.read_text("utf-8"))
        classifiers: Iterable[str] = about.get_all("Classifier") or ()
        classified = [c.split(" :: ")[-1] for c in classifiers if c.startswith("License ::")]
        licence = about["License-Expression"] or ", ".join(classified) or about["License"]
        rows.append((str(about["Name"]), str(about["Version"]), str(licence).split("\n", 1)[0]))
    return rows


def _read(root: Path, path: Path) -> Iterator[SourceFile]:
    if path.stat().st_size > _MAX_FILE_BYTES:
        return
    try:
        text = path.read_text("utf-8")
    except (UnicodeDecodeError, OSError):
        return
    relative = path.relative_to(root)
    yield SourceFile(relative.parts[0].removesuffix(".py"), relative.as_posix(), text)
