"""One ignore file, with git's semantics: which of its patterns decides on an entry of the tree.

The patterns' syntax is translated by pathspec. Its own lookup also lets a pattern decide on what
lies below a matching folder; git never asks that question, because it does not descend into an
excluded folder. Here each entry is asked for itself, on the way down, as in git's ``dir.c``.

git matches bytes: its ``?`` is half of an "ä". So patterns and paths are compared as Latin-1 views
of their bytes, in which every byte is one character.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from gardenerd.watch import brackets

# git reads up to 100 MB; a file of rules that large is a mistake here
_MAX_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")
_LITERAL = re.compile(r"[^*?\[\]\\/!#\s]+")
_SUFFIX = re.compile(r"\*([^*?\[\]\\/\s]+)")


class UnreadableRulesError(Exception):
    """An ignore file exists and cannot be read, so nothing beside it may be."""


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    exclude: bool
    folders_only: bool
    by_name: bool
    whole: bool
    """The expression covers the whole entry; otherwise any match of a part is one."""
    regex: re.Pattern[str]

    def matches(self, path: str, name: str, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        subject = name if self.by_name else path
        if self.whole:
            return self.regex.fullmatch(subject) is not None
        return self.regex.search(subject) is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    excluded: bool
    pattern: str


class Rules:
    """The patterns of one file, or of a list of them.

    Args:
        lines: one pattern each, as :func:`as_bytes` gives it.
        source: where they are from, for explanations.
    """

    def __init__(self, lines: Iterable[str], *, source: str, ignore_case: bool = False) -> None:
        self.source = source
        # ASCII: git folds only these letters
        flags = re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG)
        self._fold = ignore_case
        self._rules: list[_Rule] = []
        self._names: dict[str, list[int]] = {}
        self._suffixes: dict[str, list[int]] = {}
        by_path: list[str] = []
        by_name: list[str] = []
        self._others: list[int] = []
        for line in lines:
            rule = _rule(line, flags)
            if rule is None:
                continue
            number = len(self._rules)
            self._rules.append(rule)
            core = rule.text.removeprefix("!").removesuffix("/")
            if _LITERAL.fullmatch(core):
                self._names.setdefault(self._key(core), []).append(number)
            elif suffix := _SUFFIX.fullmatch(core):
                self._suffixes.setdefault(self._key(suffix[1]), []).append(number)
            else:
                others = by_name if rule.by_name else by_path
                others.append(_NAMED_GROUP.sub("(?:", rule.regex.pattern))
                self._others.append(number)
        self._endings = tuple(self._suffixes)
        self._by_path = _any(by_path, flags)
        self._by_name = _any(by_name, flags)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def verdict(self, path: str, name: str, folder: bool) -> Verdict | None:
        """What the last matching pattern says of one entry; None where no pattern matches.

        ``path`` is relative to the folder of the ignore file, ``name`` its last part.
        """
        if not path.isascii():
            path, name = as_bytes(path), as_bytes(name)
        key = name.lower() if self._fold else name
        # nearly every file matches no pattern at all: find that out quickly
        found: list[int] = []
        if key in self._names:
            found += self._names[key]
        if key.endswith(self._endings):
            for suffix, numbers in self._suffixes.items():
                if key.endswith(suffix):
                    found += numbers
        if self._by_path.search(path) or self._by_name.search(name):
            found += self._others
        if not found:
            return None
        for number in sorted(found, reverse=True):
            rule = self._rules[number]
            if rule.matches(path, name, folder):
                return Verdict(rule.exclude, _as_text(rule.text))
        return None

    def _key(self, name: str) -> str:
        return name.lower() if self._fold else name


def read(
    file: Path, *, source: str, ignore_case: bool = False, follow: bool = False
) -> Rules | None:
    """The rules in ``file``; None where there is no such regular file.

    Like git, does not follow a link inside the tree (``follow`` is for files outside it).

    Raises:
        UnreadableRulesError: it is there, and its rules cannot be known.
    """
    try:
        descriptor = os.open(
            file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not _stands(file):
            return None
        raise UnreadableRulesError(f"{source} cannot be read: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "rb") as opened:
            if not _is_regular(descriptor):
                return None
            data = opened.read(_MAX_BYTES + 1)
    except IsADirectoryError:
        return None
    except OSError as error:
        raise UnreadableRulesError(f"{source} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise UnreadableRulesError(f"{source} is larger than {_MAX_BYTES} bytes")
    text = data.removeprefix(_BOM).decode("latin-1")
    return Rules(
        (line.removesuffix("\r") for line in text.split("\n")),
        source=source,
        ignore_case=ignore_case,
    )


def as_bytes(text: str) -> str:
    """``text`` with one character for each byte of its UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _as_text(view: str) -> str:
    return view if view.isascii() else view.encode("latin-1").decode("utf-8", "replace")


def _any(expressions: list[str], flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in expressions) or "(?!)", flags)


def _stands(file: Path) -> bool:
    """Whether it is a regular file; one in a folder that may not be entered counts as none, since
    nothing else there can be read either."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _is_regular(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _rule(line: str, flags: re.RegexFlag) -> _Rule | None:
    if line.startswith("#"):
        return None
    text = _trim(line)
    if not text or text in ("/", "!", "!/"):
        return None
    negated = text.startswith("!")
    core = text[1:] if negated else text
    folders_only = core.endswith("/")
    if folders_only:
        core = core[:-1]
    if not core:
        return None
    # "!" and "#" at the start of what remains are literal
    quoted = f"\\{core}" if core[0] in "!#" else core
    if quoted[-1].isspace() and not quoted.endswith("\\ "):
        quoted = f"{quoted[:-1]}[{quoted[-1]}]"
    taken = brackets.take_out(quoted)
    if taken is None:
        return None
    # a slash anchors, also one within brackets
    anchor = "/" if "/" in core and "/" not in taken[0] else ""
    try:
        translated = GitIgnoreSpecPattern(anchor + taken[0]).regex
    except GitIgnorePatternError:
        return None
    if translated is None or not isinstance(translated.pattern, str):
        return None
    pattern = brackets.put_back(translated.pattern, taken[1])
    return _Rule(
        text=text,
        exclude=not negated,
        folders_only=folders_only,
        by_name="/" not in core,
        whole=pattern.endswith("|$)"),
        regex=re.compile(pattern, flags),
    )


def _trim(line: str) -> str:
    """Without trailing spaces, save one that a backslash quotes."""
    end = len(line)
    while end and line[end - 1] == " ":
        backslashes = len(line[: end - 1]) - len(line[: end - 1].rstrip("\\"))
        if backslashes % 2:
            break
        end -= 1
    return line[:end]
