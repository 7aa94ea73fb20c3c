"""What the tour uses of the code that it is shown: a question, a new function, a gap to fill."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gardenerd.errors import RefusedError

# Never of interest to an index, and often most of the bytes of a checkout.
_LEFT_OUT = frozenset(
    (".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "build", "dist")
    + ("target", ".tox", ".nox", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache")
)
# The daemon's own default: what is larger is not indexed anyway.
_MAX_FILE_BYTES = 1_000_000
# A checkout larger than this cannot be toured in minutes.
_MAX_TOTAL_BYTES = 100_000_000

RICH_QUESTION = "how is a table column's width calculated?"

# One new function in each language, with words that no real code has.
NEW_SYMBOL = "moonlit_market_total"
NEW_QUESTION = "which function adds up the prices of a moonlit market stall?"
_PYTHON = '''

def moonlit_market_total(prices, discount):
    """Add up the prices of a moonlit market stall, less a discount."""
    return sum(prices) * (1 - discount)
'''
_SCRIPT = """

/** Add up the prices of a moonlit market stall, less a discount. */
export function moonlit_market_total(prices, discount) {
  return prices.reduce((sum, price) => sum + price, 0) * (1 - discount);
}
"""
_GO = """

// moonlit_market_total adds up the prices of a moonlit market stall, less a discount.
func moonlit_market_total(prices []float64, discount float64) float64 {
\tsum := 0.0
\tfor _, price := range prices {
\t\tsum += price
\t}
\treturn sum * (1 - discount)
}
"""
_RUST = """

/// Add up the prices of a moonlit market stall, less a discount.
pub fn moonlit_market_total(prices: &[f64], discount: f64) -> f64 {
    prices.iter().sum::<f64>() * (1.0 - discount)
}
"""
_C = """

/* Add up the prices of a moonlit market stall, less a discount. */
double moonlit_market_total(const double *prices, int count, double discount) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += prices[i];
  return sum * (1 - discount);
}
"""
_MARKDOWN = """

## moonlit_market_total

Adds up the prices of a moonlit market stall, less a discount.
"""
_NEW = {
    ".py": _PYTHON,
    ".ts": _SCRIPT,
    ".js": _SCRIPT,
    ".go": _GO,
    ".rs": _RUST,
    ".c": _C,
    ".cpp": _C,
    ".md": _MARKDOWN,
}

_DEFINITION = re.compile(
    r"^[ \t]*(?:export |pub |public |static |async )*(?:def|func|function|fn|class|struct|#+)"
    r"[ \t]+(?P<name>[A-Za-z_]\w{4,})",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A function's body in a file: cut out for the model to fill in, and what truly stands there.

    ``first`` and ``last`` are the lines of the body, from 1; ``path`` is relative.
    """

    path: str
    symbol: str
    header: str
    first: int
    last: int
    truth: str
    indent: str


def copy_source(source: Path, target: Path) -> int:
    """Copy what an index could want of ``source``; the number of files.

    Raises:
        RefusedError: no folder, nothing in it, or too much.
    """
    if not source.is_dir():
        what = "is not a folder" if source.exists() else "does not exist"
        raise RefusedError(f"{source} {what}", hint="gardenerctl try PATH takes a folder")
    files, total = 0, 0
    for file in walk(source):
        total += file.stat().st_size
        if total > _MAX_TOTAL_BYTES:
            raise RefusedError(
                f"{source} has more than {_MAX_TOTAL_BYTES // 1_000_000} MB of files",
                hint="give one package of it to the tour; `gardenerctl add` takes all of it",
            )
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, copy)
        except PermissionError:
            continue  # what the user may not read is not toured
        files += 1
    if not files:
        raise RefusedError(f"{source} has no file to index", hint="give a folder with code")
    return files


def walk(root: Path) -> Iterator[Path]:
    """The regular files under ``root`` of a size worth indexing, in a stable order."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT)
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size <= _MAX_FILE_BYTES:
                yield path


def question_about(root: Path) -> str:
    """A question that the code under ``root`` can answer, from a name defined in it."""
    for path in walk(root):
        if path.suffix not in _NEW or path.name.startswith(("test", "__")):
            continue
        names = [match["name"] for match in _DEFINITION.finditer(_read(path))]
        # A name of two words or more says what it is about.
        telling = [name for name in names if re.search(r"[a-z](_[a-z]|[A-Z])", name)]
        if telling:
            return f"how does {telling[0]} work?"
    return "what is this project about?"


def file_to_edit(root: Path, avoid: Sequence[str] = ()) -> tuple[Path, str] | None:
    """A file and what to append to it; None where no file is of a known language."""
    for suffix, addition in _NEW.items():
        for path in walk(root):
            if path.suffix == suffix and path.relative_to(root).as_posix() not in avoid:
                return path, addition
    return None


def gap_in(root: Path, paths: Sequence[str]) -> Gap | None:
    """The function of ``paths`` to complete: of those with a body of 2 to 8 lines, the one
    nearest to 4 lines, by path and line; chosen before anything was completed."""
    gaps = [gap for path in sorted(paths) for gap in _gaps(root, path)]
    return min(gaps, key=lambda gap: abs(gap.last - gap.first + 1 - 4), default=None)


def cut(root: Path, gap: Gap) -> None:
    """Replace the body by a line of indentation alone, in the private copy."""
    path = root / gap.path
    lines = _read(path).splitlines(keepends=True)
    lines[gap.first - 1 : gap.last] = [gap.indent + "\n"]
    path.write_text("".join(lines), encoding="utf-8")


def _gaps(root: Path, path: str) -> Iterator[Gap]:
    text = _read(root / path)
    if path.endswith(".py"):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return  # the developer's file is being written; another one will do
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                statements = node.body[1:] if ast.get_docstring(node) else node.body
                if statements and statements[0].lineno > node.lineno:
                    last = statements[-1].end_lineno or statements[-1].lineno
                    yield from _gap(text, path, node.name, node.lineno, statements[0].lineno, last)
        return
    yield from _braced(text, path)


def _braced(text: str, path: str) -> Iterator[Gap]:
    """Bodies in a language with braces: from a definition's ``{`` to the ``}`` below it."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        match = _DEFINITION.match(line)
        if match is None or not line.rstrip().endswith("{"):
            continue
        margin = line[: len(line) - len(line.lstrip())]
        for end in range(at + 1, min(at + 12, len(lines))):
            if lines[end].startswith(margin + "}"):
                yield from _gap(text, path, match["name"], at + 1, at + 2, end)
                break


def _gap(text: str, path: str, symbol: str, header: int, first: int, last: int) -> Iterator[Gap]:
    lines = text.splitlines()
    body = lines[first - 1 : last]
    if not 2 <= len(body) <= 8 or not body[0].strip():
        return
    indent = body[0][: len(body[0]) - len(body[0].lstrip())]
    head = lines[header - 1].strip()
    yield Gap(path, symbol, head, first, last, "\n".join(body), indent)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
