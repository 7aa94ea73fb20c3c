"""A line plot as SVG: enough for one figure by night, and no library to draw it with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 190, 30, 40
_COLOURS = ("#1b7837", "#2166ac", "#b2182b", "#ef8a62", "#762a83", "#9970ab")
_TICKS = 6


def svg(title: str, lines: Mapping[str, Sequence[float | None]], marks: Sequence[int] = ()) -> str:
    """Each line over 1, 2, 3, ...; a None is left out, a mark is a dot on the first line.

    Args:
        title: what the vertical axis counts.
        lines: values by name.
        marks: places, from 1, at which something happened.
    """
    values = [value for line in lines.values() for value in line if value is not None]
    count = max(map(len, lines.values()), default=0)
    low, high = min([*values, 0.0]), max([*values, 0.0])
    step = _step(high - low)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step or step

    def x(place: float) -> float:
        return _LEFT + (place - 1) / max(1, count - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18">{escape(title)}</text>',
    ]
    for i in range(round((high - low) / step) + 1):
        value = low + i * step
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#ddd"/><text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{value:g}</text>"
        )
    parts += [
        f'<text x="{x(place):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{place}</text>'
        for place in range(1, count + 1, max(1, count // 10))
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(x(i), y(value)) for i, value in enumerate(line, 1) if value is not None]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        below = _TOP + 14 + 18 * number
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 12}" y="{below}" fill="{colour}">{escape(name)}</text>'
        )
    first = next(iter(lines.values()), [])
    for place in marks:
        value = first[place - 1]
        if value is not None:
            parts.append(f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="4" fill="#1b7837"/>')
    return "\n".join([*parts, "</svg>\n"])


def _step(span: float) -> float:
    """A round distance between ticks."""
    rough = max(span, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * f for f in (1, 2, 5, 10) if power * f >= rough)
