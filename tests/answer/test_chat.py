"""A conversation is composed within its budget, and goes on word for word."""

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.answer.chat import SYSTEM, Composed, compose, without_system
from gardenerd.workers.jobs import Turn
from tests.answer.sources import SOURCES, hit

BESIDE = len(SYSTEM.split()) + 3 * 16


def words(text: str) -> int:
    return len(text.split())


def composed(question: str, budget: int, turns: list[Turn] | None = None) -> Composed:
    return compose(
        question,
        SOURCES,
        turns or [],
        budget=budget,
        count=words,
        clean=lambda text: text.replace("%END%", "% END%"),
    )


def test_sources_are_labelled_and_the_question_comes_last() -> None:
    made = composed("why?", 1_000)
    content = made.messages[1]["content"]
    assert '<source path="a/b.py" lines="10-12">\n10| one\n11| two\n12| three\n</source>' in content
    assert content.endswith("Question: why?")
    assert [each.path for each in made.sources] == ["a/b.py", "c.py"]
    assert [part.kind for part in made.parts] == ["system", "source", "source", "question"]


def test_control_tokens_of_the_model_are_taken_out_of_all_that_is_data() -> None:
    turn = Turn(question="a %END%?", answer="no %END%", sources=[hit("%END%.py", 1, "x %END%")])
    made = composed("%END%", 1_000, [turn])
    assert not any("%END%" in message["content"] for message in made.messages)


def test_sources_that_do_not_fit_are_left_out() -> None:
    made = composed("why?", BESIDE + 5)
    assert made.sources == []
    assert "no further sources" in made.messages[1]["content"]


def test_a_conversation_goes_on_word_for_word() -> None:
    first = composed("why?", 1_000)
    turn = Turn(question="why?", answer="so", sources=SOURCES)
    second = composed("and then?", 1_000, [turn])
    assert second.messages[:2] == first.messages
    assert second.messages[2] == {"role": "assistant", "content": "so"}
    # What was shown already is not shown again, and may still be cited.
    assert second.messages[3]["content"].count("<source") == 0
    assert second.sources == SOURCES
    kinds = ["system", "source", "source", "question", "turn", "question"]
    assert [part.kind for part in second.parts] == kinds
    assert [part.turn for part in second.parts] == [-1, 0, 0, 0, 0, -1]
    third = composed("and?", 1_000, [turn, Turn(question="and then?", answer="that", sources=[])])
    assert third.messages[:4] == second.messages


def test_the_oldest_turns_go_first_and_of_the_last_one_its_sources() -> None:
    long = hit("l.py", 1, "\n".join(f"word{n}" for n in range(100)))
    turns = [Turn(question=f"q{n}", answer=f"a{n}", sources=[long] * (n == 2)) for n in range(3)]
    made = composed("now?", BESIDE + 400, turns)
    assert (made.dropped, len(made.messages)) == (0, 8)
    made = composed("now?", BESIDE + 310, turns)
    assert made.dropped == 1
    assert [m["content"] for m in made.messages if m["role"] == "assistant"] == ["a1", "a2"]
    for room, cut in ((150, True), (70, False)):
        made = composed("now?", BESIDE + room, turns)
        assert [m["content"] for m in made.messages if m["role"] == "assistant"] == ["a2"]
        assert ('path="l.py" lines="1-' in made.messages[1]["content"]) is cut
        assert 'lines="1-100"' not in made.messages[1]["content"]


@given(
    st.integers(100, 900),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), max_size=6),
)
def test_nothing_exceeds_the_budget(budget: int, sizes: list[tuple[int, int]]) -> None:
    turns = [
        Turn(
            question=f"q{number}",
            answer="w " * said,
            sources=[hit(f"f{number}.py", 1, "line\n" * lines)] if lines else [],
        )
        for number, (said, lines) in enumerate(sizes)
    ]
    made = composed("why is it so?", budget + BESIDE, turns)
    total = sum(words(message["content"]) + 16 for message in made.messages)
    assert total <= budget + BESIDE
    assert len(made.messages) == 2 + 2 * (len(turns) - made.dropped)
    roles = [message["role"] for message in made.messages[1:]]
    assert roles == ["user", "assistant"] * (len(turns) - made.dropped) + ["user"]
    assert sum(part.tokens for part in made.parts) <= total + 5 * len(made.messages)


def test_a_template_without_a_system_role_gets_its_text_in_the_first_turn() -> None:
    made = composed("why?", 999, [Turn(question="q", answer="a", sources=[])])
    folded = without_system(made.messages)
    assert [turn["role"] for turn in folded] == ["user", "assistant", "user"]
    assert folded[0]["content"].startswith(SYSTEM)
    assert folded[-1]["content"].endswith("Question: why?")


def test_one_source_leaves_room_for_others() -> None:
    long = [hit(f"{name}.py", 1, "\n".join(f"word{n}" for n in range(300))) for name in "abc"]
    made = compose("why?", long, budget=BESIDE + 600, count=words, clean=str)
    assert [source.path for source in made.sources] == ["a.py", "b.py", "c.py"]
    assert [source.start_line for source in made.sources] == [1, 1, 1]
    assert made.sources[0].end_line > made.sources[1].end_line > 50
