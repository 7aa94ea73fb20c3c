from __future__ import annotations

import pytest

from gardenerd.index.marks import marks_asked, marks_of
from gardenerd.index.query import Query

REPORT = """Watering fails when the bed is empty
<!-- Thanks for reporting! Please search existing tickets in TicketTracker first. -->
Calling `Bed.water` with nothing planted gives an error, see garden/beds/rows.py.

    Traceback (most recent call last):
      File "/home/me/site-packages/garden/beds/rows.py", line 12, in water
        self.can.pour(self.plants[0])
      File "/home/me/site-packages/garden/tools/can.py", line 7, in pour
    IndexError: list index out of range
"""


def test_a_short_query_is_all_title() -> None:
    query = Query.of("  where is the HTTPResponse parsed? ")
    assert query.short
    assert query.title == "where is the HTTPResponse parsed?"
    assert query.title_words == ("httpresponse", "http", "respons", "pars")
    assert query.words == ()
    assert {"HTTPResponse", "parsed", "where"} <= query.names


def test_a_long_query_has_a_title_and_names_that_are_no_plain_words() -> None:
    query = Query.of(REPORT)
    assert not query.short
    assert query.title == "Watering fails when the bed is empty"
    assert {"Bed.water", "Bed", "water", "can.pour", "IndexError"} <= query.names
    assert not {"Calling", "error", "Traceback"} & query.names
    assert query.files >= {"garden/beds/rows.py"}
    assert set(query.title_words) <= set(query.words)


def test_the_comments_of_a_form_are_no_part_of_a_report() -> None:
    assert not {"tickettracker", "ticket"} & set(Query.of(REPORT).words)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ('  File "src/a/b.py", line 3, in f', "src/a/b.py"),
        ("src/a/b.go:31 +0x1d", "src/a/b.go"),
        ("    at parse (lib/router.ts:10:5)", "lib/router.ts"),
        ('  File "C:\\src\\a.py", line 1', "src/a.py"),
    ],
)
def test_files_of_stack_traces_of_several_languages(line: str, file: str) -> None:
    assert {found.lstrip("/") for found in Query.of(f"It fails\n{line}").files} == {file}


def test_what_the_query_is_about() -> None:
    assert Query.of("tests of the parser").tests
    assert not Query.of("the parser").tests
    assert not Query.of(REPORT + "\nsee the tests and the docs").tests
    assert Query.of("installation guide").prose


@pytest.mark.parametrize(
    "text", ["", " \n ", "\0", "<!--", "::", "a" * 50_000, "日本語", "-\n" * 999]
)
def test_any_text_is_a_query(text: str) -> None:
    query = Query.of(text)
    assert len(query.names) <= 200
    assert all(mark[0] in ":/" for mark in marks_asked(query))


def test_marks_lead_from_names_to_definitions_and_files() -> None:
    asked = set(marks_asked(Query.of("Bed.water in beds/rows.py")))
    assert asked >= set(marks_of("garden/beds/rows.py", "Bed.water"))
    assert asked.isdisjoint(marks_of("garden/can.py", "Can.pour"))


def test_a_file_that_stands_for_its_folder_is_marked_by_it() -> None:
    assert "/router" in marks_of("src/router/index.ts", "")
    assert "/beds" in marks_of("garden/beds/__init__.py", "")
    assert "/garden" not in marks_of("garden/rows.py", "")
