"""What an adapter version is called at a server."""

from __future__ import annotations

from pathlib import Path

from gardenerd.workers.jobs import AdapterRef

PREFIX = "gardener-"


def served_name(adapter: AdapterRef) -> str:
    """``gardener-PROJECT-VERSION``, by the folder that the version lies in."""
    return f"{PREFIX}{Path(adapter.folder).parent.name}-{adapter.version}"
