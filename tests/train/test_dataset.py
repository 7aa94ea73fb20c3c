from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.models import nll
from gardenerd.models.load import load_base
from gardenerd.train import attention, dataset
from gardenerd.train.spans import Spans
from tests.tiny_models import make_base
from tests.train.runs import example

CPU = torch.device("cpu")


def rows(base_folder: Path, *, fim_rate: float = 0.5, seed: int = 0) -> dataset.Rows:
    return dataset.Rows(
        load_base(base_folder),
        [example(i) for i in range(30)],
        max_length=256,
        rows_per_step=4,
        fim_rate=fim_rate,
        seed=seed,
    )


@given(st.lists(st.integers(1, 64), min_size=1, max_size=60))
def test_packing_keeps_every_document_whole_within_the_row(lengths: list[int]) -> None:
    documents = [dataset.Document([i] * n) for i, n in enumerate(lengths)]
    packed = dataset.pack(documents, 64)
    assert sorted(d.tokens[0] for row in packed for d in row.documents) == list(range(len(lengths)))
    assert all(row.length == sum(len(d.tokens) for d in row.documents) <= 64 for row in packed)
    # Best fit decreasing never leaves two rows that would fit into one.
    assert sum(row.length <= 32 for row in packed) <= 1


@given(st.integers(0, 10_000), st.text("ab \n", min_size=1, max_size=60))
def test_a_cut_loses_nothing(seed: int, text: str) -> None:
    prefix, suffix, middle = dataset.cut(text, random.Random(seed), Spans())
    assert prefix + middle + suffix == text


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("by_mask", [False, True])
def test_a_document_costs_the_same_in_a_packed_row_as_alone(
    kind: str, by_mask: bool, request: pytest.FixtureRequest
) -> None:
    base = load_base(request.getfixturevalue(kind))
    if not by_mask:
        assert attention.use(base, 256)
    step = rows(request.getfixturevalue(kind)).step(0)

    def losses(these: list[dataset.Row], size: int | None = None) -> torch.Tensor:
        batch = dataset.collate(these, padding=base.end_token, device=CPU, size=size)
        with torch.no_grad():
            return nll.token_losses(
                base.model,
                batch.tokens,
                batch.wanted,
                batch.targets,
                position_ids=batch.positions,
                documents=batch.documents,
            )

    packed = losses(step)
    alone = [losses([dataset.Row([d], len(d.tokens))]) for row in step for d in row.documents]
    assert len(alone) > 4
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-4, atol=1e-5)
    # Nor does padding change anything.
    torch.testing.assert_close(losses(step, size=1_100), packed, rtol=1e-4, atol=1e-5)


def test_the_rows_of_a_step_are_a_function_of_the_seed_and_the_step(llama: Path) -> None:
    forward, backward = rows(llama), rows(llama)
    last = forward.steps_in(3) - 1
    assert backward.step(last) == forward.step(last)
    assert backward.step(0) == forward.step(0)
    assert rows(llama, seed=1).step(0) != forward.step(0)


def test_every_pass_holds_every_example_once_and_no_step_is_small(llama: Path) -> None:
    found = rows(llama, fim_rate=0.0)
    steps = [found.step(i) for i in range(found.steps_in(2))]
    assert all(len(step) == 4 for step in steps[:-1])
    documents = [tuple(d.tokens) for step in steps for row in step for d in row.documents]
    assert len(documents) == 60
    assert all(documents.count(d) == 2 for d in documents)


def test_filling_in_uses_the_marks_of_the_base_and_never_predicts_them(llama: Path) -> None:
    base = load_base(llama)
    marks = dataset.fim_tokens(base)
    assert marks is not None
    step = rows(llama, fim_rate=1.0).step(0)
    documents = [d for row in step for d in row.documents]
    assert all(d.tokens[0] == marks[0] and set(marks) <= set(d.tokens) for d in documents)
    batch = dataset.collate(step, padding=base.end_token, device=CPU)
    assert not set(marks) & set(batch.targets.tolist())
    prefix, rest = documents[0].tokens[1:], documents[0].tokens
    suffix_at, middle_at = rest.index(marks[1]), rest.index(marks[2])
    text = base.tokenizer.decode(
        [*prefix[: suffix_at - 1], *rest[middle_at + 1 : -1], *rest[suffix_at + 1 : middle_at]]
    )
    assert text in {example(i).text for i in range(30)}


def test_a_base_without_the_marks_reads_left_to_right(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base", fim=False)
    base = load_base(folder)
    assert dataset.fim_tokens(base) is None
    documents = [d for row in rows(folder, fim_rate=1.0).step(0) for d in row.documents]
    assert all(d.tokens[0] == base.start_token for d in documents)


def test_a_long_text_is_cut_into_pieces_that_predict_each_token_once(llama: Path) -> None:
    base = load_base(llama)
    text = "".join(example(i).text for i in range(12))
    found = dataset.Rows(
        base,
        [example(0, text=text)],
        max_length=64,
        rows_per_step=100,
        fim_rate=0.0,
        seed=0,
    )
    batch = dataset.collate(found.step(0), padding=base.end_token, device=CPU)
    assert sorted(batch.targets.tolist()) == sorted([*nll.encode(base, text), base.end_token])


def test_what_was_seen_are_the_examples_of_the_steps_so_far(llama: Path) -> None:
    found = rows(llama, fim_rate=0.0)
    steps = found.steps_in(1)
    assert found.seen(0) == []
    some = found.seen(1)
    assert 0 < len(some) < 30
    texts = {tuple(d.tokens) for row in found.step(0) for d in row.documents}
    base = load_base(llama)
    for i in range(30):
        whole = (base.start_token, *nll.encode(base, example(i).text), base.end_token)
        assert (i in some) == (whole in texts)
    assert found.seen(steps) == list(range(30))
