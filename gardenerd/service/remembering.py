"""Keeps the answers that were given, so that feedback can name them and a conversation go on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from gardenerd.store.feedback import Given
from gardenerd.store.stores import Stores


def remember(
    stores: Stores,
    op: str,
    project: str | None,
    question: str,
    text: str,
    *,
    sources: list[dict[str, Any]],
    adapter: str | None,
    base: str,
    seen: Iterable[tuple[str, str]] = (),
    lost: bool = False,
) -> tuple[str, bool]:
    """Keep an answer; gives its id, and whether its text is kept too.

    Of one that stems from a file that was forgotten meanwhile only that it was given.

    Args:
        seen: projects and paths of all that the model was shown beside its sources.
        lost: it was shown something else that was forgotten meanwhile.
    """
    answer = secrets.token_hex(4)
    places = {*seen, *((project, source["path"]) for source in sources if project is not None)}
    forgotten = lost or any(stores.forgotten.covering(owner, path) for owner, path in places)
    if forgotten:
        question, text, sources = "", "", []
    stores.feedback.record_answer(
        Given(
            id=answer,
            project=project,
            op=op,
            question=question,
            text=text,
            sources=sources,
            adapter=adapter,
            base=base,
            created=time.time(),
        )
    )
    return answer, not forgotten
