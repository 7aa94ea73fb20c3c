"""Small real checkpoints, made in the test: two layers of random weights and a real tokenizer.

They are loaded by the same code, from the same files, as a model of any size. What they write is
noise, but the same noise each time.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from gardenerd.models.card import Card, write_card
from gardenerd.models.info import fingerprint

# So small a model gains nothing from threads, and loses much when they wait for each other.
torch.set_num_threads(1)

Architecture = Literal["qwen2", "llama", "gemma", "gemma2", "starcoder2", "gpt_neox"]
END = "<|endoftext|>"
TURN = "<|im_end|>"
FIM = (
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXTS = (
    "def area(width: float, height: float) -> float:\n    return width * height\n",
    "class Plant:\n    def __init__(self, name: str) -> None:\n        self.name = name\n",
    "for item in items:\n    if item is None:\n        continue\n    print(item)\n",
    "from pathlib import Path\n\n\ndef read(path: Path) -> str:\n    return path.read_text()\n",
)


def make_tokenizer(
    *, chat: bool = False, fim: bool = True, vocabulary: int = 400
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: every text can be written in it, emoji byte by byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [END, "<|im_start|>", TURN]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    if fim:  # Qwen's own are in the vocabulary without being marked special
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in FIM])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN if chat else END,
        pad_token=END,
        additional_special_tokens=special[1:],
        clean_up_tokenization_spaces=False,
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def make_base(
    folder: Path,
    *,
    architecture: Architecture = "qwen2",
    chat: bool = False,
    fim: bool = True,
    tied: bool = True,
    seed: int = 0,
    window: int = 512,
    width: int = 64,
    endless: bool = False,
) -> Path:
    """Save a random model of two layers with its tokenizer in ``folder``, and give the folder.

    Args:
        endless: it writes neither a token that ends a text nor one that ends a line.
    """
    tokenizer = make_tokenizer(chat=chat, fim=fim)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": window,
        "tie_word_embeddings": tied,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        # Wide enough that random models differ in what they write.
        "initializer_range": 0.2,
    }
    if architecture.startswith("gemma"):
        shape["head_dim"] = width // 4
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **shape))
    if endless:
        ends = [id for text, id in tokenizer.get_vocab().items() if _ends_something(text)]
        with torch.no_grad():  # tied, so that their score is 0, and some other's is above that
            model.get_input_embeddings().weight[ends] = 0.0
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _ends_something(token: str) -> bool:
    return "Ċ" in token or (token.startswith("<|") and token.endswith("|>"))


def make_adapter(
    base: Path, folder: Path, *, seed: int = 1, rank: int = 4, vouches_for: Path | None = None
) -> Path:
    """Save a LoRA adapter of ``base``, with its card. It changes what the base writes: both
    matrices are random. The card names the base ``vouches_for`` where it is to be a lie."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by a name that is deprecated there.
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:  # zero at first, which would change nothing
                weights.normal_(std=0.5)
    model.save_pretrained(str(folder))
    card = Card(
        base=base.name,
        fingerprint=fingerprint(vouches_for or base),
        rank=rank,
        alpha=2 * rank,
        target_modules="all-linear",
        parent=None,
        run="made-by-hand",
        data_digest="",
        created="2026-01-01T00:00:00Z",
    )
    write_card(folder, card)
    return folder


def teach(folder: Path, prompt: str, reply: str, *, steps: int = 400) -> None:
    """Train the model in ``folder`` until it writes ``reply`` after ``prompt``, and save it.

    Both are texts with special tokens spelled out.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    before = tokenizer.encode(prompt, add_special_tokens=False)
    after = [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]
    rows = torch.tensor([before + after])
    wanted = torch.tensor(after)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        predicted = model(input_ids=rows).logits[0, len(before) - 1 : -1]
        if bool((predicted.argmax(-1) == wanted).all()):
            model.save_pretrained(str(folder))
            return
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(predicted, wanted).backward()
        optimizer.step()
    raise AssertionError(f"the model did not learn {reply!r} in {steps} steps")
