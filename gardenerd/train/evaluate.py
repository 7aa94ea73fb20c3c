"""Score base, incumbent and candidate on held-out texts, in bits per byte on the same tokens."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from gardenerd import seedling
from gardenerd.core import quality
from gardenerd.models import adapters, nll
from gardenerd.models.load import Base
from gardenerd.workers.jobs import AdapterRef, FreshText, HeldOutText
from gardenerd.workers.train_jobs import FreshScore, PairedScore

SLICE_BYTES = {"recent": 80_000, "older": 80_000, "general": 40_000}
"""Of each slice at most, so that validation takes about as long in every project."""
FILE_BYTES = 6_000
"""Of each file its beginning, up to this: many files say more than long ones."""


def general_modules() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """General code that judges a candidate, and other such code that chooses its strength.

    Neither is ever trained on, and the seedling never saw either: code that a model was trained
    on asks for a lower strength (a step lower in both of the nights on celery where both chose).
    """
    return tuple(seedling.GENERAL_MODULES[::2]), tuple(seedling.GENERAL_MODULES[1::2])


def general_texts(modules: Sequence[str]) -> list[HeldOutText]:
    """The sources of modules of the standard library: general code that must not be forgotten."""
    texts: list[HeldOutText] = []
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            source = Path(spec.origin).read_text(encoding="utf-8")
            texts.append(HeldOutText(path=name, slice="general", text=source))
    return texts


def bound(texts: Sequence[HeldOutText]) -> list[HeldOutText]:
    """What is scored of the held-out texts: the same for the same texts, within the limits above.

    Left out: empty files and tables of data.
    """
    kept: list[HeldOutText] = []
    used: dict[str, int] = {}
    for text in sorted(texts, key=lambda text: hashlib.blake2b(text.path.encode()).digest()):
        head = beginning(text.text, FILE_BYTES)
        size = len(head.encode())
        full = used.get(text.slice, 0) >= SLICE_BYTES[text.slice]
        if full or not head.strip() or quality.is_data(head):
            continue
        used[text.slice] = used.get(text.slice, 0) + size
        kept.append(HeldOutText(path=text.path, slice=text.slice, text=head))
    return kept


def beginning(text: str, size: int) -> str:
    """The first whole lines of ``text`` that fit ``size`` bytes; at least a part of the first."""
    data = text.encode()
    if len(data) <= size:
        return text
    end = data.rfind(b"\n", 0, size) + 1
    return data[: end or size].decode(errors="ignore")


def compare(
    base: Base,
    texts: Sequence[HeldOutText],
    *,
    incumbent: AdapterRef | None,
    candidate: Path,
    check: Callable[[float], None] = lambda _share: None,
) -> list[PairedScore]:
    """Score each text under the three models.

    Args:
        incumbent: what serves now; None: the base itself.
        check: called with the share done, 0 to 1, between batches; it may raise to cancel.

    Raises:
        AdapterError: an adapter is damaged or of another base.
        ModelError: a score was not finite.
    """
    contestants = {"incumbent": None if incumbent is None else Path(incumbent.folder)}
    scores = _score(base, [t.text for t in texts], contestants | {"candidate": candidate}, check)
    return [
        PairedScore(
            path=text.path,
            slice=text.slice,
            bytes=one.bytes,
            base=one.bits_per_byte,
            incumbent=two.bits_per_byte,
            candidate=three.bits_per_byte,
        )
        for text, one, two, three in zip(
            texts, scores["base"], scores["incumbent"], scores["candidate"], strict=True
        )
    ]


def compare_fresh(
    base: Base,
    texts: Sequence[FreshText],
    *,
    incumbent: Path | None,
    challenger: Path | None,
    previous: Path | None,
    on_probation: bool,
    check: Callable[[float], None] = lambda _share: None,
) -> list[FreshScore]:
    """Score each day's new code under the base and under three adapters; None is the base.

    Raises:
        AdapterError: an adapter is damaged or of another base.
        ModelError: a score was not finite.
    """
    texts = sorted(texts, key=lambda text: text.day)
    contestants = {"incumbent": incumbent, "challenger": challenger, "previous": previous}
    scores = _score(base, [text.text for text in texts], contestants, check)
    found: list[FreshScore] = []
    for day, members in groupby(range(len(texts)), key=lambda i: texts[i].day):
        chosen = list(members)
        total = {
            name: nll.TextScore(
                nats=sum(given[i].nats for i in chosen),
                tokens=sum(given[i].tokens for i in chosen),
                bytes=sum(given[i].bytes for i in chosen),
            )
            for name, given in scores.items()
        }
        found.append(
            FreshScore(
                day=day,
                bytes=total["base"].bytes,
                base=total["base"].bits_per_byte,
                incumbent=total["incumbent"].bits_per_byte,
                challenger=total["challenger"].bits_per_byte,
                previous=total["previous"].bits_per_byte if on_probation else None,
            )
        )
    return found


def _score(
    base: Base,
    contents: Sequence[str],
    contestants: Mapping[str, Path | None],
    check: Callable[[float], None],
) -> dict[str, list[nll.TextScore]]:
    """The texts' scores under ``base`` and each contestant; each folder is scored once."""
    folders = dict.fromkeys(folder for folder in contestants.values() if folder is not None)
    passes = len(folders) + 1
    by_folder: dict[Path | None, list[nll.TextScore]] = {}
    model: Any = None
    for number, folder in enumerate([None, *folders]):
        if folder is not None:
            name = f"contestant-{number}"
            model = adapters.attach(base, folder, name=name, model=model)
            model.set_adapter(name)
        by_folder[folder] = nll.score(
            base,
            contents,
            model=model,
            check=lambda done, total, number=number: check(
                (number + done / max(1, total)) / passes
            ),
        )
    return {"base": by_folder[None]} | {
        name: by_folder[folder] for name, folder in contestants.items()
    }
