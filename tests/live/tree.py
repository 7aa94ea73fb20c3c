"""A folder of code in which a person, git and other tools do whatever they can do to files.

Every change takes numbers that say what it is done to: with the same numbers on the same tree the
same happens. A change that is not possible now is none.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

PYTHON = '''"""Module {n}."""

LIMIT_{n} = {n}


class Basket{n}:
    """Holds what number {n} chose."""

    def add_item_{n}(self, name, count=1):
        self.items[name] = self.items.get(name, 0) + count


def shipping_cost_{n}(weight):
    return 4.5 + {n} * weight
'''
TYPESCRIPT = """export interface Line{n} {{ sku: string }}

/** Merge lines of article {n}. */
export function mergeLines{n}(lines: Line{n}[]): Line{n}[] {{
  return lines.filter((line) => line.sku !== "{n}");
}}
"""
CONTENTS: tuple[bytes, ...] = (
    PYTHON.encode(),
    TYPESCRIPT.encode(),
    b"# Title {n}\n\nSome prose about parcels.\n\n## Deployment {n}\n\nReleases on Fridays.\n",
    b"def broken_{n}(:\n    return [\n\nclass Half_{n}\n",
    b"# caf\xe9 in Latin-1: number_{n}\ndef latin_{n}():\n    return '\xfc'\n",
    b"\xef\xbb\xbfdef with_a_mark_{n}():\r\n    return {n}\r\n",
    "def größe_{n}(straße):\n    return 'ключ'\n".encode(),
    b"",
    b"\n\n  \n",
    b"\0\1\2binary {n}\n",
    b"var minified_{n}=1;" * 1_000,
    b"key_{n}: [1, 2, 3]\nname: value\n",
    b"TOKEN = 'ghp_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE'\n\ndef client_{n}():\n    return TOKEN\n",
    b"x_{n} = 1\n" * 300,
)
NAMES = (
    "basket.py", "shipping.ts", "notes.md", "it's.py", "größe.py", "grosse datei.py", "data.json",
    "-dash.py", "100%_done.py", "new\nline.py", "Makefile", "config", ".hidden.py", "app.min.js",
    ".env", "photo.png", "a.b.c.go", "BASKET.py",
)  # fmt: skip
FOLDERS = ("", "shop", "web", "shop/deep", "build", "größe", "with space", "a'b", "x/y/z")
PATTERNS = (
    "*.py", "shop/", "/web", "!basket.py", "*.md", "build/", "!build/", "x/**/z", "notes.md", "*",
    "!*/", "größe*", "deep", "# nothing", "\\!basket.py", "*.ts\n!shipping.ts", "a'b/*.py",
)  # fmt: skip
RULES = (".gitignore", ".gardenerignore", ".git/info/exclude")
BRANCHES = ("main", "feature", "release")
QUERIES = ("shipping cost weight", "Basket1", "merge lines of article", "deployment", "größe")


def where_allowed(
    change: Callable[Concatenate[Tree, P], None],
) -> Callable[Concatenate[Tree, P], None]:
    """The same change, as far as the rights of files and folders let it come."""

    @functools.wraps(change)
    def tried(tree: Tree, *args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(PermissionError):
            change(tree, *args, **kwargs)

    return tried


def pick(items: Sequence[T], number: int) -> T:
    return items[number % len(items)]


class Tree:
    """The project in ``root``; folders move to and fro between it and ``outside``."""

    def __init__(self, root: Path, outside: Path) -> None:
        self.root = root
        self.outside = outside
        self._commits = 0
        root.mkdir(parents=True)
        outside.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        for name, value in (("user.name", "t"), ("user.email", "t@t"), ("commit.gpgsign", "false")):
            self._git("config", name, value)
        (root / "README.md").write_text("# Shop\n\nA small shop.\n")
        self.commit()

    # --- what there is ------------------------------------------------------------------------

    def files(self) -> list[Path]:
        return [path for path in self._below(self.root) if not path.is_dir() or path.is_symlink()]

    def folders(self) -> list[Path]:
        return [path for path in self._below(self.root) if path.is_dir() and not path.is_symlink()]

    def _below(self, folder: Path) -> list[Path]:
        found: list[Path] = []
        for at, folders, files in os.walk(folder):
            if ".git" in folders:
                folders.remove(".git")
            found += [Path(at) / name for name in (*folders, *files)]
        return sorted(found)

    # --- files --------------------------------------------------------------------------------

    @where_allowed
    def write(self, folder: int, name: int, content: int, number: int) -> None:
        """As some editors do: in place."""
        target = self._place(folder, name)
        if self._free(target):
            target.write_bytes(self._content(content, number))

    @where_allowed
    def replace(self, file: int, content: int, number: int) -> None:
        """As other editors do: written beside it and renamed over it."""
        if (target := self._file(file)) is not None:
            beside = target.with_name(f"{target.name}.tmp~")
            beside.write_bytes(self._content(content, number))
            beside.rename(target)

    @where_allowed
    def append(self, file: int, number: int) -> None:
        if (target := self._regular(file)) is not None:
            with target.open("ab") as opened:
                opened.write(b"\ndef appended_%d():\n    return %d\n" % (number, number))

    @where_allowed
    def edit_unseen(self, file: int, number: int) -> None:
        """Other bytes, but the same size and the same time of change as before."""
        if (target := self._regular(file)) is not None:
            before = target.stat()
            data = target.read_bytes()
            at = data.find(b"_")
            if at >= 0:
                data = data[:at] + b"%d" % (number % 10) + data[at + 1 :]
            target.write_bytes(data)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))

    @where_allowed
    def touch(self, file: int, number: int) -> None:
        """Another time and nothing else: now, long ago, or to come."""
        if (target := self._regular(file)) is not None:
            times = (None, (1, 1), (4_000_000_000, 4_000_000_000))
            os.utime(target, pick(times, number))

    @where_allowed
    def delete(self, file: int) -> None:
        if (target := self._file(file)) is not None:
            target.unlink()

    @where_allowed
    def rename(self, file: int, folder: int, name: int) -> None:
        target = self._place(folder, name)
        if (source := self._file(file)) is not None and self._free(target):
            source.rename(target)

    @where_allowed
    def link(self, file: int, folder: int, name: int, *, hard: bool) -> None:
        target, source = self._place(folder, name), self._file(file)
        if source is None or os.path.lexists(target):
            return
        if hard:
            os.link(source, target, follow_symlinks=False)
        else:
            target.symlink_to(os.path.relpath(source, target.parent))

    @where_allowed
    def link_folder(self, folder: int, name: int) -> None:
        """A link that leads to the folder that it is in."""
        target = self._place(folder, name)
        if not os.path.lexists(target):
            target.symlink_to(".")

    @where_allowed
    def pipe(self, folder: int, name: int) -> None:
        """What is no file: opening it would wait for ever."""
        target = self._place(folder, name)
        if not os.path.lexists(target):
            os.mkfifo(target)

    @where_allowed
    def unnamable(self, folder: int, number: int) -> None:
        """A file whose name is not UTF-8."""
        place = os.fsencode(self._folder_of(folder)) + b"/na\xefve_%d.py" % (number % 3)
        Path(os.fsdecode(place)).write_bytes(self._content(0, number))

    # --- folders ------------------------------------------------------------------------------

    @where_allowed
    def rename_folder(self, folder: int, into: int, number: int) -> None:
        source, inside = self._folder(folder), self._folder(into)
        if source is None:
            return
        parent = inside if inside is not None and number % 3 else self.root
        target = parent / pick(("shop", "web", "renamed", "build", "größe"), number)
        if not os.path.lexists(target) and not parent.is_relative_to(source):
            source.rename(target)

    @where_allowed
    def swap_folders(self, one: int, other: int) -> None:
        """Two folders take each other's place."""
        a, b = self._folder(one), self._folder(other)
        if a is None or b is None or a.is_relative_to(b) or b.is_relative_to(a):
            return
        middle = self.root / "swapping"
        if not os.path.lexists(middle):
            a.rename(middle)
            b.rename(a)
            middle.rename(b)

    @where_allowed
    def copy_folder(self, folder: int, number: int) -> None:
        target = self.root / f"copy{number % 3}"
        if (source := self._folder(folder)) is not None and not os.path.lexists(target):
            with contextlib.suppress(shutil.Error):  # it holds a pipe, or what may not be read
                shutil.copytree(source, target, symlinks=True)

    @where_allowed
    def delete_folder(self, folder: int) -> None:
        if (target := self._folder(folder)) is not None:
            shutil.rmtree(target)

    @where_allowed
    def move_out(self, folder: int) -> None:
        if (source := self._folder(folder)) is not None:
            source.rename(self.outside / f"{len(list(self.outside.iterdir()))}-{source.name}")

    @where_allowed
    def move_in(self, folder: int, number: int) -> None:
        waiting = sorted(self.outside.iterdir())
        target = self._folder_of(folder) / f"back{number % 4}"
        if waiting and not os.path.lexists(target):
            pick(waiting, number).rename(target)

    @where_allowed
    def file_to_folder(self, file: int, content: int, number: int) -> None:
        if (target := self._file(file)) is not None:
            target.unlink()
            target.mkdir()
            (target / "inside.py").write_bytes(self._content(content, number))

    @where_allowed
    def folder_to_file(self, folder: int, content: int, number: int) -> None:
        if (target := self._folder(folder)) is not None:
            shutil.rmtree(target)
            target.write_bytes(self._content(content, number))

    @where_allowed
    def folder_to_link(self, folder: int) -> None:
        """A folder moves out, and a link to it takes its place."""
        if (source := self._folder(folder)) is not None:
            moved = self.outside / f"{len(list(self.outside.iterdir()))}-{source.name}"
            source.rename(moved)
            source.symlink_to(moved)

    # --- rights -------------------------------------------------------------------------------

    def forbid(self, number: int) -> None:
        """A file or a folder that may not be read; a user with all rights reads it all the same."""
        if found := self._below(self.root):
            target = pick(found, number)
            if not target.is_symlink():
                target.chmod(0)

    def allow(self) -> None:
        """All may be read again."""
        for at, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(at) / name
                if not path.is_symlink() and not path.stat().st_mode & stat.S_IRUSR:
                    path.chmod(0o755)

    # --- rules --------------------------------------------------------------------------------

    @where_allowed
    def rule(self, folder: int, which: int, pattern: int, *, more: bool) -> None:
        name = pick(RULES, which)
        place = self.root if name.startswith(".git/") else self._folder_of(folder)
        target = place / name
        if self._free(target):
            with target.open("a" if more else "w") as opened:
                opened.write(f"{pick(PATTERNS, pattern)}\n")

    @where_allowed
    def no_rules(self) -> None:
        for path in self.files():
            if path.name in (".gitignore", ".gardenerignore"):
                path.unlink()

    @where_allowed
    def mark(self, folder: int, *, on: bool) -> None:
        """A folder becomes a tool's cache, or is none any more."""
        if (place := self._folder(folder)) is None:
            return
        target = place / "CACHEDIR.TAG"
        if not on:
            target.unlink(missing_ok=True)
        elif self._free(target):
            target.write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")

    # --- git ----------------------------------------------------------------------------------

    def commit(self) -> None:
        self._commits += 1
        about = pick(
            ("deployment", "parcels", "shipping cost", "lines of an article"), self._commits
        )
        self._git("add", "--all", "--force", ".")
        self._git("commit", "--quiet", "--allow-empty", f"--message=State {self._commits}: {about}")

    def switch(self, branch: int) -> None:
        """Everything is as that branch has it; a new one begins here."""
        name = pick(BRANCHES, branch)
        exists = self._git("branch", "--list", name)
        self._git("checkout", "--quiet", "--force", *(() if exists else ("-b",)), name)

    def stash(self, *, pop: bool) -> None:
        if not pop:
            self._git("stash", "push", "--quiet", "--include-untracked")
        elif self._git("stash", "list"):
            # A conflict leaves a tree, too; it counts as resolved.
            subprocess.run(["git", "stash", "pop"], cwd=self.root, capture_output=True, timeout=60)
            self._git("add", "--all", "--force", ".")

    def _git(self, *arguments: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, env=environment, timeout=60
        )
        assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace").strip()

    # --- parts --------------------------------------------------------------------------------

    def _content(self, content: int, number: int) -> bytes:
        template = pick(CONTENTS, content)
        text = template.replace(b"{n}", b"%d" % number)
        return text.replace(b"{{", b"{").replace(b"}}", b"}")

    def _folder_of(self, folder: int) -> Path:
        """A folder of the fixed ones or of those that there are; made if need be."""
        wanted = [self.root / name for name in FOLDERS] + self.folders()
        target = pick(wanted, folder)
        if any(path.is_symlink() or path.is_file() for path in (target, *target.parents)):
            return self.root
        target.mkdir(parents=True, exist_ok=True)
        return target

    def _place(self, folder: int, name: int) -> Path:
        return self._folder_of(folder) / pick(NAMES, name)

    def _free(self, target: Path) -> bool:
        """Whether writing there makes or changes a file of this tree and no other."""
        return not os.path.lexists(target) or stat.S_ISREG(target.lstat().st_mode)

    def _file(self, file: int) -> Path | None:
        found = self.files()
        return pick(found, file) if found else None

    def _regular(self, file: int) -> Path | None:
        found = [path for path in self.files() if stat.S_ISREG(path.lstat().st_mode)]
        return pick(found, file) if found else None

    def _folder(self, folder: int) -> Path | None:
        found = self.folders()
        return pick(found, folder) if found else None
