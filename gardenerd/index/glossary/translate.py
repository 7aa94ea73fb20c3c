"""A text's words in English, by one language's glossary."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from gardenerd.index.glossary.detect import AROUND, CODE, is_small
from gardenerd.index.glossary.inflection import ENDINGS, LINKS, folded, without_participle

_UNSPACED = frozenset({"ja", "zh"})
_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff々]+")
_WORD = re.compile(r"[^\W\d_]+")
_LEAST = 2
"""Letters of a stem."""
_LEAST_OF_PART = 3
"""... of a part of a compound that is known as a whole."""
_LEAST_IN_COMPOUND = 5
"""Letters of a stem that is searched for in a compound of which the rest is not known."""
_MAX_LETTERS = 50
"""Longer ones are no words."""
_MOST_MET = 10_000
_COUNTED = 500
"""Characters by which one of several languages is chosen."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What became of a text. Names, code and words that are not known stand in ``english``."""

    english: str
    own: str
    """The words that were replaced, as they stood; the small ones of a sentence are gone."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    stems: tuple[str, ...]
    english: str


@dataclass(slots=True)
class Glossary:
    """Of one language."""

    language: str
    words: dict[str, str]
    """Stem → English words; of what is written without spaces, a word as it is."""
    phrases: dict[str, list[_Phrase]] = field(default_factory=dict[str, list[_Phrase]])
    """By the first stem, longest first."""
    _met: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def load(cls, language: str) -> Glossary:
        """Read ``de.tsv`` or alike, which comes with the package."""
        text = Path(__file__).with_name(f"{language}.tsv").read_text("utf-8")
        found = cls(language, {})
        for line in text.splitlines():
            stems, _, english = line.partition("\t")
            for stem in stems.split("|") if english else ():
                found._add(stem, english)
        for phrases in found.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase.stems))
        return found

    def _add(self, stem: str, english: str) -> None:
        if self.language in _UNSPACED:
            self.words.setdefault(stem.lower(), english)
            return
        stems = tuple(folded(part, self.language) for part in stem.split())
        if len(stems) == 1:
            self.words.setdefault(stems[0], english)
        else:
            self.phrases.setdefault(stems[0], []).append(_Phrase(stems, english))

    def translate(self, text: str) -> Translation:
        """Line by line; spaces are not kept."""
        lines = [self._line(line) for line in text.splitlines()]
        return Translation(
            "\n".join(line.english for line in lines),
            "\n".join(line.own for line in lines if line.own),
        )

    def count(self, text: str) -> int:
        """How many words of a text are known."""
        return len(self.translate(text[:_COUNTED]).own.split())

    def _line(self, line: str) -> Translation:
        if self.language in _UNSPACED:
            replaced = _RUN.sub(lambda run: f" {self._segments(run[0])} ", line)
            return Translation(" ".join(replaced.split()), " ".join(_RUN.findall(line)))
        words = self._content(line)
        english: list[str] = []
        own: list[str] = []
        at = 0
        while at < len(words):
            count, meaning = self._phrase(words[at : at + 4])
            if not meaning:
                count, meaning = 1, self._word(words[at])
            english.append(meaning or words[at])
            if meaning:
                own += words[at : at + count]
            at += count
        return Translation(" ".join(english), " ".join(own))

    def _content(self, line: str) -> list[str]:
        """A line's words but the small ones; what is spelled like code as it stands."""
        found: list[str] = []
        for run in line.split():
            if CODE.search(run.strip(AROUND)) or "`" in run:
                found.append(run)
            else:
                words = _WORD.findall(run)
                found += [word for word in words if not is_small(word.lower(), self.language)]
        return found

    def _phrase(self, words: list[str]) -> tuple[int, str]:
        first = folded(words[0], self.language)
        for n in range(len(first), 1, -1):
            for phrase in self.phrases.get(first[:n], ()):
                if len(phrase.stems) <= len(words) and all(
                    self._is_form(folded(word, self.language), stem)
                    for word, stem in zip(words, phrase.stems, strict=False)
                ):
                    return len(phrase.stems), phrase.english
        return 0, ""

    def _is_form(self, word: str, stem: str) -> bool:
        return word.startswith(stem) and word[len(stem) :] in ENDINGS[self.language]

    def _word(self, word: str) -> str:
        """What a word means; "" if it is not known."""
        if len(word) > _MAX_LETTERS:
            return ""
        if word not in self._met:
            if len(self._met) > _MOST_MET:
                self._met.clear()
            self._met[word] = self._looked_up(folded(word, self.language))
        return self._met[word]

    def _looked_up(self, word: str) -> str:
        found = self._known(word)
        if found or self.language != "de":
            return found
        bare = without_participle(word)
        return self._known(bare) or self._compound(word) or self._inside(word)

    def _known(self, word: str) -> str:
        """What a folded word means, its ending left aside; "" if it is not known."""
        endings = ENDINGS[self.language]
        for n in range(len(word), _LEAST - 1, -1):
            if word[n:] in endings and (english := self.words.get(word[:n])):
                return english
        return ""

    def _compound(self, word: str) -> str:
        """What a compound means, part by part; "" unless all of them are known."""
        for n in range(len(word) - _LEAST_OF_PART, _LEAST_OF_PART - 1, -1):
            first = self.words.get(word[:n])
            for link in LINKS if first else ():
                if word.startswith(link, n):
                    rest = word[n + len(link) :]
                    if second := self._known(rest) or self._compound(rest):
                        return f"{first} {second}"
        return ""

    def _inside(self, word: str) -> str:
        """What the longest known beginning or end of a compound means."""
        for n in range(len(word) - 1, _LEAST_IN_COMPOUND - 1, -1):
            if found := self.words.get(word[:n]) or self._known(word[-n:]):
                return found
        return ""

    def _segments(self, run: str) -> str:
        """Longest first from the left; what is not known falls away, as particles do."""
        found: list[str] = []
        at = 0
        while at < len(run):
            for n in range(min(10, len(run) - at), 0, -1):
                if english := self.words.get(run[at : at + n]):
                    found.append(english)
                    at += n - 1
                    break
            at += 1
        return " ".join(found)
