"""Where completions end; the text is fed a character at a time, as the worst streaming does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.answer.stops import CodeStop, TokenLoop


def complete(before: str, written: str, after: str = "", path: str = "a.py") -> str:
    shape = CodeStop(path, before, after)
    shown = "".join(shape.feed(each) for each in written)
    return shown + shape.close()


METHOD = "class Plant:\n    def water(self):\n        "


@pytest.mark.parametrize(
    ("before", "written", "after", "wanted"),
    [
        # code outside of the block is not the cursor's business
        (METHOD, "self.wet = True\n\n    def dry(self):\n", "", "self.wet = True\n\n"),
        (
            METHOD,
            "if a:\n            b()\n        c()\nx = 1\n",
            "",
            "if a:\n            b()\n        c()\n",
        ),
        ("def f(a):", "\n    return a\n\n\ndef g():\n", "", "\n    return a\n\n\n"),
        ("def f(a):\n", "    return a\nprint(f(1))\n", "", "    return a\n"),
        # the end of a signature over several lines is not outside
        ("def f(\n", "    a,\n) -> int:\n    return a\n", "", "    a,\n) -> int:\n    return a\n"),
        # at the top level a blank line ends it, unless a block was just opened
        ("x = ", "1\ny = 2\n\nz = 3\n", "", "1\ny = 2\n"),
        # the file goes on with this line already
        (METHOD, "a = 1\n        return a\n", "\n        return a\n", "a = 1\n"),
        ("x = [\n    1,\n", "    2,\n]\ny\n", "]\n", "    2,\n"),
        # within a line only that line is wanted, without what follows the cursor in it
        ("f(", "a, b)\ng()\n", ")\n", "a, b"),
        ("f(", "g(x)\n", ")\n", "g(x)"),
        ("f(", "a, b", ")\n", "a, b"),
        # at the beginning of a line that holds code, new lines go before it
        ("def f():\n    ", "a = 1\n    return a\n", "return a\n", "a = 1\n    "),
        # a comment after the colon, and the text of a string, are no end
        ("def f():  # no cover\n", "    a()\n\n    b()\nx\n", "", "    a()\n\n    b()\n"),
        (METHOD, 'x = """\n<a>\n\n"""\n        y()\nz\n', "", 'x = """\n<a>\n\n"""\n        y()\n'),
        (
            'def f():\n    """Do',
            ' it.\n\nWell.\n    """\n    x\ny\n',
            "",
            ' it.\n\nWell.\n    """\n    x\n',
        ),
        # round and round
        ("", "a()\n" * 6, "", "a()\n" * 3),
        ("", "a()\nb()\na()\nb()\na()\n", "", "a()\nb()\na()\n"),
        ("x = ", "1", "", "1"),
        ("x = ", "", "", ""),
    ],
)
def test_completions_end_where_they_should(
    before: str, written: str, after: str, wanted: str
) -> None:
    assert complete(before, written, after) == wanted


def test_other_languages_end_below_the_line_of_the_cursor() -> None:
    before = "func f() {\n\tx := "
    assert complete(before, "1\n\ty := 2\n}\n\nfunc g() {}\n", "\n}\n", "a.go") == "1\n\ty := 2\n"


@given(st.text("ab:\n ()", max_size=60), st.text("ab:\n ()", max_size=20), st.data())
def test_how_the_text_arrives_does_not_matter(
    written: str, before: str, data: st.DataObject
) -> None:
    after = data.draw(st.text("ab\n )", max_size=12))
    whole = CodeStop("a.py", before, after)
    at_once = whole.feed(written) + whole.close()
    assert complete(before, written, after) == at_once
    assert not at_once.strip() or at_once.strip()[0] in written


def test_a_pattern_of_tokens_that_fills_the_end_is_a_loop() -> None:
    loop = TokenLoop()
    fed = [loop.feed(token) for token in [9, 8, *([1, 2, 3] * 8)]]
    assert fed.index(True) == len(fed) - 1


def test_lists_of_numbers_are_no_loop() -> None:
    loop = TokenLoop()
    assert not any(loop.feed(token) for n in range(40) for token in (n + 10, 1, 2))
