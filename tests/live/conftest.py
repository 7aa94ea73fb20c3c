"""A running garden and a small project to tend."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import new_home
from tests.live.garden import ONLY_ASKED, Garden
from tests.tiny_models import make_base

SOURCES = {
    "shop/basket.py": '''"""Baskets that shoppers fill."""


class Basket:
    """What a shopper has chosen."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def add_item(self, name: str, count: int = 1) -> None:
        """Put ``count`` pieces of ``name`` into the basket."""
        self.items[name] = self.items.get(name, 0) + count

    def total_price(self, prices: dict[str, float]) -> float:
        """The sum over all items, by the price list."""
        return sum(prices[name] * count for name, count in self.items.items())
''',
    "shop/shipping.py": '''"""Parcels and what they cost."""


def shipping_cost(weight_kg: float, express: bool = False) -> float:
    """Cost in euro for a parcel of this weight."""
    base = 4.5 + 0.9 * weight_kg
    return base * 2 if express else base
''',
    "web/cart.ts": """export interface CartLine { sku: string; quantity: number }

/** Merge lines of the same article. */
export function mergeCartLines(lines: CartLine[]): CartLine[] {
  const merged = new Map<string, number>();
  for (const line of lines) merged.set(line.sku, (merged.get(line.sku) ?? 0) + line.quantity);
  return [...merged].map(([sku, quantity]) => ({ sku, quantity }));
}
""",
    "README.md": "# Shop\n\nA small shop.\n\n## Deployment\n\nReleases go out on Fridays.\n",
    ".gitignore": "build/\n*.log\n",
    "build/generated.py": "def generated_thing():\n    return 'never indexed'\n",
}


@pytest.fixture
def resting(home_folder: Path) -> Iterator[Garden]:
    """A garden that was never started; it is stopped afterwards, and nothing of it may be left."""
    made = Garden(home_folder)
    made.configure(ONLY_ASKED)
    yield made
    made.stop()


@pytest.fixture
def garden(resting: Garden) -> Garden:
    """One that runs."""
    resting.start()
    return resting


@pytest.fixture(scope="module")
def daemon() -> Iterator[Garden]:
    with new_home() as home:
        made = Garden(home)
        made.configure(ONLY_ASKED)
        made.start()
        yield made
        made.stop()


@pytest.fixture
def shared(daemon: Garden) -> Iterator[Garden]:
    """The garden of a whole file, whose workers need not import what they need for each test. It
    tends nothing at first, and is asked to forget what the test had it tend."""
    yield daemon
    if daemon.home.config.read_text() != ONLY_ASKED:
        daemon.stop()
        daemon.configure(ONLY_ASKED)
    if not daemon.running:
        daemon.start()
    for project in daemon.json("status")["projects"]:
        daemon.ctl("remove", project["name"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for name, text in SOURCES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"), architecture="llama")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return write_library(tmp_path / "library")


PACKAGES = ("json", "email", "html", "urllib", "wsgiref", "importlib", "asyncio")


def write_library(root: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """A project with real code to learn from: some of the standard library's packages."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    for package in packages:
        for file in (standard / package).glob("*.py"):
            if file.stat().st_size < 40_000:
                (root / package).mkdir(parents=True, exist_ok=True)
                (root / package / file.name).write_text(file.read_text())
    return root
