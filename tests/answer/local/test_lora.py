"""Adapters as they serve, against peft with the same files: the same scores."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from gardenerd.answer.local.lora import LoraRows
from gardenerd.errors import AdapterError
from tests.tiny_models import make_adapter, make_base

TEXT = torch.tensor([[5, 9, 31, 17, 60, 2, 44, 8]])


def scores_by_peft(base: Path, adapter: Path) -> torch.Tensor:
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by a name that is deprecated there.
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    with torch.inference_mode():
        return model(TEXT).logits


def make_odd(base: Path, folder: Path, **odd: Any) -> Path:
    """An adapter whose configuration says more than rank and targets."""
    fields = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "up_proj"], **odd}
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        config = LoraConfig(task_type="CAUSAL_LM", **fields)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.5)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gemma2", "starcoder2", "gpt_neox"])
def test_an_adapter_computes_what_it_does_in_peft(tmp_path: Path, architecture: Any) -> None:
    folder = make_base(tmp_path / "base", architecture=architecture, tied=architecture != "gemma2")
    base: Any = AutoModelForCausalLM.from_pretrained(folder)
    lora = LoraRows(base)
    with torch.inference_mode():
        bare = base(TEXT).logits
        for seed, rank in ((1, 4), (2, 8)):
            adapter = make_adapter(folder, tmp_path / f"v{seed}", seed=seed, rank=rank)
            wanted = scores_by_peft(folder, adapter)
            lora.choose([lora.read(adapter)])
            torch.testing.assert_close(base(TEXT).logits, wanted, rtol=1e-4, atol=1e-4)
            assert (wanted - bare).abs().max() > 0.1
        lora.choose([None])
        torch.testing.assert_close(base(TEXT).logits, bare, rtol=0, atol=0)


@pytest.mark.parametrize(
    "odd",
    [
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 8}},
        {"alpha_pattern": {"layers.1.mlp.up_proj": 1}},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_scales_and_ranks_of_their_own_are_those_of_peft(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    folder = make_base(tmp_path / "base")
    adapter = make_odd(folder, tmp_path / "odd", **odd)
    base: Any = AutoModelForCausalLM.from_pretrained(folder)
    lora = LoraRows(base)
    lora.choose([lora.read(adapter)])
    with torch.inference_mode():
        found = base(TEXT).logits
    torch.testing.assert_close(found, scores_by_peft(folder, adapter), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("odd", "named"), [({"use_dora": True}, "use_dora"), ({"bias": "all"}, "bias")]
)
def test_what_is_no_plain_lora_is_refused_by_its_name(
    tmp_path: Path, odd: dict[str, Any], named: str
) -> None:
    folder = make_base(tmp_path / "base")
    adapter = make_odd(folder, tmp_path / "odd", **odd)
    with pytest.raises(AdapterError, match=named):
        LoraRows(AutoModelForCausalLM.from_pretrained(folder)).read(adapter)
