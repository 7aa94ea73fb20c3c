"""The few facts of a git repository that decide what it ignores, read without running git.

Running git would wake the installer's dialogue on a Mac that has none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_SECTION = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)')
_ENTRY = re.compile(r"\s*([A-Za-z][\w-]*)\s*(?:=\s*(.*))?$")
_MAX_INCLUDES = 10


@dataclass(frozen=True, slots=True)
class Repository:
    top: Path
    """The folder that holds ``.git``."""
    git_dir: Path
    """The repository's common folder: that of the main checkout for a linked worktree."""


def find_repository(folder: Path) -> Repository | None:
    """The repository that ``folder`` lies in, itself included; None if none."""
    for top in (folder, *folder.parents):
        git = top / ".git"
        try:
            if git.is_dir():
                return Repository(top, git) if (git / "HEAD").is_file() else None
            if git.is_file():
                return Repository(top, _linked(git))
        except OSError:
            return None  # a parent that may not be read cannot be asked
    return None


def excludes_file(repository: Repository | None) -> Path | None:
    """git's global excludes file: ``core.excludesFile``, or its default place."""
    named = _setting("core.excludesfile", repository)
    if named is None:
        return _config_home() / "git" / "ignore"
    if not named:
        return None
    return Path(named).expanduser()


def ignores_case(repository: Repository | None) -> bool:
    """Whether git compares names without regard to case here (``core.ignoreCase``)."""
    return (_setting("core.ignorecase", repository) or "false").lower() in (
        "true",
        "yes",
        "on",
        "1",
    )


def _linked(git: Path) -> Path:
    text = git.read_text(encoding="utf-8", errors="surrogateescape").strip()
    folder = (git.parent / text.removeprefix("gitdir:").strip()).resolve()
    common = folder / "commondir"
    if common.is_file():
        named = common.read_text(encoding="utf-8", errors="surrogateescape").strip()
        return (folder / named).resolve()
    return folder


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _setting(key: str, repository: Repository | None) -> str | None:
    files: list[Path] = []
    if not os.environ.get("GIT_CONFIG_NOSYSTEM"):
        files.append(Path(os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")))
    own = os.environ.get("GIT_CONFIG_GLOBAL")
    files += [Path(own)] if own else [_config_home() / "git" / "config", Path.home() / ".gitconfig"]
    if repository is not None:
        files.append(repository.git_dir / "config")
    value: str | None = None
    for file in files:
        value = _read(file, key, value, 0)
    return value


def _read(file: Path, key: str, value: str | None, depth: int) -> str | None:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return value  # git, too, goes on without a configuration that it cannot read
    section = ""
    for raw in text.replace("\\\n", "").splitlines():
        line = raw
        if opened := _SECTION.match(line):
            section = opened[1].lower() + (f".{opened[2]}" if opened[2] is not None else "")
            line = opened[3]
        entry = _ENTRY.match(line)
        if entry is None or line.lstrip().startswith(("#", ";")):
            continue
        name = f"{section}.{entry[1].lower()}"
        found = "true" if entry[2] is None else _value(entry[2])
        if name == key:
            value = found
        elif name == "include.path" and depth < _MAX_INCLUDES:
            value = _read(file.parent / Path(found).expanduser(), key, value, depth + 1)
    return value


def _value(text: str) -> str:
    result, quoted, position = "", False, 0
    kept = 0  # trailing blanks outside quotes do not count
    while position < len(text):
        char = text[position]
        if char == '"':
            quoted = not quoted
            kept = len(result)
        elif char == "\\" and position + 1 < len(text):
            position += 1
            result += {"n": "\n", "t": "\t", "b": "\b"}.get(text[position], text[position])
            kept = len(result)
        elif char in "#;" and not quoted:
            break
        else:
            result += char
            if quoted or not char.isspace():
                kept = len(result)
        position += 1
    return result[:kept]
