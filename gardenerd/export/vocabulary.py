"""A byte-level BPE tokenizer as a GGUF file tells it.

llama.cpp does not read how a tokenizer cuts text into words: it knows some ways by name. The name
of the same way is taken, and where there is none that of the most alike, which is measured on real
code and told.
"""

from __future__ import annotations

import copy
import json
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from gardenerd.errors import ModelError, RefusedError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_BYTES: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_BARE = {**_BYTES, "use_regex": False}
_GPT2 = {**_BYTES, "use_regex": True}


def _split(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    return {"type": "Sequence", "pretokenizers": [{**split, "invert": False}, _BARE]}


# llama.cpp's names (llama-vocab.cpp), each with the same way as tokenizers writes it.
_KNOWN: dict[str, dict[str, Any]] = {
    "qwen2": _split(rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}"),
    "llama-bpe": _split(rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"),
    "gpt-2": _GPT2,
    "starcoder": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _GPT2],
    },
}
_FILL_KEYS = {"prefix": "fim_pre", "suffix": "fim_suf", "middle": "fim_mid"}
_HINT = "export it with --format merged or peft, for transformers"
# Marks of tokens that steer a model although they are not marked special (Qwen's fill-in ones).
_CONTROL = re.compile(r"<\|.+\|>|<fim_\w+>|<｜.+｜>")
_SAMPLES = ("argparse.py", "textwrap.py", "json/decoder.py", "heapq.py", "dataclasses.py")


@dataclass(slots=True)
class Vocabulary:
    """What a GGUF file says of a tokenizer."""

    tokens: list[str]
    kinds: list[int]
    """1 a plain token, 3 control, 4 added by the user, 5 unused."""
    merges: list[str]
    pre: str
    """llama.cpp's name of how text is cut into words."""
    differs: float
    """The share of tokens of code that come out differently, since no name fits exactly."""
    begin: int | None
    """The token that starts each text; None: texts start bare."""
    end: int
    pad: int | None
    template: str
    """For chats, in Jinja; empty without one."""
    fill: dict[str, int] = field(default_factory=dict[str, int])
    """``fim_pre``, ``fim_suf`` and ``fim_mid``, where the model has them."""


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of the model in ``folder``, filled up to the ``size`` of its embedding.

    Raises:
        RefusedError: it is no byte-level BPE.
        ModelError: it is damaged.
    """
    tokenizer = _load(folder)
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    model = found["model"]
    bytewise = any(part.get("type") == "ByteLevel" for part in _parts(found.get("pre_tokenizer")))
    if model.get("type") != "BPE" or model.get("byte_fallback") or not bytewise:
        raise RefusedError(f"the tokenizer in {folder} is no byte-level BPE", hint=_HINT)
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [5] * size
    for token, number in model["vocab"].items():
        tokens[number], kinds[number] = token, 1
    numbers = dict(model["vocab"])
    for added in found.get("added_tokens") or []:
        number, token = added["id"], str(added["content"])
        control = added.get("special") or _CONTROL.fullmatch(token)
        tokens[number], kinds[number] = token, 3 if control else 4
        numbers[token] = number
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer in {folder} names no end-of-text token",
            hint="set eos_token in its tokenizer_config.json",
        )
    pre, differs = _named(found)
    template = tokenizer.chat_template or ""
    return Vocabulary(
        tokens=tokens,
        kinds=kinds,
        merges=[each if isinstance(each, str) else " ".join(each) for each in model["merges"]],
        pre=pre,
        differs=differs,
        begin=tokenizer.bos_token_id,
        end=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
        template=template if isinstance(template, str) else template.get("default", ""),
        fill=_fill(numbers),
    )


def _load(folder: Path) -> Any:
    """The tokenizer as the model is served with it: transformers gives some architectures their own
    way of cutting words, whatever their ``tokenizer.json`` says."""
    # Two seconds to import, and of use for this alone.
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the tokenizer in {folder} cannot be loaded: {error}", hint="copy the model again"
        ) from error


def _named(found: dict[str, Any]) -> tuple[str, float]:
    """llama.cpp's name of a tokenizer's way or of the most alike, and the share that differs."""
    pre = found.get("pre_tokenizer")
    for name, known in _KNOWN.items():
        if _essence(pre) == _essence(known):
            return name, 0.0
    code = "".join(_sample())
    own = _pieces(found, code)
    shares = {
        name: 1 - len(own & _pieces({**found, "pre_tokenizer": known}, code)) / len(own)
        for name, known in _KNOWN.items()
    }
    best = min(shares, key=shares.__getitem__)
    return best, shares[best]


def _pieces(tokenizer: dict[str, Any], text: str) -> set[tuple[int, int]]:
    """Where each token of a text begins and ends."""
    made = Tokenizer.from_str(json.dumps(tokenizer))
    return set(made.encode(text, add_special_tokens=False).offsets)


def _sample() -> Iterator[str]:
    """Code of the standard library, which every installation has."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    for name in _SAMPLES:
        yield (standard / name).read_text(encoding="utf-8")


def _essence(pre: Any) -> list[Any]:
    """What of a pre-tokenizer decides how text is cut."""
    found: list[Any] = []
    for part in _parts(pre):
        match part.get("type"):
            case "Split":
                found.append((part["pattern"], part["behavior"], part.get("invert", False)))
            case "Digits":
                found.append(("Digits", part.get("individual_digits", False)))
            case "ByteLevel":
                cuts = part.get("use_regex", True)
                found.append(("ByteLevel", cuts, part.get("add_prefix_space", True)))
            case kind:
                found.append((kind, copy.deepcopy(part)))
    return found


def _parts(pre: Any) -> list[dict[str, Any]]:
    if not isinstance(pre, dict):
        return []
    return pre["pretokenizers"] if pre.get("type") == "Sequence" else [pre]


def _fill(numbers: dict[str, int]) -> dict[str, int]:
    for form in ("<|fim_{}|>", "<fim_{}>"):
        if all(form.format(part) in numbers for part in _FILL_KEYS):
            return {key: numbers[form.format(part)] for part, key in _FILL_KEYS.items()}
    return {}
