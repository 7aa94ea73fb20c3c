"""Which files of a project are indexed: git's rules, the user's own, and what never makes sense.

An entry is left out when any of these says so:

1. what was forgotten; version control, secrets by name, binaries by extension: always, no rule
   takes them back;
2. ``.gitignore`` (nested, and of the repository around the project), ``.git/info/exclude`` and
   git's global excludes file. Unlike git, also for files that are tracked;
3. ``.gardenerignore``, the same syntax, nested; weaker than it are the built-in defaults.

What an excluded folder holds is excluded, whatever other rules say of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gardenerd.watch import builtin, gitconfig, ignore

GIT_FILE = ".gitignore"
GARDENER_FILE = ".gardenerignore"

RULE_FILES = frozenset({GIT_FILE, GARDENER_FILE, *builtin.MARKERS})
"""A change of one of these may change what is excluded: the project must be scanned again."""

_Chain = tuple[tuple[ignore.Rules, int, str], ...]
"""Rules from the strongest to the weakest. For each what makes a path relative to its folder: how
much to take off the front (a folder in the project) or what to put there (one around it)."""


class Folder:
    """The rules in force for the entries of one folder. Made by :class:`Filter`."""

    __slots__ = ("_filter", "_garden", "_git", "path", "reason")

    def __init__(self, owner: Filter, path: str, git: _Chain, garden: _Chain, reason: str) -> None:
        self._filter = owner
        self._git = git
        self._garden = garden
        self.path = path
        """Relative to the root, with a final ``/``; empty for the root itself."""
        self.reason = reason
        """Why nothing in this folder is indexed; empty where something may be."""

    def excludes_file(self, name: str) -> str | None:
        """Why the file ``name`` of this folder is left out; None when it is not."""
        if (forgotten := self._filter.forgotten.get(self.path + name)) is not None:
            return forgotten
        if builtin.is_secret(name):
            return "a file of this name holds secrets"
        if builtin.is_binary(name):
            return "binary by its extension"
        if name in builtin.VERSION_CONTROL:
            return "version control"
        return self._decide(name, folder=False)

    def excludes_folder(self, name: str) -> str | None:
        """Why the folder ``name`` of this folder is not entered; None when it is."""
        if (forgotten := self._filter.forgotten.get(self.path + name)) is not None:
            return forgotten
        if name in builtin.VERSION_CONTROL:
            return "version control"
        if name in builtin.SECRET_FOLDERS:
            return "a folder of this name holds secrets"
        return self._decide(name, folder=True)

    def enter(self, name: str) -> Folder:
        """The rules within the folder ``name``; its ``reason`` tells if it is not to be entered."""
        return self._filter.enter(self, name)

    def _decide(self, name: str, *, folder: bool) -> str | None:
        path = self.path + name
        for chain in (self._git, self._garden):
            for rules, start, around in chain:
                verdict = rules.verdict(around + path[start:], name, folder)
                if verdict is None:
                    continue
                if verdict.excluded and not self._is_package(rules, path, name):
                    return f"{rules.source}: {verdict.pattern}"
                break
        return None

    def _is_package(self, rules: ignore.Rules, path: str, name: str) -> bool:
        if rules is not self._filter.defaults or name not in builtin.OUTPUTS:
            return False
        return os.path.lexists(f"{self._filter.root}/{path}/__init__.py")

    def chains(self) -> tuple[_Chain, _Chain]:
        return self._git, self._garden


class Filter:
    """The rules of one project, as they were when each folder was first asked about.

    Build a new one when a rule file changed. Building reads a few small files.

    Args:
        root: the project's folder, absolute, links resolved.
        max_file_bytes: larger files are left out.
        own: gardener's home, left out when it lies inside the project.
        forgotten: files and folders, relative to the root, each with the reason to tell.
    """

    def __init__(
        self,
        root: Path,
        max_file_bytes: int,
        *,
        own: Path | None = None,
        forgotten: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.max_file_bytes = max_file_bytes
        self.forgotten = forgotten or {}
        self._own = _inside(own, root)
        self.defaults = ignore.Rules(builtin.DEFAULTS, source="left out by default")
        repository = gitconfig.find_repository(root)
        self._fold = gitconfig.ignores_case(repository)
        self._folders: dict[str, Folder] = {}
        self._top = self._root_folder(repository)
        self._folders[""] = self._top

    @property
    def top(self) -> Folder:
        """The rules for the entries of the root."""
        return self._top

    def explain(self, path: str, *, folder: bool = False) -> str | None:
        """Why ``path`` (relative, with ``/``) is left out; None when it belongs in the index.

        Looks at names and rules alone, not at whether the file exists or at its size.
        """
        parent, _, name = path.rpartition("/")
        if folder:
            return self.folder(path).reason or None
        current = self.folder(parent) if parent else self._top
        return current.reason or current.excludes_file(name)

    def folder(self, path: str) -> Folder:
        """The rules within the folder ``path`` (relative), its ``reason`` set if it is excluded."""
        current = self._top
        for part in path.split("/"):
            if current.reason:
                return current
            current = self._folders.get(f"{current.path}{part}/") or self._checked(current, part)
        return current

    def forget(self, path: str) -> None:
        """``path`` may be another folder than before, or none: its rules are read anew."""
        base = f"{path}/"
        if base in self._folders:
            below = [known for known in self._folders if known.startswith(base)]
            for known in below:
                del self._folders[known]

    def explain_size(self, size: int) -> str | None:
        """Why a file of ``size`` bytes is left out; None when it is small enough."""
        if size <= self.max_file_bytes:
            return None
        return f"{size:,} bytes, over the limit of {self.max_file_bytes:,} (watch.max_file_bytes)"

    def enter(self, parent: Folder, name: str) -> Folder:
        """See :meth:`Folder.enter`."""
        path = f"{parent.path}{name}/"
        if path == self._own:
            return Folder(self, path, (), (), "gardener's own data")
        base = f"{self.root}/{path}"
        for marker in builtin.MARKERS:
            if os.path.lexists(base + marker):
                return Folder(self, path, (), (), f"a tool's own folder: it holds {marker}")
        git, garden = parent.chains()
        reason = ""
        try:
            if rules := self._read(base + GIT_FILE, path + GIT_FILE, self._fold):
                git = ((rules, len(path), ""), *git)
            if rules := self._read(base + GARDENER_FILE, path + GARDENER_FILE, False):
                garden = ((rules, len(path), ""), *garden)
        except ignore.UnreadableRulesError as error:
            reason = str(error)
        made = Folder(self, path, git, garden, reason)
        self._folders[path] = made
        return made

    def _checked(self, parent: Folder, name: str) -> Folder:
        path = f"{parent.path}{name}/"
        reason = parent.excludes_folder(name)
        if reason is not None:
            made = self._folders[path] = Folder(self, path, (), (), reason)
            return made
        return self.enter(parent, name)

    def _read(self, file: str, source: str, fold: bool) -> ignore.Rules | None:
        return ignore.read(Path(file), source=source, ignore_case=fold) or None

    def _root_folder(self, repository: gitconfig.Repository | None) -> Folder:
        reason = ""
        git: _Chain = ()
        garden: _Chain = ((self.defaults, 0, ""),)
        try:
            if rules := self._read(f"{self.root}/{GARDENER_FILE}", GARDENER_FILE, False):
                garden = ((rules, 0, ""), *garden)
            git = self._git_chain(repository)
        except ignore.UnreadableRulesError as error:
            reason = str(error)
        return Folder(self, "", git, garden, reason)

    def _git_chain(self, repository: gitconfig.Repository | None) -> _Chain:
        """Rules of the root's ``.gitignore`` and of everything around and above it."""
        top = self.root if repository is None else repository.top
        above = self.root.relative_to(top).parts
        weakest: list[ignore.Rules] = []
        if repository is not None:
            info = repository.git_dir / "info" / "exclude"
            weakest.append(self._outside(info, ".git/info/exclude"))
        if (named := gitconfig.excludes_file(repository)) is not None:
            weakest.append(self._outside(named, "git's global excludes file"))
        prefix = "/".join(above) + "/" if above else ""
        chain: list[tuple[ignore.Rules, str]] = [(rules, prefix) for rules in weakest if rules]
        folder = top
        for depth in range(len(above) + 1):
            inner = "/".join(above[depth:])
            source = f"{folder}/{GIT_FILE}" if inner else GIT_FILE
            rules = self._read(f"{folder}/{GIT_FILE}", source, self._fold)
            if rules:
                chain.insert(0, (rules, f"{inner}/" if inner else ""))
            if depth < len(above):
                folder = folder / above[depth]
        if self._outer_excludes_root(chain, above):
            # the repository around (a home under version control, say) ignores the project as a
            # whole; the user asked for it, so only the project's own rules count
            chain = [(rules, inner) for rules, inner in chain if not inner]
        return tuple((rules, 0, inner) for rules, inner in chain)

    def _outside(self, file: Path, source: str) -> ignore.Rules:
        found = ignore.read(file, source=source, ignore_case=self._fold, follow=True)
        return found or ignore.Rules((), source=source)

    def _outer_excludes_root(
        self, chain: list[tuple[ignore.Rules, str]], above: tuple[str, ...]
    ) -> bool:
        for depth in range(1, len(above) + 1):
            for rules, inner in chain:
                start = len(above) - len([part for part in inner.split("/") if part])
                if start >= depth:
                    continue
                verdict = rules.verdict("/".join(above[start:depth]), above[depth - 1], True)
                if verdict is not None:
                    if verdict.excluded:
                        return True
                    break
        return False


def _inside(own: Path | None, root: Path) -> str | None:
    if own is None or not own.is_relative_to(root):
        return None
    return f"{own.relative_to(root).as_posix()}/"
