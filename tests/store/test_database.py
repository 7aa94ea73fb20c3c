"""One file that holds the truth: transactions, migrations, and refusing what is not ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gardenerd.errors import StorageError
from gardenerd.store import schema
from gardenerd.store.database import Database


def test_a_transaction_takes_effect_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.run("INSERT INTO meta VALUES ('a', '1')")
        raise ZeroDivisionError
    assert database.value("SELECT count(*) FROM meta") == 0
    with database.transaction():
        database.run("INSERT INTO meta VALUES ('a', '1')")
        with database.transaction():
            database.run("INSERT INTO meta VALUES ('b', '2')")
    assert database.value("SELECT count(*) FROM meta") == 2
    database.close()


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from gardenerd.store.database import Database\n"
        "database = Database(pathlib.Path(sys.argv[1]))\n"
        "database.run(\"INSERT INTO meta VALUES ('kept', 'yes')\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    file = tmp_path / "state.db"
    assert subprocess.run([sys.executable, "-c", code, str(file)]).returncode == -9
    database = Database(file)
    assert database.value("SELECT value FROM meta WHERE key = 'kept'") == "yes"
    database.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    Database(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    raw.close()
    with pytest.raises(StorageError, match="newer") as caught:
        Database(file)
    assert caught.value.hint


def test_another_program_s_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(StorageError, match="another program"):
        Database(file)


@pytest.mark.parametrize("damage", ["header", "nonsense"])
def test_damage_is_told_with_the_next_step(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "state.db"
    Database(file).close()
    content = bytearray(file.read_bytes())
    if damage == "header":
        content[:100] = b"\0" * 100
    else:
        content[4_096:] = b"\xff" * (len(content) - 4_096)
    file.write_bytes(bytes(content))
    with pytest.raises(StorageError) as caught:
        Database(file)
    assert caught.value.hint


def test_it_is_private(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0
    database.close()


def test_what_was_deleted_is_in_no_byte_of_it(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    database = Database(file)
    for number in range(50):
        database.run("INSERT INTO meta VALUES (?, ?)", (f"k{number}", "zanzibarquux " * 200))
    database.run("DELETE FROM meta WHERE key != 'k7'")
    database.run("UPDATE meta SET value = 'other'")

    def holding() -> set[str]:
        return {path.name for path in tmp_path.iterdir() if b"zanzibar" in path.read_bytes()}

    assert holding()
    database.shred()
    assert holding() == set()
    assert database.value("SELECT value FROM meta") == "other"
    database.close()


def test_adapters_of_before_may_have_learned_anything(tmp_path: Path) -> None:
    """The record of what was learned begins with the sixth migration."""
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as raw:
        for script in schema.MIGRATIONS[:5]:
            raw.executescript(script)
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.execute("PRAGMA user_version = 5")
        for id in ("with", "without"):
            raw.execute(
                "INSERT INTO projects (id, name, path, added) VALUES (?, ?, ?, 1)", (id,) * 3
            )
        raw.execute(
            "INSERT INTO adapters (project, version, number, state, created) "
            "VALUES ('with', 'v1', 1, 'retired', 1), ('without', 'v1', 1, 'rejected', 1)"
        )
    raw.close()
    database = Database(file)
    assert [tuple(row) for row in database.rows("SELECT * FROM lessons")] == [("with", "", 0)]
    database.close()
