"""Many texts in one model at a time: each is what it would be alone, token for token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gardenerd.answer.backend import Drawing
from gardenerd.answer.local import scheduler as scheduling
from gardenerd.answer.local.lora import Adapter, LoraRows
from gardenerd.answer.local.memory import Memory
from gardenerd.answer.local.prefixes import Prefixes
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.scheduler import Scheduler
from gardenerd.answer.local.selftest import fitting
from gardenerd.answer.local.steps import OneByOne, Row, Together
from gardenerd.errors import CancelledError, ModelError
from tests.answer.local.models import ARCHITECTURES, alone, make_adapters, make_model

ROOM = 12


class Garden:
    """A model with adapters, and a scheduler that records what is read."""

    def __init__(self, model: Any, limit: int = 1 << 40) -> None:
        self.model = model
        self.lora = LoraRows(model)
        self.adapters: list[Adapter | None] = [None, *make_adapters(model, self.lora)]
        self.prefixes = Prefixes()
        self.steps, cost = fitting(model, self.lora, self.prefixes)
        self.pieces: list[int] = []
        read = self.steps.read

        def recorded(row: Row, most: int) -> torch.Tensor | None:
            scores = read(row, most)
            self.pieces.append(row.left)
            return scores

        self.steps.read = recorded  # type: ignore[method-assign]
        self.scheduler = Scheduler(self.steps, self.lora, Memory(limit), cost=cost)

    def submit(self, ids: list[int], adapter: Adapter | None = None, **given: Any) -> Request:
        fields: dict[str, Any] = {"room": ROOM, "ends": frozenset(), **given}
        request = Request(ids, adapter=adapter, **fields)
        self.scheduler.submit(request)
        return request

    def write(self, ids: list[int], adapter: Adapter | None = None, **given: Any) -> list[int]:
        return list(self.submit(ids, adapter, **given).tokens())

    def alone(self, ids: list[int], adapter: Adapter | None = None, n: int = ROOM) -> list[int]:
        def work(_pause: Callable[[], None]) -> list[int]:
            return alone(self.model, self.lora, adapter, ids, n)

        return self.scheduler.run(work, None, lambda: None)


@contextmanager
def garden(model: Any, **given: Any) -> Generator[Garden]:
    made = Garden(model, **given)
    yield made
    made.scheduler.close()


@pytest.fixture(scope="module")
def shared() -> Generator[Garden]:
    with garden(make_model()) as made:
        yield made


def text(seed: int, length: int) -> list[int]:
    return torch.randint(1, 300, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_of_several_adapters_together_write_what_each_writes_alone(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_PIECE", 32)
    monkeypatch.setattr(scheduling, "_PIECE_BESIDE", 9)
    with garden(make_model(architecture)) as made:
        assert isinstance(made.steps, Together)
        # More than there are rows; some texts are longer than a piece or a window.
        asked = [(text(n, 5 + 7 * n), made.adapters[n % 4], 6 + n) for n in range(10)]
        expected = [made.alone(ids, adapter, room) for ids, adapter, room in asked]
        requests = [made.submit(ids, adapter, room=room) for ids, adapter, room in asked]
        assert [list(request.tokens()) for request in requests] == expected
        assert len({tuple(made.alone(text(0, 30), adapter)) for adapter in made.adapters}) > 2


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_what_follows_a_text_that_was_read_costs_only_its_new_tokens(architecture: str) -> None:
    with garden(make_model(architecture)) as made:
        ids, adapter = text(1, 60), made.adapters[1]
        written = made.write(ids, adapter)
        longer = [*ids, *written, *text(2, 10)]
        assert made.write(longer, adapter) == made.alone(longer, adapter)
        other = [*ids[:40], *text(3, 20)]
        for wearing in (adapter, made.adapters[2], None):
            assert made.write(other, wearing) == made.alone(other, wearing)
        assert made.write(ids, adapter) == written


def test_no_more_is_read_than_is_new(shared: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_PIECE", 1)
    ids = text(11, 50)
    written = shared.write(ids)
    shared.pieces.clear()
    shared.write([*ids, *written, *text(12, 4)])
    assert len(shared.pieces) == 5


def test_a_text_that_is_broken_off_leaves_the_others_as_they_are(shared: Garden) -> None:
    left = 4

    def check() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise CancelledError("enough")

    texts = [text(n, 20 + n) for n in range(20, 23)]
    broken = shared.submit(texts[0], shared.adapters[1], room=200, check=check)
    others = [shared.submit(ids, shared.adapters[2]) for ids in texts[1:]]
    with pytest.raises(CancelledError):
        list(broken.tokens())
    for request, ids in zip(others, texts[1:], strict=True):
        assert list(request.tokens()) == shared.alone(ids, shared.adapters[2])


def test_the_row_of_a_reader_who_left_is_free_at_once(shared: Garden) -> None:
    requests = [shared.submit(text(n, 20), room=400) for n in range(scheduling.MOST_ROWS)]
    streams = [request.tokens() for request in requests]
    first = [next(stream) for stream in streams]
    for stream in streams:
        stream.close()
    # It would otherwise wait for thousands of tokens.
    assert shared.write(text(40, 9)) == shared.alone(text(40, 9))
    assert all(len(request.written) < 400 for request in requests)
    assert first == [shared.alone(text(n, 20), n=1)[0] for n in range(scheduling.MOST_ROWS)]


def test_it_ends_before_an_end_token_and_with_the_room(shared: Garden) -> None:
    ids = text(50, 30)
    written = shared.alone(ids)
    end = next(token for token in written if token != written[0])
    assert shared.write(ids, ends=frozenset([end])) == written[: written.index(end)]
    assert shared.write(ids, room=3) == written[:3]
    assert shared.write(ids, ends=frozenset([written[0]])) == []


def test_a_seed_draws_the_same_text_whoever_writes_beside_it(shared: Garden) -> None:
    def drawn(seed: int, top_p: float = 1.0) -> Request:
        drawing = Drawing(temperature=1.5, top_p=top_p, seed=seed)
        return shared.submit(text(60, 25), drawing=drawing)

    single = [list(drawn(seed).tokens()) for seed in (1, 2)]
    together = [drawn(seed) for seed in (1, 2, 1)]
    likeliest = drawn(3, top_p=1e-6)
    beside = shared.submit(text(60, 25), shared.adapters[1])
    assert [list(request.tokens()) for request in together] == [*single, single[0]]
    assert single[0] != single[1]
    assert list(likeliest.tokens()) == shared.alone(text(60, 25))
    assert list(beside.tokens()) == shared.alone(text(60, 25), shared.adapters[1])


def test_other_work_lets_texts_go_on_and_keeps_its_adapter(shared: Garden) -> None:
    ids, adapter = torch.tensor([text(70, 30)]), shared.adapters[3]
    expected = shared.scheduler.run(
        lambda _pause: shared.model(input_ids=ids).logits, adapter, lambda: None
    )
    ended = threading.Event()
    beside: list[list[int]] = []

    def write() -> None:
        beside.append(shared.write(text(71, 20), shared.adapters[1]))
        ended.set()

    def work(pause: Callable[[], None]) -> list[torch.Tensor]:
        threading.Thread(target=write).start()
        found = [shared.model(input_ids=ids).logits]
        while not ended.is_set():
            pause()
        return [*found, shared.model(input_ids=ids).logits]

    found = shared.scheduler.run(work, adapter, lambda: None)
    assert all(torch.equal(each, expected) for each in found)
    assert beside == [shared.alone(text(71, 20), shared.adapters[1])]
    with pytest.raises(CancelledError):
        shared.scheduler.run(lambda pause: pause(), None, _cancelled)


def _cancelled() -> None:
    raise CancelledError("enough")


def test_output_that_is_not_a_number_is_an_error_for_its_row_alone() -> None:
    with garden(make_model()) as made:
        made.model.get_input_embeddings().weight.data[25] = torch.nan
        good = [token for token in text(80, 30) if token != 25]
        requests = [made.submit([25, 3, 4]), made.submit(good)]
        with pytest.raises(ModelError, match="not a number"):
            list(requests[0].tokens())
        assert list(requests[1].tokens()) == made.alone(good)


def test_a_text_without_room_is_refused_with_both_figures() -> None:
    with garden(make_model(), limit=1_000_000) as made:
        with pytest.raises(ModelError, match=r"this text needs .* may hold 1 MB") as caught:
            made.write(text(90, 30))
        assert "model.max_memory_mb" in caught.value.hint


@pytest.mark.parametrize("why", ["frequencies by length", "positions not taken"])
def test_a_model_that_cannot_be_computed_in_rows_is_computed_one_by_one(why: str) -> None:
    if why == "positions not taken":
        model = make_model()
        forward = model.forward

        def misled(**given: Any) -> Any:
            given.pop("position_ids", None)
            return forward(**given)

        model.forward = misled
    else:
        model = make_model(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2})
    with garden(model) as made:
        assert isinstance(made.steps, OneByOne)
        asked = [(text(n, 10 + n), made.adapters[n % 4]) for n in range(5)]
        requests = [made.submit(ids, adapter) for ids, adapter in asked]
        expected = [made.alone(ids, adapter) for ids, adapter in asked]
        assert [list(request.tokens()) for request in requests] == expected


def test_the_mode_without_gradients_stays_in_the_model_s_thread(shared: Garden) -> None:
    next(shared.submit(text(95, 20)).tokens())
    assert not torch.is_inference_mode_enabled()
