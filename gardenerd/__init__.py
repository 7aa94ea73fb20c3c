"""The daemon that tends a developer's code: watches, indexes, learns at night, answers."""

__version__ = "0.1.0"
