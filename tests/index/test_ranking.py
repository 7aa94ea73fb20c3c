from __future__ import annotations

from itertools import count

from gardenerd.index.query import Query
from gardenerd.index.ranking import Aspect, Candidate, rank

_keys = count()


def chunk(
    path: str,
    symbol: str = "",
    kind: str = "function",
    line: int = 1,
    told: float = 0.0,
    **scores: float,
) -> Candidate:
    found: dict[Aspect, float] = {}
    found.update(scores)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return Candidate(next(_keys), "p", path, symbol, kind, line, found, told)


def order(query: str, *candidates: Candidate, k: int = 10) -> list[str]:
    ranked = rank(Query.of(query), candidates, k)
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    return [f"{each.path}:{each.symbol}" for each, _ in ranked]


def test_nothing_found_is_nothing_ranked() -> None:
    assert rank(Query.of("water"), [], 10) == []


def test_a_definition_comes_before_its_mentions() -> None:
    mention = chunk("a.py", "grow", title=9.0, vector=0.5)
    definition = chunk("b.py", "water_bed", title=5.0, vector=0.2)
    assert order("water_bed", mention, definition)[0] == "b.py:water_bed"


def test_a_member_named_with_its_class_comes_before_another_class_s() -> None:
    other = chunk("a.py", "Row.water", title=6.0)
    meant = chunk("b.py", "Bed.water", title=5.0)
    assert order("Bed.water", other, meant)[0] == "b.py:Bed.water"


def test_a_plain_word_of_several_may_be_meant_as_a_word() -> None:
    named = chunk("a.py", "control", title=3.0, vector=0.1)
    about = chunk("b.py", "strip_codes", title=9.0, vector=0.6)
    assert order("strip control codes", named, about)[0] == "b.py:strip_codes"


def test_code_comes_before_tests_and_prose_unless_they_are_asked_for() -> None:
    def found() -> list[Candidate]:
        return [
            chunk("tests/test_bed.py", "test_water", title=5.0),
            chunk("README.md", "Water", "section", title=5.0),
            chunk("bed.py", "sprinkle", title=4.0),
        ]

    assert order("how is watering done", *found())[0] == "bed.py:sprinkle"
    assert order("tests of watering", *found())[0] == "tests/test_bed.py:test_water"
    assert order("watering guide", *found())[0] == "README.md:Water"


def test_one_file_does_not_flood_the_list() -> None:
    many = [chunk("a.py", f"f{n}", line=n, title=9.0 - n / 10) for n in range(5)]
    found = order("water", *many, chunk("b.py", "g", title=1.0))
    assert found[:3] == ["a.py:f0", "a.py:f1", "b.py:g"]
    assert len(found) == 6


def test_a_file_with_several_good_chunks_is_about_the_matter() -> None:
    one = chunk("a.py", "x", title=5.0)
    several = [chunk("b.py", f"y{n}", line=n, title=4.8) for n in range(3)]
    assert order("water the plants", one, *several)[0].startswith("b.py")


def test_a_file_is_found_by_its_path_and_by_as_much_of_it_as_is_given() -> None:
    one = chunk("beds/rows.py", "x", title=3.0)
    other = chunk("tools/rows.py", "y", title=3.0)
    assert order("tools/rows.py", one, other)[0] == "tools/rows.py:y"


def test_a_file_of_the_stack_trace_comes_before_one_of_the_same_name() -> None:
    trace = (
        'It fails\n  File "/site/garden/bed.py", line 1, in a\n  File "json/decoder.py", line 3\n'
    )
    found = [chunk("shed/bed.py", "a", words=3.0), chunk("garden/bed.py", "b", words=3.0)]
    assert order(trace, *found)[0] == "garden/bed.py:b"


def test_what_commits_said_of_a_file_counts_beside_the_rest_and_not_alone() -> None:
    for query in ("water the plants", "water the plants\n\nThey are dry."):
        one, other = chunk("a.py", "x", title=5.0), chunk("b.py", "y", title=4.5, told=3.0)
        assert order(query, one, other)[0] == "b.py:y"
        much = chunk("c.py", "z", told=9.0)
        assert order(query, one, much)[0] == "a.py:x"


def test_a_file_that_only_commits_speak_of_is_found() -> None:
    assert order("zanzibarquux", chunk("a.py", "x", told=2.0)) == ["a.py:x"]
