"""Which tokens of a base model steer it, and how text is kept from posing as them.

For any number of threads.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from gardenerd.answer.backend import Message
from gardenerd.answer.chat import without_system
from gardenerd.answer.local.prompt import FillTokens, RepositoryTokens
from gardenerd.models.info import FIM_PREFIXES
from gardenerd.models.load import Base
from gardenerd.models.nll import encode


class Vocabulary:
    """The control tokens of ``base``: those that are marked special, and those named ``<|...|>``.

    The mark alone is not enough: Qwen2.5-Coder's own fill-in-the-middle tokens do not have it.
    """

    def __init__(self, base: Base) -> None:
        self._base = base
        added: dict[int, Any] = base.tokenizer.added_tokens_decoder
        control = {
            number: str(token.content)
            for number, token in added.items()
            if token.special or re.fullmatch(r"<\|.+\|>|<(fim|repo|file)_\w+>", token.content)
        }
        names = sorted(set(control.values()), key=len, reverse=True)
        self._names = re.compile("|".join(map(re.escape, names))) if names else None
        configured = getattr(base.model.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        self.ends = frozenset([*control, base.end_token, *(e for e in ends if e is not None)])
        """Tokens that end whatever is being written."""
        self.fill = _fill_tokens(base.tokenizer, repositories=_knows(Path(base.info.folder)))
        """None when the base cannot fill in."""
        # Whether names of special tokens are read as such is a state of a tokenizer, which must not
        # change while others use it: one reads them, one never does, and then neither changes.
        self._reading = copy.deepcopy(base.tokenizer) if base.info.chat else None
        self.encode(".")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; the name of a control token in it is read as plain characters."""
        if self._names is None:
            return encode(self._base, text)
        ids: list[int] = []
        start = 0
        for name in self._names.finditer(text):
            # No token spans the cut, so the name is never seen whole.
            cut = name.start() + 1
            ids += encode(self._base, text[start:cut])
            start = cut
        return ids + encode(self._base, text[start:])

    def converse(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation up to where the assistant begins to write; of a base that
        can chat."""
        assert self._reading is not None
        try:
            text = self._rendered(messages)
        except TemplateError:  # Gemma's refuses a system role
            text = self._rendered(without_system(messages))
        return self._reading.encode(text, add_special_tokens=False)

    def _rendered(self, messages: Sequence[Message]) -> str:
        assert self._reading is not None
        return self._reading.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=False
        )

    def clean(self, text: str) -> str:
        """The text with a space within the names of control tokens.

        For text that goes through a chat template, which is tokenized as a whole.
        """
        if self._names is None:
            return text
        return self._names.sub(lambda name: f"{name[0][0]} {name[0][1:]}", text)

    def decode(self, ids: list[int]) -> str:
        return self._base.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


# By the name of the prefix token: those of repositories, and whether a path stands within.
_REPOSITORY = {
    "<|fim_prefix|>": ("<|repo_name|>", "<|file_sep|>", False),
    "<fim_prefix>": ("<repo_name>", "<file_sep>", True),
}


def _fill_tokens(tokenizer: Any, *, repositories: bool) -> FillTokens | None:
    known = tokenizer.get_vocab()
    for name in FIM_PREFIXES:
        names = [name, name.replace("prefix", "suffix"), name.replace("prefix", "middle")]
        if all(each in known for each in names):
            top, separator, within = _REPOSITORY[name]
            repository = None
            if repositories and top in known and separator in known:
                repository = RepositoryTokens(known[top], known[separator], within)
            prefix, suffix, middle = (known[each] for each in names)
            return FillTokens(prefix, suffix, middle, repository)
    return None


def _knows(folder: Path) -> bool:
    """Whether the tokens of repositories mean something to the model in ``folder``: the seedling
    has them and never saw them, as its ``gardener.json`` says."""
    file = folder / "gardener.json"
    return not file.is_file() or bool(json.loads(file.read_text()).get("repositories", True))
