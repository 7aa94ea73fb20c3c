"""What stems from a file: by its path, its lines, its words."""

from __future__ import annotations

import pytest

from gardenerd.core.forgetting import is_copy, long_lines, name_of, telling, within, without


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a/b.py", True), ("a/b.py/c", True), ("a/b.pyi", False), ("b.py", False), ("a", False)],
)
def test_a_place_is_a_file_or_all_that_lies_in_a_folder(path: str, inside: bool) -> None:
    assert within(path, "a/b.py") is inside


def test_half_of_the_long_lines_make_a_copy() -> None:
    lines = long_lines("def price(order):\n    return sum(order.items)\n\nx = 1\n")
    assert lines == {"def price(order):", "return sum(order.items)"}
    assert is_copy("class A:\n    def price(order):\n        return 1_000_000\n", lines)
    assert not is_copy("def other(basket):\n    return sum(basket.all)\n", lines)
    assert not is_copy("x = 1\n", lines)  # it stands in any code


def test_only_long_words_tell() -> None:
    assert telling("def price(order_id): return Zanzibar7") == {"order_id", "return", "Zanzibar7"}


def test_a_report_keeps_what_is_not_forgotten() -> None:
    report = {
        "scores": [{"path": "a/x.py", "base": 1.0}, {"path": "b.py", "base": 2.0}],
        "learned": {"new": 3, "folders": [["a", 2], ["b", 1]]},
        "seconds": {"training": 1.0},
    }
    assert without(report, "a") == {
        "scores": [{"path": "b.py", "base": 2.0}],
        "learned": {"new": 3, "folders": [["b", 1]]},
        "seconds": {"training": 1.0},
    }
    assert without({}, "a") == {}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"cause": "cannot read src/a.py"}', True),
        ('{"cause": "/home/me/shop/src/a.py: denied"}', True),
        ("src/a.py.", True),
        ("src/a.pyi and src/a.py.bak", False),
        ("other-src/a.py", False),
    ],
)
def test_a_name_in_a_log_is_the_whole_name(line: str, found: bool) -> None:
    assert bool(name_of("src/a.py").search(line)) is found
