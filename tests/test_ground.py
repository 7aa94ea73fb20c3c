"""Errors, paths, durable writes and logs: what everything stands on."""

from __future__ import annotations

import json
import logging
import os
import resource
from pathlib import Path

import pytest

from gardenerd import durable, logs
from gardenerd.errors import GardenerError, ModelError, StorageError, from_code
from gardenerd.paths import Home, find_home


def tree(root: type[GardenerError]) -> list[type[GardenerError]]:
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


def test_every_error_has_a_code_of_its_own_and_an_exit_status() -> None:
    codes = [error.code for error in tree(GardenerError)]
    assert len(codes) == len(set(codes))
    assert {error.exit_status for error in tree(GardenerError)} == {1, 2, 3, 4}
    assert isinstance(from_code("model", "damaged"), ModelError)
    assert type(from_code("from-the-future", "odd")) is GardenerError


def test_the_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARDENER_HOME", "/somewhere/else")
    assert find_home().root == Path("/somewhere/else")
    monkeypatch.delenv("GARDENER_HOME")
    assert find_home().root.name == "gardener"


def test_a_home_is_private_also_when_it_was_not(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    home = Home(tmp_path / "home")
    home.create()
    for folder in (home.root, home.index, home.adapters, home.logs, home.run):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_long_home_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    home = Home(tmp_path / ("deep" * 30))
    assert len(os.fsencode(home.request_endpoint)) < 104
    assert home.run != Home(tmp_path / ("deep" * 31)).run
    home.create()
    home.run.rmdir()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(StorageError) as caught:
        Home(tmp_path / "home").create()
    assert caught.value.hint


def test_a_write_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    durable.write_file(file, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(StorageError, match=r"state\.json"):
            durable.write_file(file, b"n" * 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_folder_is_published_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "made", tmp_path / "deep" / "v1"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "a").write_text("1")
    durable.publish_folder(source, target)
    assert (target / "inner" / "a").read_text() == "1"
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


def test_logs_are_json_lines_with_fields(tmp_path: Path) -> None:
    file = tmp_path / "gardenerd.log"
    logs.configure(file, level="info")
    logging.getLogger("gardenerd.part").info("it happened", extra={"files": 3})
    logging.getLogger("gardenerd.part").debug("not told")
    logging.getLogger("another.library").warning("careful")
    try:
        raise ValueError("a defect")
    except ValueError:
        logging.getLogger("gardenerd.part").exception("it failed")
    first, second, third = (json.loads(line) for line in file.read_text().splitlines())
    assert (first["part"], first["event"], first["files"]) == ("part", "it happened", 3)
    assert second["event"] == "careful"
    assert "ValueError: a defect" in third["traceback"]
    logs.configure(tmp_path / "other.log")  # the first file is closed
