"""Settings are valid or refused as a whole, with every problem named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.errors import SettingsError
from gardenerd.settings import (
    Settings,
    Train,
    load,
    parse,
    parse_duration,
    parse_window,
    with_value,
)


def test_a_missing_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Settings()


def test_the_defaults_are_valid() -> None:
    defaults = Settings()
    for section in (defaults.watch, defaults.index, defaults.model, defaults.train):
        assert section.problems() == []
    assert defaults.loop.problems() == []
    assert defaults.train.warnings() == []


def test_all_problems_are_listed_together() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(
            {
                "train": {
                    "rank": 0,
                    "dropout": 1.0,
                    "learning_rate": 0.5,
                    "target_modules": ["q_proj", "nonsense"],
                    "steps": "many",
                    "colour": "green",
                },
                "loop": {"window": "late", "batch_size": 0},
                "nowhere": {},
            }
        )
    for word in (
        *("train.rank", "train.dropout", "train.learning_rate", "nonsense", "train.steps"),
        *("train.colour", "loop.window", "loop.batch_size", "[nowhere]"),
    ):
        assert word in caught.value.message


@pytest.mark.parametrize("rate", [0.99e-5, 1.01e-2, -1.0, float("nan")])
def test_learning_rates_that_cannot_work_are_refused(rate: float) -> None:
    assert Train(learning_rate=rate).problems()


@pytest.mark.parametrize(("rate", "warned"), [(1e-5, True), (2e-5, False), (1e-3, False)])
def test_unusual_learning_rates_are_warned_about(rate: float, warned: bool) -> None:
    assert Train(learning_rate=rate).problems() == []
    assert bool(Train(learning_rate=rate).warnings()) is warned


@pytest.mark.parametrize("text", ["[train", "train = 3", "\xff"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"config\.toml") as caught:
        load(file)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("2h", 7_200), ("0", 0), ("-1", float("inf")), ("soon", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_how_long_the_model_is_kept_may_be_a_number() -> None:
    kept = [
        parse({"model": {"keep_alive": value}}).model.keep_alive for value in (0, -1, 2.5, "1h")
    ]
    assert [parse_duration(each) for each in kept] == [0, float("inf"), 2.5, 3_600]
    with pytest.raises(SettingsError, match="keep_alive"):
        parse({"model": {"keep_alive": True}})


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("02:00-06:00", (120, 360)), ("23:30-1:15", (1_410, 75)), ("24:00-1:00", None), ("2-3", None)],
)
def test_windows(text: str, minutes: tuple[int, int] | None) -> None:
    assert parse_window(text) == minutes


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backend": "llama"}, "model.backend must be one of"),
        ({"backend": "openai"}, "model.url must name the server"),
        ({"url": "localhost:8080"}, "must look like http"),
        ({"url": "http://me:secret@127.0.0.1:1"}, "without a name, password"),
        ({"url": "http://192.168.1.5:8080"}, "allow_remote is not set"),
        ({"url": "https://[2001:db8::1]/v1"}, "allow_remote is not set"),
        ({"api_key_env": "sk-abc"}, "not a key"),
        ({"window": 10}, "model.window must be within"),
        ({"backend": "ollama"}, ""),
        ({"backend": "openai", "url": "http://localhost:1234/v1/"}, ""),
        ({"backend": "openai", "url": "http://[::1]:8080"}, ""),
        ({"url": "http://192.168.1.5:8080", "allow_remote": True}, ""),
    ],
)
def test_a_model_server_is_on_this_machine_unless_it_may_not_be(
    fields: dict[str, object], says: str
) -> None:
    if says:
        with pytest.raises(SettingsError) as caught:
            parse({"model": fields})
        assert says in caught.value.message
    else:
        assert parse({"model": fields})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[model]\nbase = "b/c"\n'),
        ("[loop]\nbatch_size = 3\n", '[loop]\nbatch_size = 3\n\n[model]\nbase = "b/c"\n'),
        (
            "# mine\n[ model ] # m\nmax_adapters = 2\nbase='old' # why\n[log]\nlevel = \"info\"\n",
            '# mine\n[ model ] # m\nmax_adapters = 2\nbase = "b/c" # why\n[log]\nlevel = "info"\n',
        ),
        ('[model]\nkeep_alive = "1m"', '[model]\nbase = "b/c"\nkeep_alive = "1m"\n'),
    ],
)
def test_one_setting_is_changed_and_the_rest_stays(before: str, after: str) -> None:
    assert with_value(before, "model", "base", "b/c") == after


@pytest.mark.parametrize(
    "text", ["[model", 'model.base = "a"', 'model = { base = "a" }', '[model]\nbase = """\na"""\n']
)
def test_what_cannot_be_changed_safely_is_left(text: str) -> None:
    with pytest.raises(SettingsError, match=r"model\.base") as caught:
        with_value(text, "model", "base", "b")
    assert "restart" in caught.value.hint
