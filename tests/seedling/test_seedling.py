"""The embedded model: whole, causal, better than a compressor, and trained by what is here."""

from __future__ import annotations

import lzma
import random
import sysconfig
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.models.load import Base, load_base
from gardenerd.models.nll import score
from gardenerd.seedling import GENERAL_MODULES, MODEL_DIR, corpus, data, train
from gardenerd.seedling import tokenizer as vocabulary

STANDARD = Path(sysconfig.get_paths()["stdlib"])


@pytest.fixture(scope="module")
def seedling() -> Base:
    return load_base(MODEL_DIR)


def test_it_is_small(seedling: Base) -> None:
    assert (MODEL_DIR / "model.safetensors").stat().st_size < 24_000_000
    assert 5e6 < sum(p.numel() for p in seedling.model.parameters()) < 15e6


def test_later_tokens_move_no_earlier_logits(seedling: Base) -> None:
    tokens = torch.randint(10, 8_000, (1, 64), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 40] = (changed[0, 40] + 1) % 8_000
    with torch.inference_mode():
        one, other = (seedling.model(input_ids=t).logits for t in (tokens, changed))
    assert torch.isfinite(one).all()
    torch.testing.assert_close(one[:, :40], other[:, :40], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(one[:, 40:], other[:, 40:], rtol=1e-3, atol=1e-3)


def test_it_predicts_unseen_code_better_than_a_compressor(seedling: Base) -> None:
    texts = [(STANDARD / f"{name}.py").read_text() for name in GENERAL_MODULES[:4]]
    nats = sum(each.nats for each in score(seedling, texts))
    size = sum(len(text.encode()) for text in texts)
    packed = 8 * len(lzma.compress("".join(texts).encode(), preset=9))
    assert nats / 0.6931 < 0.85 * packed, (nats / 0.6931 / size, packed / size)


def test_it_knows_where_a_middle_ends(seedling: Base) -> None:
    """It was trained to fill in: the end is likely where the middle is whole, and not half-way."""
    rng = random.Random(3)
    whole: list[float] = []
    half: list[float] = []
    for name in GENERAL_MODULES[:6]:
        lines = (STANDARD / f"{name}.py").read_text().splitlines(keepends=True)
        for _ in range(4):
            first = rng.randrange(30, len(lines) - 30)
            prefix = "".join(lines[first - 25 : first])
            middle, suffix = lines[first], "".join(lines[first + 1 : first + 12])
            before = f"{vocabulary.PREFIX}{prefix}{vocabulary.SUFFIX}{suffix}{vocabulary.MIDDLE}"
            whole.append(_end_probability(seedling, before + middle))
            half.append(_end_probability(seedling, before + middle[: len(middle) // 2]))
    assert sum(whole) > 4 * sum(half)


def _end_probability(base: Base, text: str) -> float:
    tokens = torch.tensor([base.tokenizer.encode(text, add_special_tokens=False)])
    with torch.inference_mode():
        logits = base.model(input_ids=tokens).logits[0, -1].float()
    return logits.softmax(-1)[base.end_token].item()


@given(st.text(max_size=200))
def test_any_text_decodes_to_itself(text: str) -> None:
    tokenizer = _tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=True)) == text


def _tokenizer() -> data.PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    if "kept" not in _CACHE:
        _CACHE["kept"] = AutoTokenizer.from_pretrained(MODEL_DIR)
    return _CACHE["kept"]


_CACHE: dict[str, data.PreTrainedTokenizerFast] = {}


def test_special_tokens_are_one_token_each() -> None:
    tokenizer = _tokenizer()
    for token in vocabulary.SPECIAL:
        assert len(tokenizer.encode(token, add_special_tokens=False)) == 1


@given(st.text(min_size=1, max_size=400), st.integers(0, 1_000))
def test_filling_in_loses_nothing(text: str, seed: int) -> None:
    arranged = data.fill_in(text, random.Random(seed)).removeprefix(vocabulary.PREFIX)
    prefix, rest = arranged.split(vocabulary.SUFFIX, 1)
    suffix, middle = rest.split(vocabulary.MIDDLE, 1)
    assert prefix + middle.removesuffix(vocabulary.END) + suffix == text


@pytest.mark.parametrize(
    "path",
    [
        "sympy/core/add.py",
        "django/db/models.py",
        "rich/console.py",
        "httpx/_client.py",
        "pip/_vendor/requests/api.py",
        "pip/_vendor/rich/table.py",
        "test/test_json.py",
        "textwrap.py",
        "gardenerd/paths.py",
        "__editable___gardener_0_1_0_finder.py",
    ],
)
def test_what_is_measured_or_held_out_is_never_learned(path: str) -> None:
    assert not corpus.admits(tuple(path.split("/")))


def test_ordinary_code_is_learned() -> None:
    assert corpus.admits(("json", "decoder.py"))
    assert corpus.admits(("networkx", "classes", "graph.py"))


def test_a_miniature_learns_and_resumes(tmp_path: Path) -> None:
    texts = [(STANDARD / "json" / f"{name}.py").read_text() for name in ("decoder", "encoder")]
    tokenizer = vocabulary.train(texts)
    recipe = train.Recipe(
        hidden=32, layers=2, heads=2, feed_forward=64, length=128, short=64, rows=4, warmup_steps=5
    )
    checkpoint = tmp_path / "checkpoint.pt"

    def run(steps: int) -> tuple[dict[str, float], list[torch.Tensor]]:
        model = train.build(tokenizer, recipe)
        figures = train.train(
            model, tokenizer, texts, recipe=recipe, minutes=1, steps=steps, checkpoint=checkpoint
        )
        return figures, [p.detach().clone() for p in model.parameters()]

    first, _ = run(1)
    assert checkpoint.is_file()
    last, weights = run(60)
    assert last["steps"] == 60
    assert last["loss"] < first["loss"] - 0.5
    again, kept = run(60)  # nothing is left to do: the weights are those of the checkpoint
    assert again["tokens"] == last["tokens"]
    assert all(torch.equal(a, b) for a, b in zip(weights, kept, strict=True))
    assert all(torch.isfinite(w).all() for w in weights)
