"""The seedling's vocabulary: byte-level BPE over code, with fill-in-the-middle tokens."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 8_192
END = "<|endoftext|>"
PREFIX, MIDDLE, SUFFIX = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"
# The names that Qwen2.5-Coder gives, so that prompts are made alike for both.
PAD = "<|fim_pad|>"
SPECIAL = (END, PREFIX, MIDDLE, SUFFIX, PAD, "<|repo_name|>", "<|file_sep|>")

# Words keep one space before them, digits stand alone, an indentation is one piece: after the
# splitting of GPT-4, for code.
_PIECES = Regex(r" ?[A-Za-z_]+|\d| ?[^\s\w]+|\n[ \t]*|[ \t]+(?=[^\s])|[ \t]+| ?[^\W\d]+|\s+")


def train(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn the vocabulary from ``texts``. Any text decodes to itself, byte for byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=None,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL[1:4] + SPECIAL[5:]),
        clean_up_tokenization_spaces=False,
        model_max_length=2_048,
    )
