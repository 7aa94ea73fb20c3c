"""What the user can set, in ``config.toml``. Every default is here, with its reason.

A settings object is frozen and valid: :func:`load` checks all of it and reports every problem at
once, so that nobody mends a file line by line.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gardenerd.errors import SettingsError

Section = TypeVar("Section", bound="_Section")


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    def problems(self) -> list[str]:
        """What is wrong with these values, in words; empty when they are valid."""
        return []


class Watch(_Section, frozen=True, kw_only=True):
    step_ms: int = 100
    """How often events are collected: 100 ms costs 10 wake-ups a second, 0.1 % of a core."""
    settle_ms: int = 50
    """A batch closes when nothing more arrived for this long."""
    max_settle_ms: int = 2_000
    """... or after this long, so that a build that never pauses is still indexed."""
    rescan_minutes: float = 15.0
    """The watcher loses events without saying so; this bounds how long one stays lost."""
    max_file_bytes: int = 1_000_000
    """Larger files are nearly always data or generated."""

    def problems(self) -> list[str]:
        return [
            *_between("step_ms", self.step_ms, 10, 5_000),
            *_between("settle_ms", self.settle_ms, 0, 60_000),
            *_between("max_settle_ms", self.max_settle_ms, self.settle_ms, 600_000),
            *_between("rescan_minutes", self.rescan_minutes, 0.05, 1_440),
            *_between("max_file_bytes", self.max_file_bytes, 1_000, 100_000_000),
        ]


class Index(_Section, frozen=True, kw_only=True):
    embedding: str = "embedded"
    """``embedded``, or the folder or Hub name of a sentence-transformers model."""
    learn: bool = True
    """Tune the embedding of queries to each project at night, on its docstrings, commits and
    accepted answers (docs/retrieval.md)."""
    keep_alive: str = "2m"
    """The index worker leaves after this long without work: ``30s``, ``5m``, ``0``, ``-1``."""

    def problems(self) -> list[str]:
        return _duration("keep_alive", self.keep_alive)


_BACKENDS = ("transformers", "ollama", "openai")


class Model(_Section, frozen=True, kw_only=True):
    base: str = "seedling"
    """``seedling`` (embedded), or a folder that holds a transformers causal language model."""
    keep_alive: str = "5m"
    """As in ollama: a duration (``30s``, ``5m``, ``2h``, or a number of seconds), ``0`` unloads
    after each answer, ``-1`` keeps it for good."""
    max_adapters: int = 3
    """Adapters kept in memory beside the base; the least recently used one goes."""
    max_memory_mb: int = 4_096
    """Of the model worker, as the system counts it. Texts read before give way first, then adapters
    that nobody uses; what then has no room is refused with both figures."""
    max_new_tokens: int = 256
    backend: str = "transformers"
    """What answers and completes (docs/backends.md): ``transformers``, in a process of gardener's
    own; or a server: ``ollama``, or ``openai``, which is any with that protocol. What trains and
    scores is ``base`` in any case."""
    url: str = ""
    """Of the server; empty is ollama's own on this machine."""
    name: str = ""
    """Of the model there; empty takes the only one that the server lists."""
    window: int = 0
    """Tokens of prompt and answer together at the server; 0 asks it."""
    api_key_env: str = ""
    """The environment variable that holds the server's key, where it wants one."""
    allow_remote: bool = False
    """Let the server be on another machine: code and questions go there."""
    repository_context: bool = True
    """Completions see excerpts of other files, where the base was trained with such."""

    def problems(self) -> list[str]:
        return [
            *_duration("keep_alive", self.keep_alive),
            *_between("max_adapters", self.max_adapters, 1, 64),
            *_between("max_memory_mb", self.max_memory_mb, 256, 16_000_000),
            *_between("max_new_tokens", self.max_new_tokens, 1, 32_768),
            *self._server_problems(),
        ]

    def _server_problems(self) -> list[str]:
        found: list[str] = []
        if self.backend not in _BACKENDS:
            found.append(f"backend must be one of {', '.join(_BACKENDS)}, not {self.backend!r}")
        if self.backend == "openai" and not self.url:
            found.append('url must name the server of backend "openai"')
        if self.url and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", self.url):
            found.append(
                f"url must look like http://127.0.0.1:8080, without a name, password or query; "
                f"not {self.url!r}"
            )
        elif self.url and not self.allow_remote and _elsewhere(self.url):
            found.append(f"url {self.url!r} is not on this machine, and allow_remote is not set")
        if self.window:
            found += _between("window", self.window, 256, 10_000_000)
        if self.api_key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.api_key_env):
            found.append("api_key_env must be the name of an environment variable, not a key")
        return found


# The projections of the architectures served: Llama, Qwen2, Gemma, StarCoder2, GPT-NeoX.
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "query_key_value", "dense")
_FEED_FORWARD = ("gate_proj", "up_proj", "down_proj", "c_fc", "c_proj")
_MODULES = frozenset((*_ATTENTION, *_FEED_FORWARD, "dense_h_to_4h", "dense_4h_to_h"))


class Train(_Section, frozen=True, kw_only=True):
    """Hyperparameters. ``None`` takes the base model's own default, then the general one."""

    rank: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    learning_rate: float | None = None
    target_modules: str | tuple[str, ...] | None = None
    """``all-linear`` or names of projections."""
    batch_tokens: int | None = None
    """Tokens in one optimizer step."""
    max_length: int | None = None
    """Tokens in one packed row."""
    steps: int | None = None
    """Optimizer steps at most; ``None`` takes two passes over the set."""
    warmup_steps: int | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    fim_rate: float | None = None
    """Share of the examples that are trained as fill-in-the-middle."""
    hold: float | None = None
    """How firmly general code is held to what the base says of it, in a first run. Later ones hold
    more firmly after one that had to be lowered in strength, and less after one that had not."""
    seed: int = 0
    minutes: float = 30.0
    """A run stops learning after this long and goes on to validation."""
    anew: bool = False
    """Each run starts from the base model and a larger set instead of going on from the last."""

    def problems(self) -> list[str]:
        found = [
            *_optional("rank", self.rank, 1, 512),
            *_optional("alpha", self.alpha, 1, 2_048),
            *_optional("batch_tokens", self.batch_tokens, 64, 4_194_304),
            *_optional("max_length", self.max_length, 32, 131_072),
            *_optional("steps", self.steps, 1, 1_000_000),
            *_optional("warmup_steps", self.warmup_steps, 0, 100_000),
            *_optional("weight_decay", self.weight_decay, 0.0, 1.0),
            *_optional("max_grad_norm", self.max_grad_norm, 1e-3, 1e3),
            *_optional("fim_rate", self.fim_rate, 0.0, 1.0),
            *_optional("hold", self.hold, 0.0, 1_000.0),
            *_between("minutes", self.minutes, 0.01, 1_440),
        ]
        if self.dropout is not None and not 0 <= self.dropout < 1:
            found.append(f"dropout must be within [0, 1), not {self.dropout}")
        if self.learning_rate is not None and not 1e-5 <= self.learning_rate <= 1e-2:
            found.append(
                f"learning_rate must be within [1e-5, 1e-2], not {self.learning_rate}: below it "
                "nothing is learned in a night, above it training diverges"
            )
        if self.target_modules is not None and self.target_modules != "all-linear":
            named = self.target_modules
            names = (named,) if isinstance(named, str) else named
            unknown = sorted(set(names) - _MODULES)
            if not names:
                found.append("target_modules must name at least one module")
            if unknown:
                found.append(
                    f"target_modules has unknown names: {', '.join(unknown)}; "
                    f"known: all-linear, {', '.join(sorted(_MODULES))}"
                )
        return found

    def warnings(self) -> list[str]:
        """What is allowed but probably not meant."""
        rate = self.learning_rate
        if rate is not None and not 2e-5 <= rate <= 1e-3:
            return [f"train.learning_rate {rate} is outside the usual [2e-5, 1e-3]"]
        return []


class Loop(_Section, frozen=True, kw_only=True):
    batch_size: int = 50
    """New examples before a run is worth its energy."""
    window: str = "02:00-06:00"
    """Hours of the local clock in which training may start; it may pass midnight. ``learned``: the
    four hours in which you work least, once a week of your use is known."""
    idle_minutes: float = 10.0
    """... or after the user has been away for this long. 0 turns this trigger off."""
    on_battery: bool = False
    buffer_size: int = 10_000
    """Examples kept for replay, for each project."""
    training_set: int = 500
    """Examples in one run: new ones mixed with replayed ones."""
    replay_share: float = 0.5
    """Share of the set that is replayed once there is enough to replay."""
    commits: bool = False
    """Learn from commits too: the message, then the code that it added."""
    min_free_memory_mb: int = 1_500
    min_free_disk_mb: int = 1_000
    """What stays free beside what a run writes."""
    keep_versions: int = 5
    """Adapters that served before and are kept to go back to, beside those that are pinned."""

    def problems(self) -> list[str]:
        found = [
            *_between("batch_size", self.batch_size, 1, 100_000),
            *_between("idle_minutes", self.idle_minutes, 0, 10_080),
            *_between("buffer_size", self.buffer_size, 10, 1_000_000),
            *_between("training_set", self.training_set, 1, 100_000),
            *_between("replay_share", self.replay_share, 0, 0.95),
            *_between("min_free_memory_mb", self.min_free_memory_mb, 0, 1_000_000),
            *_between("min_free_disk_mb", self.min_free_disk_mb, 0, 100_000_000),
            *_between("keep_versions", self.keep_versions, 1, 1_000),
        ]
        if self.window not in {"", "learned"} and parse_window(self.window) is None:
            found.append(f"window must be learned or look like 02:00-06:00, not {self.window!r}")
        return found


class Track(_Section, frozen=True, kw_only=True):
    mlflow: str = ""
    """Where MLflow, if it is installed, keeps what runs are told to it: a folder or a server."""


class Log(_Section, frozen=True, kw_only=True):
    level: str = "info"

    def problems(self) -> list[str]:
        known = ("debug", "info", "warning", "error")
        return [] if self.level in known else [f"level must be one of {', '.join(known)}"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    watch: Watch = msgspec.field(default_factory=Watch)
    index: Index = msgspec.field(default_factory=Index)
    model: Model = msgspec.field(default_factory=Model)
    train: Train = msgspec.field(default_factory=Train)
    loop: Loop = msgspec.field(default_factory=Loop)
    track: Track = msgspec.field(default_factory=Track)
    log: Log = msgspec.field(default_factory=Log)


def load(path: Path) -> Settings:
    """Read and check ``config.toml``; a missing file means the defaults.

    Raises:
        SettingsError: names every problem of the file at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}", hint="check the file") from error
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", hint=f"edit {path}") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=f"edit {path}") from error


def parse(raw: dict[str, Any]) -> Settings:
    """Build settings from nested mappings, reporting all problems together."""
    problems: list[str] = []
    sections: dict[str, Any] = {}
    known = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name, values in raw.items():
        if name not in known:
            problems.append(f"unknown section [{name}]; known: {', '.join(known)}")
        elif not isinstance(values, dict):
            problems.append(f"{name} must be a section [{name}]")
        else:
            section, found = _section(known[name], values)
            problems.extend(f"{name}.{problem}" for problem in found)
            sections[name] = section
    if problems:
        raise SettingsError("; ".join(problems))
    return Settings(**sections)


def _section(kind: type[Section], values: dict[str, Any]) -> tuple[Section, list[str]]:
    problems: list[str] = []
    valid: dict[str, Any] = {}
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name not in types:
            problems.append(f"{name} is not a setting; known: {', '.join(types)}")
            continue
        if name == "keep_alive" and type(value) in (int, float):
            value = str(value)  # ollama takes numbers too
        try:
            valid[name] = msgspec.convert(value, types[name])
        except msgspec.ValidationError as error:
            problems.append(f"{name}: {error}")
    section = kind(**valid)
    return section, problems + section.problems()


def with_value(text: str, section: str, name: str, value: str) -> str:
    """The text of ``config.toml`` with one setting changed; the rest stays as it was written.

    Raises:
        SettingsError: it is written in a way that this does not change safely.
    """
    entry = f"{name} = {msgspec.json.encode(value).decode()}"  # a JSON string is a TOML one
    lines = text.splitlines()

    def find(pattern: str, first: int, end: int) -> int | None:
        return next((at for at in range(first, end) if re.match(pattern, lines[at])), None)

    header = find(rf"\s*\[\s*{section}\s*\]", 0, len(lines))
    if header is None:
        lines += [*([""] if lines else []), f"[{section}]", entry]
    else:
        end = find(r"\s*\[", header + 1, len(lines)) or len(lines)
        own = find(rf"\s*{name}\s*=", header + 1, end)
        if own is None:
            lines.insert(header + 1, entry)
        else:
            lines[own] = entry + _comment(lines[own].partition("=")[2])
    result = "\n".join(lines) + "\n"
    try:
        wanted = tomllib.loads(text)
        wanted[section] = {**wanted.get(section, {}), name: value}
        safe = tomllib.loads(result) == wanted
    except tomllib.TOMLDecodeError:
        safe = False
    if safe:
        return result
    raise SettingsError(
        f"config.toml is written in a way that `{section}.{name}` cannot be changed in",
        hint=f"write {entry} under [{section}] yourself, then `gardenerctl restart`",
    )


def _comment(rest: str) -> str:
    """What follows the value of a line, if that is a plain string."""
    found = re.fullmatch(r"""\s*(?:"[^"\\]*"|'[^']*')(\s*#.*)?\s*""", rest)
    return (found[1] or "") if found else ""


def parse_duration(text: str) -> float | None:
    """Seconds in ``90s``, ``5m``, ``2h`` or a number; ``inf`` for ``-1``, None if malformed."""
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*(s|m|h)?\s*", text)
    if match is None:
        return None
    number = float(match[1])
    if number < 0:
        return float("inf")
    return number * {"s": 1, "m": 60, "h": 3_600}[match[2] or "s"]


def parse_window(text: str) -> tuple[int, int] | None:
    """Minutes since midnight of start and end of ``HH:MM-HH:MM``; None if malformed."""
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        return None
    first, second = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    return None if first == second else (first, second)


def _elsewhere(url: str) -> bool:
    """The host is a number of another machine; names are looked up when they are used."""
    import ipaddress
    from urllib.parse import urlsplit

    try:
        return not ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False


def _between(name: str, value: float, low: float, high: float) -> list[str]:
    return [] if low <= value <= high else [f"{name} must be within [{low}, {high}], not {value}"]


def _optional(name: str, value: float | None, low: float, high: float) -> list[str]:
    return [] if value is None else _between(name, value, low, high)


def _duration(name: str, value: str) -> list[str]:
    if parse_duration(value) is not None:
        return []
    return [f"{name} must be a duration such as 30s, 5m or 2h, 0 or -1, not {value!r}"]
