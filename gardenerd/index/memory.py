"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Let go of what was freed; nothing where the C library does so by itself, or cannot.

    glibc keeps it in an arena for each thread, of which LanceDB has dozens: without this the index
    worker grew by 100 MB and more over a hundred optimisations.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):  # musl has none
            library.malloc_trim(0)
