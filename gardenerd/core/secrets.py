"""Masking of secrets, before anything else sees a text.

The shapes are those that the public rule sets of gitleaks and the vendors' own documents name.
Each has a literal that must occur before its pattern is tried, which is what keeps this cheap:
most files hold none of them. A pattern's group, where it has one, is the part that is masked.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (literals, re.compile(pattern))
    for literals, pattern in (
        (
            ("-----BEGIN",),
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]{1,20000}?"
            r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
        (
            ("AKIA", "ASIA"),
            r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
        ),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
        (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
        (
            ("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-"),
            r"\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,64}",
        ),
        (("xox", "xapp-"), r"\b(?:xox[abeoprs]-|xapp-)[A-Za-z0-9-]{10,250}"),
        (("hooks.slack.com",), r"hooks\.slack\.com/((?:services|workflows)/[A-Za-z0-9+/]{20,})"),
        (
            ("k_live_", "k_test_", "whsec_"),
            r"\b(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,250}",
        ),
        (("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
        (("ya29.",), r"\bya29\.[A-Za-z0-9_-]{20,}"),
        (("GOCSPX-",), r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
        (("sk-",), r"\bsk-(?:proj-|ant-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{32,250}"),
        (("eyJ",), r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
        (("pypi-",), r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
        (("hf_",), r"\bhf_[A-Za-z0-9]{34,}\b"),
        (("SG.",), r"\bSG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}"),
        (("dop_v1_", "doo_v1_"), r"\bdo[op]_v1_[a-f0-9]{64}\b"),
        (("shpat_", "shpss_", "shpca_"), r"\bshp(?:at|ss|ca)_[a-fA-F0-9]{32}\b"),
        (("AccountKey=",), r"AccountKey=([A-Za-z0-9+/]{60,}={0,2})"),
        (("://",), r"://[^\s:/@'\"<>{}$%]{1,64}:([^\s:/@'\"<>{}$%]{6,128})(?=@[\w.-]+)"),
        (
            ("bot_token", "api.telegram.org"),
            r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b",
        ),
    )
)

# A literal given to a name that says what it is; matched where one of the words below stands.
_NAMED_WORDS = ("passw", "pwd", "secret", "token", "api", "access", "auth", "private", "credential")
_NAMED = re.compile(
    r"""(?x)
    (?:passw(?:or)?d|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|private[_-]?key|credential)
    [\w.\-]{0,40} ["']? \]? \s{0,8}
    (?: :\s{0,4}[\w\[\],\ |]{1,40}= | => | := | [:=] ) \s{0,8}
    [bru]{0,2} (?P<quote>["'`]) (?P<value>[^"'`\s]{12,512}) (?P=quote)
    """,
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_WORDY = re.compile(r"[A-Za-z]{2,}")


def redact(text: str) -> tuple[str, int]:
    """Mask every secret by as many ``*``; newlines stay, so lines and columns keep their numbers.

    Returns the masked text, of the same length, and how many secrets were found.
    """
    spans: list[tuple[int, int]] = []
    for literals, pattern in _RULES:
        if any(literal in text for literal in literals):
            spans.extend(match.span(pattern.groups) for match in pattern.finditer(text))
    spans.extend(_named(text))
    if not spans:
        return text, 0
    return _mask(text, spans)


def _named(text: str) -> Iterator[tuple[int, int]]:
    low = text.lower()
    if len(low) != len(text):  # a few letters grow when lowered
        low = "".join(c.lower() if c.isascii() else c for c in text)
    for word in _NAMED_WORDS:
        at = low.find(word)
        while at >= 0:
            match = _NAMED.match(text, at)
            if match and _looks_random(match["value"]):
                yield match.span("value")
            at = low.find(word, at + len(word))


def _mask(text: str, spans: list[tuple[int, int]]) -> tuple[str, int]:
    pieces: list[str] = []
    at, count = 0, 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        start = max(start, at)
        pieces.append(text[at:start])
        pieces.append(re.sub(r"[^\n]", "*", text[start:end]))
        at = end
        count += 1
    pieces.append(text[at:])
    return "".join(pieces), count


def _looks_random(value: str) -> bool:
    """Whether a literal looks drawn at random rather than written by hand."""
    if any(mark in value for mark in ("${", "{{", "%(", "<", "{", "...", "***")):
        return False
    digits = len(_DIGIT.findall(value))
    words = sum(len(word) for word in _WORDY.findall(value) if word.islower() or word.istitle())
    bits = _entropy(value)
    if digits == 0:
        return False
    if set(value.lower()) <= set("0123456789abcdef") and len(value) >= 20:
        return bits > 2.8
    # "my-token-name-2" is mostly words between separators; keys mix all through.
    return bits > 3.3 and words < 0.7 * len(value)


def _entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())
