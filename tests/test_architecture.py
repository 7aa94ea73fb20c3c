"""Keeps the house: layers, no cycles, a light supervisor and command line, small files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "peft", "accelerate", "lancedb", "pyarrow", "numpy", "scipy")
LONGEST = 450

LIGHT_MODELS = ("catalogue", "check", "estimate", "fit", "origin", "shelf")

# From the ground up; a module may import its own layer and those below.
LAYERS = [
    ("gardenerd.errors", "gardenerd.durable", "gardenerd.settings", "gardenerd.paths"),
    ("gardenerd.logs", "gardenerd.workers.jobs", "gardenerd.workers.frames")
    + ("gardenerd.workers.train_jobs", "gardenerd.workers.tune_jobs", "gardenerd.workers.tuned")
    + ("gardenerd.workers.fetch_jobs", "gardenerd.workers.export_jobs"),
    ("gardenerd.core",),
    ("gardenerd.watch", "gardenerd.host", "gardenerd.store", "gardenerd.wire")
    + ("gardenerd.models.info", "gardenerd.models.card", "gardenerd.models.served")
    + ("gardenerd.index.generation",)
    + tuple(f"gardenerd.models.{light}" for light in LIGHT_MODELS)
    + ("gardenerd.seedling",),
    ("gardenerd.workers.child", "gardenerd.workers.environment", "gardenerd.workers.harness"),
    ("gardenerd.service",),
    ("gardenerd.status", "gardenerd.daemon", "gardenerd.__main__"),
]
INSIDE_WORKERS = ("gardenerd.index", "gardenerd.train", "gardenerd.answer", "gardenerd.export")
IMPURE = {"asyncio", "os", "time", "random", "socket", "sqlite3", "subprocess", "threading", "io"}


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    return found


SOURCES = modules("gardenerd") | modules("gardenerctl")


def imports(path: Path) -> set[str]:
    """Every module named by an import, those under TYPE_CHECKING and in functions too."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                named.add(full if full in SOURCES else node.module)
    return named


def layer(module: str) -> int | None:
    best: tuple[int, int] | None = None
    for height, names in enumerate(LAYERS):
        for name in names:
            if (module == name or module.startswith(name + ".")) and (
                best is None or len(name) > best[0]
            ):
                best = (len(name), height)
    return best[1] if best else None


@pytest.mark.parametrize("module", [m for m in SOURCES if layer(m) is not None])
def test_imports_run_only_downward(module: str) -> None:
    height = layer(module)
    assert height is not None
    if module.startswith("gardenerd.seedling."):
        return  # scripts that train the embedded model
    for other in imports(SOURCES[module]):
        if other.startswith("gardenerd."):
            below = layer(other)
            assert below is not None, f"{module} imports {other}, which lives inside workers"
            assert below <= height, f"{module} imports {other}, which stands above it"


def test_there_is_no_cycle() -> None:
    edges = {module: imports(path) & set(SOURCES) for module, path in SOURCES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for other in edges[module] - {module}:
                visit(other, (*trail, module))
            done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("gardenerd.core")])
def test_the_core_is_pure(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(SOURCES[module])} & IMPURE


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("gardenerctl")])
def test_the_command_line_knows_the_wire_alone(module: str) -> None:
    allowed = ("gardenerd.wire", "gardenerd.paths", "gardenerd.settings", "gardenerd.errors")
    for other in imports(SOURCES[module]):
        if other.startswith("gardenerd."):
            assert other.startswith(allowed), f"{module} imports {other}"


def test_what_runs_inside_workers_is_imported_nowhere_else() -> None:
    for module, path in SOURCES.items():
        if module.startswith((*INSIDE_WORKERS, "gardenerd.workers.", "gardenerd.models")):
            continue
        for other in imports(path) - {"gardenerd.index.generation"}:
            assert not other.startswith(INSIDE_WORKERS), f"{module} imports {other}"


@pytest.mark.parametrize("module", ["gardenerd.daemon", "gardenerctl.main"])
def test_nothing_heavy_is_imported(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_files_are_of_one_idea() -> None:
    long = {m: n for m, p in SOURCES.items() if (n := len(p.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_the_readme_names_every_package() -> None:
    text = (ROOT / "README.md").read_text()
    for folder in sorted((ROOT / "gardenerd").iterdir()):
        if (folder / "__init__.py").is_file():
            assert f"{folder.name}/" in text, f"README.md does not name gardenerd/{folder.name}"
