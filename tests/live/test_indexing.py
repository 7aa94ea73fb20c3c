"""The index follows the disk, whatever happens to either."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from bench.fresh_index import compare
from tests.live.garden import Garden, until


@pytest.fixture
def garden(shared: Garden) -> Garden:
    return shared


def test_a_project_is_found_edited_and_deleted(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    first = garden.lines("search", "merge cart lines", "-k", "3")[0]
    assert (first["path"], first["symbol"], first["state"]) == (
        "web/cart.ts",
        "mergeCartLines",
        "fresh",
    )
    assert {"project", "start_line", "end_line", "kind", "score", "schema"} <= set(first)
    assert "build/generated.py" not in garden.found("generated thing")

    file = project / "shop" / "shipping.py"
    file.write_text(file.read_text() + "\n\ndef customs_declaration(parcel):\n    return parcel\n")
    until(lambda: "shop/shipping.py" in garden.found("customs declaration", 1), 30)
    file.unlink()
    until(lambda: "shop/shipping.py" not in garden.found("customs declaration"), 30)
    until(lambda: garden.json("status")["projects"][0]["settled"] is True, 30)
    assert garden.json("status")["projects"][0]["pending"] == 0


def test_what_changed_while_nobody_watched_is_found_at_the_start(
    garden: Garden, project: Path
) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    garden.stop()
    (project / "late.py").write_text("def written_in_absence():\n    return 1\n")
    (project / "shop" / "basket.py").unlink()
    garden.start()
    garden.settle()
    assert "late.py" in garden.found("written in absence", 1)
    assert "shop/basket.py" not in garden.found("basket total price")


def test_a_new_ignore_rule_takes_files_out(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    assert "shop/shipping.py" in garden.found("shipping cost", 1)
    (project / ".gardenerignore").write_text("shipping.py\n")
    until(lambda: "shop/shipping.py" not in garden.found("shipping cost"), 30)
    (project / ".gardenerignore").unlink()
    until(lambda: "shop/shipping.py" in garden.found("shipping cost", 1), 30)


def test_a_fresh_search_sees_what_was_written_just_before(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    for number in range(3):
        (project / f"late_{number}.py").write_text(f"def written_late_{number}():\n    return 1\n")
        hits = garden.lines("search", f"written_late_{number}", "--fresh", "-k", "1")
        assert [(hit["path"], hit["state"]) for hit in hits] == [(f"late_{number}.py", "fresh")]


def test_why_tells_what_became_of_a_file(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    (project / ".gardenerignore").write_text("attic/\n")
    (project / "attic").mkdir()
    (project / "attic" / "old.py").write_text("x = 1\n")
    (project / ".env").write_text("TOKEN=1\n")
    (project / "data.py").write_text(f"x = '{'a' * 20_000}'\n")
    (project / "link.py").symlink_to(project / "shop" / "basket.py")
    garden.settle()

    def why(path: str) -> tuple[str, str]:
        told = garden.json("why", str(project / path))
        assert told["path"] == path
        return told["state"], told["reason"]

    told = garden.json("why", str(project / "shop" / "basket.py"))
    assert (told["state"], told["reason"]) == ("indexed", "")
    assert told["chunks"] > 0
    assert told["indexed"] > 0
    assert why("attic/old.py") == ("excluded", ".gardenerignore: attic/")
    assert why(".env") == ("excluded", "a file of this name holds secrets")
    # That it was written may be heard after all has settled: then it is looked at once more.
    until(lambda: why("data.py")[0] == "skipped", 30)
    assert "minified or data" in why("data.py")[1]
    assert why("link.py") == ("excluded", "a symbolic link")
    assert why("none.py") == ("missing", "No such file or directory")
    assert why("shop")[0] == "folder"
    assert garden.refusal("why", str(project.parent / "elsewhere.py"))["code"] == "not_found"
    assert "indexed" in garden.ctl("why", str(project / "shop" / "basket.py"))


def test_a_root_that_vanishes_freezes_its_project(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    hidden = project.with_name("elsewhere")
    project.rename(hidden)
    until(lambda: garden.json("status")["projects"][0]["state"] == "frozen", 30)
    assert "does not exist" in garden.json("status")["projects"][0]["reason"]
    assert garden.json("status")["projects"][0]["files"] == 5
    hits = garden.lines("search", "shipping cost", "-k", "1")
    assert hits[0]["state"] == "gone"
    hidden.rename(project)
    (project / "back.py").write_text("def returned_from_elsewhere():\n    return 2\n")
    until(lambda: "back.py" in garden.found("returned from elsewhere", 1), 30)


def test_an_index_that_was_deleted_is_rebuilt(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    before = garden.json("status")["projects"][0]["chunks"]
    garden.stop()
    shutil.rmtree(garden.home.index)
    garden.start()
    garden.settle()
    assert garden.json("status")["projects"][0]["chunks"] == before
    assert "shop/shipping.py" in garden.found("shipping cost", 1)


def test_an_index_that_is_lost_before_its_first_job_ended_is_rebuilt(
    garden: Garden, project: Path
) -> None:
    for number in range(2_000):
        (project / f"m{number}.py").write_text(f"def function_{number}():\n    return {number}\n")
    # Files that a scan sees in their first two seconds are looked at again by the next one anyway.
    written = time.time()
    until(lambda: time.time() > written + 2, 10)
    id = garden.json("add", str(project))["id"]

    def half_done() -> bool:
        told = garden.json("status")["projects"][0]
        return told["files"] > 0 and told["pending"] > 0

    until(half_done, 60)
    garden.kill()
    shutil.rmtree(garden.home.index)
    garden.start()
    garden.settle()
    assert compare(garden.home, id, project.resolve(), ["function 7"]).differences == []


def test_an_index_that_is_deleted_under_the_daemon_is_rebuilt(
    garden: Garden, project: Path
) -> None:
    id = garden.json("add", str(project))["id"]
    garden.settle()
    garden.ctl("unload")
    shutil.rmtree(garden.home.index)
    garden.run("search", "shipping cost")  # makes an empty one
    garden.settle()
    assert compare(garden.home, id, project.resolve(), ["shipping cost"]).differences == []


def test_an_index_of_an_older_format_is_rebuilt(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    garden.stop()
    (table,) = (garden.home.index / "lance").iterdir()
    table.rename(table.with_name("chunks-v1-older-256.lance"))
    with sqlite3.connect(garden.home.database) as database:
        assert database.execute(
            "UPDATE meta SET value = 'format 1, embedded' WHERE key = 'index_made_of'"
        ).rowcount
    database.close()
    garden.start()
    garden.settle()
    assert "shop/shipping.py" in garden.found("shipping cost", 1)
    assert [file.name for file in (garden.home.index / "lance").iterdir()] == [table.name]


def test_a_kill_in_the_middle_loses_nothing(garden: Garden, project: Path) -> None:
    for number in range(300):
        (project / f"module_{number}.py").write_text(
            f"def function_number_{number}(value):\n    return value + {number}\n"
        )
    garden.ctl("add", str(project))
    until(lambda: garden.json("status")["projects"][0]["pending"] > 0, 30)
    garden.kill()
    garden.start()
    garden.settle()
    status = garden.json("status")["projects"][0]
    assert (status["files"], status["pending"]) == (305, 0)
    assert "module_277.py" in garden.found("function_number_277", 3)


def test_ten_thousand_files_at_once(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    many = project / "many"
    for folder in range(100):
        (many / str(folder)).mkdir(parents=True)
        for number in range(100):
            (many / str(folder) / f"m{number}.py").write_text(f"x_{folder}_{number} = 1\n" * 5)
    garden.settle()
    assert garden.json("status")["projects"][0]["files"] == 10_005
    shutil.rmtree(many)
    garden.settle()
    assert garden.json("status")["projects"][0]["files"] == 5


def test_secrets_reach_no_file_of_the_home(garden: Garden, project: Path) -> None:
    secret = "AKIA" + "Z7QF3WLPX2VKDM5T"
    (project / "config.py").write_text(f'AWS_KEY = "{secret}"\n\n\ndef connect():\n    return 1\n')
    (project / ".env").write_text(f"TOKEN={secret}\n")
    garden.ctl("add", str(project))
    garden.settle()
    assert "config.py" in garden.found("connect AWS_KEY", 3)
    garden.stop()
    found = subprocess.run(
        ["grep", "-rl", secret, str(garden.home.root)], capture_output=True, text=True
    )
    assert found.stdout == ""


def test_removing_a_project_forgets_it(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project), "--name", "shop")
    garden.settle()
    garden.ctl("remove", "shop")
    assert garden.json("status")["projects"] == []
    assert garden.refusal("search", "shipping")["code"] == "refused"
    assert (project / "README.md").is_file()


def test_a_folder_that_moves_in_brings_its_own_rules(garden: Garden, project: Path) -> None:
    """Only its name is heard then: what it holds, rules among it, makes no event."""
    garden.ctl("add", str(project))
    garden.settle()
    assert "web/cart.ts" in garden.found("merge cart lines", 1)
    other = project.with_name("other")
    other.mkdir()
    (other / ".gitignore").write_text("*.py\n")
    (other / "hidden.py").write_text("def never_to_be_found():\n    return 1\n")
    (other / "seen.ts").write_text("export function seenAtOnce() { return 1; }\n")
    (project / "web").rename(project.with_name("away"))
    other.rename(project / "web")
    until(lambda: "web/seen.ts" in garden.found("seenAtOnce", 1), 30)
    assert "web/hidden.py" not in garden.found("never_to_be_found")
    (project / "web").rename(project.with_name("other"))
    project.with_name("away").rename(project / "web")
    (project / "web" / "back.py").write_text("def back_without_rules():\n    return 1\n")
    until(lambda: "web/back.py" in garden.found("back_without_rules", 1), 30)
