"""Quotations that answer questions about code."""

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core import extractive
from gardenerd.workers.jobs import Hit


def hit(symbol: str, path: str, start: int, text: str, **fields: object) -> Hit:
    given_fields: dict[str, object] = {
        "project": "garden",
        "path": path,
        "start_line": start,
        "end_line": start + text.count("\n"),
        "symbol": symbol,
        "kind": "function",
        "score": 1.0,
        "text": text,
        **fields,
    }
    return Hit(**given_fields)  # type: ignore[arg-type]


WATER = hit(
    "Garden.water",
    "garden/beds.py",
    40,
    '''    @timed
    def water(
        self, litres: float
    ) -> None:
        """Water every plant that is dry.

        Plants in the shade get half.
        """
        share = litres / len(self.plants)
        for plant in self.plants:
            if plant.moisture < THRESHOLD:
                plant.moisture += share
        self.log("watered")''',
    signature="def water(\n        self, litres: float\n    ) -> None",
    docstring="Water every plant that is dry.\n\nPlants in the shade get half.",
)
PRUNE = hit(
    "prune",
    "garden/care.py",
    1,
    "def prune(tree):\n    tree.branches.pop()\n    return tree",
    signature="def prune(tree)",
)
TEST = hit(
    "test_watering",
    "tests/test_beds.py",
    5,
    "def test_watering():\n    garden.water(3)\n    assert garden.moisture",
    signature="def test_watering()",
)


def test_the_symbol_that_the_question_is_about_comes_first_with_its_place_and_meaning() -> None:
    answer = extractive.answer("how do I water the dry plants?", [PRUNE, TEST, WATER])
    first = answer.extracts[0]
    assert (first.symbol, first.path, first.start_line, first.end_line) == (
        "Garden.water",
        "garden/beds.py",
        40,
        52,
    )
    assert first.signature == "def water( self, litres: float ) -> None"
    assert first.summary == "Water every plant that is dry."
    assert "garden/beds.py:40-52" in answer.text


def test_lines_bear_their_numbers_and_leave_out_signature_decorator_and_docstring() -> None:
    first = extractive.answer("where is moisture compared with the threshold?", [WATER]).extracts[0]
    source = WATER.text.split("\n")
    assert first.lines
    for line in first.lines:
        assert line.text.strip() == source[line.number - 40].strip()
    assert "if plant.moisture < THRESHOLD:" in [line.text.strip() for line in first.lines]
    assert min(line.number for line in first.lines) >= 48


def test_a_symbol_named_in_the_question_wins_over_the_order_of_the_search() -> None:
    answer = extractive.answer("what does prune do?", [WATER, TEST, PRUNE])
    assert answer.extracts[0].symbol == "prune"


def test_tests_stand_back_unless_they_are_asked_for() -> None:
    assert extractive.answer("watering", [TEST, WATER]).extracts[0].path == "garden/beds.py"
    asked = extractive.answer("which test tries watering?", [TEST, WATER])
    assert asked.extracts[0].path == "tests/test_beds.py"


def test_it_says_that_it_quotes_and_how_to_get_more() -> None:
    text = extractive.answer("water", [WATER]).text
    assert "cannot chat" in text and "model.base" in text and "config.toml" in text


def test_no_hits_are_said_to_be_none() -> None:
    answer = extractive.answer("why?", [])
    assert answer.extracts == ()
    assert answer.text == extractive.NOTHING


def test_hits_that_overlap_are_quoted_once() -> None:
    inner = hit("Garden.water", "garden/beds.py", 44, "        share = 1")
    assert len(extractive.answer("water", [WATER, inner, WATER]).extracts) == 1


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = hit("f", "a.py", 1, "def f():\n    x = '\x1b]0;owned\x07'", signature="def f()\x1b[2J")
    text = extractive.answer("f", [evil]).text
    assert not set(text) & {"\x1b", "\x07"}


def test_comments_before_code_of_other_languages_are_the_summary() -> None:
    go = hit(
        "Prune",
        "care.go",
        7,
        "// Prune cuts the dead branches.\nfunc Prune(t *Tree) {\n\tt.cut(dead)\n}",
        signature="func Prune(t *Tree)",
        docstring="Prune cuts the dead branches.",
    )
    first = extractive.answer("how are dead branches cut?", [go]).extracts[0]
    assert first.summary == "Prune cuts the dead branches."
    assert (first.lines[0].number, first.lines[0].text.strip()) == (9, "t.cut(dead)")


text = st.text("ab c_d(\n):\"'@", max_size=80)


@given(text, st.lists(st.tuples(text, text, text), max_size=6))
def test_any_hits_give_the_same_answer_twice(
    question: str, parts: list[tuple[str, str, str]]
) -> None:
    hits = [
        hit("s", f"{n}.py", 3, body, signature=signature, docstring=doc)
        for n, (body, signature, doc) in enumerate(parts)
    ]
    answer = extractive.answer(question, hits)
    assert answer == extractive.answer(question, hits)
    assert len(answer.extracts) == min(len(hits), extractive.MAX_EXTRACTS)
    for extract in answer.extracts:
        assert len(extract.lines) <= extractive.MAX_LINES
        assert all(extract.start_line <= line.number <= extract.end_line for line in extract.lines)
