"""What is exported is what serves: read back by peft, by transformers and by gguf's own reader."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from gardenerd.errors import AdapterError, CancelledError, RefusedError, StorageError
from gardenerd.export import run
from gardenerd.export.tensors import floats, stored
from gardenerd.export.vocabulary import read_vocabulary
from gardenerd.models.info import seedling_folder
from gardenerd.workers.export_jobs import Exported, ExportVersion, Format
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import AdapterRef
from tests.tiny_models import make_adapter, make_base

Kind = Literal["qwen2", "llama"]
# Names here and there, and how many heads the rows of a Llama's queries and keys are in.
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "model.layers.0.input_layernorm.weight": "blk.0.attn_norm.weight",
    "model.layers.0.post_attention_layernorm.weight": "blk.0.ffn_norm.weight",
    "model.layers.1.self_attn.q_proj.weight": "blk.1.attn_q.weight",
    "model.layers.1.self_attn.k_proj.weight": "blk.1.attn_k.weight",
    "model.layers.1.self_attn.v_proj.weight": "blk.1.attn_v.weight",
    "model.layers.1.self_attn.o_proj.weight": "blk.1.attn_output.weight",
    "model.layers.1.mlp.gate_proj.weight": "blk.1.ffn_gate.weight",
    "model.layers.1.mlp.up_proj.weight": "blk.1.ffn_up.weight",
    "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
}
BIASES = {f"model.layers.0.self_attn.{p}_proj.bias": f"blk.0.attn_{p}.bias" for p in "qkv"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """By architecture a base and its adapter."""
    folder = tmp_path_factory.mktemp("made")
    found = {}
    for kind in ("qwen2", "llama"):
        base = make_base(folder / kind, architecture=kind, chat=kind == "qwen2")
        found[kind] = base, make_adapter(base, folder / f"{kind}-adapter")
    return found


def export(
    made: tuple[Path, Path], kind: Format, target: Path, *, bare: bool = False, lora: bool = False
) -> Exported:
    base, adapter = made
    job = ExportVersion(
        format=kind,
        base=str(base),
        base_name="tiny",
        adapter=None if bare else AdapterRef(version="v1", folder=str(adapter)),
        target=str(target),
        name="shop-v1",
        lora=lora,
    )
    return run.export(job, Context("1", lambda _: None))


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors and the keys of a GGUF file."""
    reader = gguf.GGUFReader(file)
    tensors = {}
    for tensor in reader.tensors:
        shape = tuple(int(each) for each in reversed(tensor.shape))
        tensors[tensor.name] = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
    return tensors, {name: field.contents() for name, field in reader.fields.items()}


def in_pairs(rows: Any, heads: int) -> Any:
    """Rows of rotary halves (first half, second half) as rows of neighbours, by a plain loop."""
    size = rows.shape[0] // heads
    found = np.empty_like(rows)
    for head in range(heads):
        for turn in range(size // 2):
            for half in (0, 1):
                there = head * size + 2 * turn + half
                found[there] = rows[head * size + half * (size // 2) + turn]
    return found


def there(kind: str, name: str, tensor: Any) -> Any:
    heads = 4 if ".q_proj." in name else 2
    turned = kind == "llama" and (".q_proj." in name or ".k_proj." in name)
    return in_pairs(tensor, heads) if turned else tensor


def adapted(made: tuple[Path, Path]) -> Any:
    base, adapter = made
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by a name that is deprecated there.
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    return model.merge_and_unload()


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_a_base_as_gguf_holds_each_tensor(made: Any, tmp_path: Path, kind: Kind) -> None:
    export(made[kind], "gguf", tmp_path / "out", bare=True)
    tensors, keys = read(tmp_path / "out" / "shop-v1.gguf")
    own = load_file(made[kind][0] / "model.safetensors")
    names = NAMES | (BIASES if kind == "qwen2" else {})
    for name, other in names.items():
        assert np.array_equal(tensors[other], there(kind, name, own[name])), name
    # Tied: no output of its own.
    assert len(tensors) == len(own) == 2 + 2 * (12 if kind == "qwen2" else 9)
    assert keys["general.architecture"] == kind
    assert keys[f"{kind}.attention.head_count_kv"] == 2
    assert keys[f"{kind}.rope.freq_base"] == 10_000.0
    tokenizer = AutoTokenizer.from_pretrained(made[kind][0])
    tokens = keys["tokenizer.ggml.tokens"]
    assert tokens == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    # transformers cuts words Qwen's way for its architecture, whatever tokenizer.json says.
    pre = "qwen2" if kind == "qwen2" else "gpt-2"
    assert (keys["tokenizer.ggml.model"], keys["tokenizer.ggml.pre"]) == ("gpt2", pre)
    kinds = dict(zip(tokens, keys["tokenizer.ggml.token_type"], strict=True))
    assert kinds["<|im_end|>"] == kinds["<|fim_prefix|>"] == 3 and kinds["a"] == 1
    assert keys["tokenizer.ggml.fim_pre_token_id"] == tokens.index("<|fim_prefix|>")
    assert keys["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert keys["tokenizer.ggml.add_bos_token"] is False
    assert keys.get("tokenizer.chat_template", "") == (tokenizer.chat_template or "")


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_an_adapter_is_merged_as_peft_does(made: Any, tmp_path: Path, kind: Kind) -> None:
    export(made[kind], "merged", tmp_path / "merged")
    export(made[kind], "gguf", tmp_path / "gguf")
    wanted = adapted(made[kind]).state_dict()
    tensors, _ = read(tmp_path / "gguf" / "shop-v1.gguf")
    changed = 0
    base = load_torch(made[kind][0] / "model.safetensors")
    for name, tensor in load_torch(tmp_path / "merged" / "model.safetensors").items():
        assert torch.allclose(tensor, wanted[name], atol=1e-6), name
        changed += not torch.equal(tensor, base[name])
        if name in NAMES:
            assert np.allclose(tensors[NAMES[name]], there(kind, name, tensor.numpy()), atol=1e-6)
    assert changed == 14  # seven projections in each of two layers
    ids = torch.arange(40)[None]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert torch.allclose(model(ids).logits, adapted(made[kind])(ids).logits, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.decode(tokenizer.encode("def area(): 🌱")) == "def area(): 🌱"
    assert not (tmp_path / "merged" / "gardener.json").exists()


def test_shards_and_16_bit_numbers_stay_as_they_are(made: Any, tmp_path: Path) -> None:
    base = Path(shutil.copytree(made["llama"][0], tmp_path / "base"))
    half = {k: v.to(torch.bfloat16) for k, v in load_torch(base / "model.safetensors").items()}
    (base / "model.safetensors").unlink()
    names = sorted(half)
    shards = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for shard, held in shards.items():
        save_file({name: half[name] for name in held}, base / shard, metadata={"format": "pt"})
    where = {name: shard for shard, held in shards.items() for name in held}
    index = {"metadata": {}, "weight_map": where}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    adapter = make_adapter(base, tmp_path / "adapter")

    export((base, adapter), "merged", tmp_path / "merged")
    export((base, adapter), "gguf", tmp_path / "gguf")
    lora = load_torch(adapter / "adapter_model.safetensors")
    tensors, keys = read(tmp_path / "gguf" / "shop-v1.gguf")
    assert keys["general.file_type"] == gguf.LlamaFileType.MOSTLY_BF16
    for shard in shards:
        for name, tensor in load_torch(tmp_path / "merged" / shard).items():
            module = f"base_model.model.{name.removesuffix('.weight')}"
            expected = half[name].float()
            if f"{module}.lora_A.weight" in lora:
                a, b = lora[f"{module}.lora_A.weight"], lora[f"{module}.lora_B.weight"]
                expected = expected + 2.0 * (b @ a)
            assert tensor.dtype == torch.bfloat16
            assert torch.allclose(tensor.float(), expected, rtol=2**-8, atol=1e-6)
            if name in NAMES:
                turned = there("llama", name, tensor.float().numpy())
                assert np.array_equal(tensors[NAMES[name]], turned)


def test_rounding_is_to_the_nearest_and_to_even() -> None:
    numbers = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    ties = torch.tensor([1.0 + 2**-8, 1.0 + 3 * 2**-8, -1.0 - 2**-8, 3.0e38, 0.0, -0.0])
    both = torch.cat([numbers, ties])
    wanted = both.to(torch.bfloat16)
    found = stored(both.numpy(), "BF16")
    assert np.array_equal(found, wanted.view(torch.int16).numpy().view(np.uint16))
    assert np.array_equal(floats(found, "BF16"), wanted.float().numpy())


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_an_adapter_alone_goes_beside_its_base(made: Any, tmp_path: Path, kind: Kind) -> None:
    export(made[kind], "gguf", tmp_path / "out", lora=True)
    tensors, keys = read(tmp_path / "out" / "shop-v1.gguf")
    assert (keys["general.type"], keys["adapter.type"]) == ("adapter", "lora")
    base, _ = read_base(made[kind], tmp_path)
    merged = {k: v.numpy() for k, v in adapted(made[kind]).state_dict().items()}
    for name, other in NAMES.items():
        if f"{other}.lora_a" in tensors:
            # What llama.cpp computes: the scale is alpha over the rows of the first half.
            a, b = tensors[f"{other}.lora_a"], tensors[f"{other}.lora_b"]
            sum_ = base[other] + keys["adapter.lora.alpha"] / a.shape[0] * (b @ a)
            assert np.allclose(sum_, there(kind, name, merged[name]), atol=1e-5), name


def read_base(made: tuple[Path, Path], tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    export(made, "gguf", tmp_path / "bare", bare=True)
    return read(tmp_path / "bare" / "shop-v1.gguf")


def test_the_modelfile_says_what_ollama_needs(made: Any, tmp_path: Path) -> None:
    done = export(made["qwen2"], "ollama", tmp_path / "out")
    text = (tmp_path / "out" / "Modelfile").read_text()
    assert text.startswith("FROM ./base.gguf\nADAPTER ./adapter.gguf\nTEMPLATE")
    assert "<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>" in text
    assert "<|im_start|>{{ .Role }}" in text and 'PARAMETER stop "<|im_end|>"' in text
    assert any("ollama create shop-v1" in note for note in done.notes)
    base, _ = made["qwen2"]
    odd = Path(shutil.copytree(base, tmp_path / "odd"))
    (odd / "chat_template.jinja").write_text("{% for m in messages %}@{{ m.content }}{% endfor %}")
    done = export((odd, make_adapter(odd, tmp_path / "fits")), "ollama", tmp_path / "odd-out")
    assert any("chat template is not one" in note for note in done.notes)


def test_the_way_of_cutting_words_is_named_or_its_difference_told(tmp_path: Path) -> None:
    found = read_vocabulary(seedling_folder(), 8_192)
    assert 0.01 < found.differs < 0.5
    adapter = make_adapter(seedling_folder(), tmp_path / "adapter")
    done = export((seedling_folder(), adapter), "gguf", tmp_path / "out")
    assert any(f"({found.pre}) {100 * found.differs:.0f} % of the tokens" in n for n in done.notes)
    base = make_base(tmp_path / "base", architecture="llama")
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    digits = {"type": "Digits", "individual_digits": True}
    parts = [digits, tokenizer["pre_tokenizer"]]
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    named = read_vocabulary(base, 500)
    assert (named.pre, named.differs) == ("starcoder", 0.0)
    assert named.tokens[499] == "[PAD499]" and named.kinds[499] == 5
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(RefusedError, match="no byte-level BPE"):
        read_vocabulary(base, 500)


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["Gemma2ForCausalLM"]},
        {"use_sliding_window": True},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}},
    ],
)
def test_what_llama_cpp_would_read_wrongly_is_refused(
    made: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    base = Path(shutil.copytree(made["qwen2"][0], tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(RefusedError) as caught:
        export((base, tmp_path), "gguf", tmp_path / "out", bare=True)
    assert "merged" in caught.value.hint
    assert {path.name for path in tmp_path.iterdir()} == {"base"}


def test_it_is_written_whole_or_not_at_all(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = made["qwen2"]
    job = ExportVersion(
        format="merged",
        base=str(base),
        base_name="tiny",
        adapter=AdapterRef(version="v1", folder=str(adapter)),
        target=str(tmp_path / "out"),
        name="shop-v1",
    )
    seen: list[Any] = []

    def cancel_later(frame: Any) -> None:
        seen.append(frame)
        if len(seen) == 3:
            context.cancel()

    context = Context("1", cancel_later)
    with pytest.raises(CancelledError):
        run.export(job, context)
    assert len(seen) == 3 and list(tmp_path.iterdir()) == []

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    with pytest.raises(StorageError, match="1,000 left"):
        run.export(job, Context("1", seen.append))
    monkeypatch.undo()

    other = make_base(tmp_path / "other", seed=5)
    with pytest.raises(AdapterError, match="was trained on"):
        export((other, adapter), "gguf", tmp_path / "out")
    with pytest.raises(RefusedError, match="no adapter"):
        export(made["qwen2"], "peft", tmp_path / "out", bare=True)
    (tmp_path / "out").write_text("taken")
    with pytest.raises(RefusedError, match="not empty"):
        export(made["qwen2"], "peft", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "taken"
