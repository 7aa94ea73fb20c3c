"""Base models and adapters: what they are, how they are loaded and scored.

``info`` and ``card`` are light (standard library and msgspec) and may be imported anywhere; the
others import torch and belong in a child process.
"""
