"""What is kept of a long file around the cursor."""

import itertools

import pytest

from gardenerd.answer.local.prompt import (
    FillTokens,
    Prompt,
    RepositoryTokens,
    completion_prompt,
)
from gardenerd.workers.jobs import Excerpt, Surroundings

FILL = FillTokens(prefix=1_000, suffix=1_001, middle=1_002)


def encode(text: str) -> list[int]:
    return list(text.encode())


def prompt(before: str, after: str, *, fill: FillTokens | None = FILL, **limits: int) -> Prompt:
    given = {"window": 100, "max_tokens": 20, **limits}
    return completion_prompt(before, after, encode=encode, fill=fill, begin=None, **given)


def test_short_texts_are_kept_whole_between_the_fill_tokens() -> None:
    made = prompt("ab", "cd")
    assert made == Prompt(ids=[1_000, *b"ab", 1_001, *b"cd", 1_002], room=20)


@pytest.mark.parametrize(
    ("before", "after", "kept_before", "kept_after"),
    [(500, 500, 57, 20), (500, 5, 72, 5), (10, 500, 10, 67), (500, 0, 77, 0)],
)
def test_the_far_ends_are_cut_three_to_one(
    before: int, after: int, kept_before: int, kept_after: int
) -> None:
    head = "".join(chr(97 + i % 26) for i in range(before))
    tail = "".join(chr(65 + i % 26) for i in range(after))
    made = prompt(head, tail)
    middle = made.ids.index(FILL.suffix)
    kept = bytes(made.ids[1:middle]).decode()
    assert head.endswith(kept)
    assert kept_before * 15 / 16 <= len(kept) <= kept_before
    assert bytes(made.ids[middle + 1 : -1]).decode() == tail[:kept_after]
    assert len(made.ids) + made.room <= 100


def test_a_model_that_cannot_fill_in_continues_the_prefix() -> None:
    made = prompt("x" * 300 + "end", "never read", fill=None)
    assert bytes(made.ids).decode().endswith("xend")
    assert 95 < len(made.ids) + made.room <= 100


@pytest.mark.parametrize("fill", [FILL, None])
def test_a_long_text_that_is_gone_on_with_mostly_begins_where_it_began(
    fill: FillTokens | None,
) -> None:
    text = "".join(f"line {number}\n" for number in range(900))
    begun = [prompt(text[:end], "", fill=fill, window=400).ids[:100] for end in range(6_000, 6_200)]
    moved = sum(one != other for one, other in itertools.pairwise(begun))
    assert 5 < moved < 15  # not with every character


def test_nothing_before_the_cursor_is_still_a_prompt() -> None:
    assert prompt("", "", fill=None).ids == [10]


def test_what_is_written_takes_half_of_the_window_at_most() -> None:
    assert prompt("x" * 500, "", max_tokens=5_000).room == 50


AROUND = Surroundings(
    repository="shop",
    path="d.py",
    excerpts=[Excerpt(path=f"{name}.py", start_line=1, end_line=1, text=name) for name in "ab"],
)


@pytest.mark.parametrize(
    ("within", "ids"),
    [
        (  # Qwen2.5-Coder
            False,
            [1, *b"shop\n", 2, *b"a.py\na\n", 2, *b"b.py\nb\n", 2, *b"d.py\n"]
            + [1_000, *b"x", 1_001, *b"y", 1_002],
        ),
        (  # StarCoder2
            True,
            [1, *b"shop", 2, *b"a.py\na", 2, *b"b.py\nb", 2]
            + [1_000, *b"d.py\nx", 1_001, *b"y", 1_002],
        ),
    ],
)
def test_other_files_stand_as_the_model_was_trained_to_read_them(
    within: bool, ids: list[int]
) -> None:
    fill = FillTokens(1_000, 1_001, 1_002, RepositoryTokens(1, 2, path_within=within))
    given = {"encode": encode, "begin": None, "window": 200, "max_tokens": 20, "around": AROUND}
    assert completion_prompt("x", "y", fill=fill, **given) == Prompt(ids=ids, room=20)
    long = completion_prompt("x" * 500, "y" * 500, fill=fill, **given)
    assert 190 < len(long.ids) + long.room <= 200
    # A model that knows nothing of repositories, or of filling in, is not shown them.
    assert completion_prompt("x", "y", fill=FILL, **given).ids[0] == FILL.prefix
    assert completion_prompt("x", "y", fill=None, **given).ids == [*b"x"]
