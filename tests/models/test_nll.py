from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gardenerd.errors import CancelledError, ModelError
from gardenerd.models import nll
from gardenerd.models.load import Base, load_base
from tests.tiny_models import make_base

TEXT = "def read(path):\n    return path.read_text()  # grün ✓\n"


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return load_base(make_base(tmp_path_factory.mktemp("base"), architecture=request.param))


def by_hand(base: Base, text: str) -> float:
    """Nats of ``text``, from the logits of one plain forward pass."""
    tokens = torch.tensor([[base.start_token, *nll.encode(base, text)]])
    with torch.no_grad():
        logits = base.model(input_ids=tokens).logits[0, :-1]
    chosen = logits.log_softmax(-1).gather(1, tokens[0, 1:, None])
    return -float(chosen.sum())


def test_every_byte_is_paid_for(base: Base) -> None:
    (found,) = nll.score(base, [TEXT])
    assert found.nats == pytest.approx(by_hand(base, TEXT), rel=1e-4)
    assert found.bytes == len(TEXT.encode()) > len(TEXT)
    assert found.bits_per_byte == pytest.approx(found.nats / math.log(2) / found.bytes)


def test_the_company_in_a_batch_changes_nothing(base: Base) -> None:
    texts = [TEXT * n for n in (1, 4, 2, 3)] + ["", "x", TEXT[:20]]
    together = nll.score(base, texts)
    for text, found in zip(texts, together, strict=True):
        assert found.nats == pytest.approx(nll.score(base, [text])[0].nats, rel=1e-4)
    assert (together[4].bytes, together[4].bits_per_byte) == (0, 0.0)


def test_a_long_text_is_read_in_windows_that_score_each_token_once(base: Base) -> None:
    text = TEXT * 12
    (whole,) = nll.score(base, [text], window=512)
    (pieces,) = nll.score(base, [text], window=64)
    assert pieces.tokens == whole.tokens
    tokens = [base.start_token, *nll.encode(base, text)]
    windows = list(nll._windows(0, tokens, 64))
    assert sum(piece.scored for piece in windows) == len(tokens) - 1
    assert all(len(piece.tokens) <= 64 for piece in windows)
    assert all(len(piece.tokens) - piece.scored >= 16 for piece in windows[1:])
    assert pieces.nats == pytest.approx(whole.nats, rel=0.2)
    assert pieces.nats != whole.nats


def test_names_of_special_tokens_in_a_text_are_plain_text(base: Base) -> None:
    end = base.tokenizer.eos_token
    assert base.end_token not in nll.encode(base, f"the token {end} ends a text")


def test_it_can_be_cancelled_between_batches(base: Base) -> None:
    seen: list[tuple[int, int]] = []

    def check(done: int, total: int) -> None:
        seen.append((done, total))
        if done:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        nll.score(base, [TEXT * 200] * 3, check=check)
    assert len(seen) == 2


def test_a_model_whose_numbers_are_not_finite_is_named(tmp_path: Path) -> None:
    base = load_base(make_base(tmp_path / "base"))
    with torch.no_grad():
        base.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        nll.score(base, [TEXT])
