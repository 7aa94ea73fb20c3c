"""The scan is the truth: what it finds, what it leaves alone, and how fast it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gardenerd.errors import CancelledError, NotFoundError, RefusedError
from gardenerd.store.files import Known
from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import diff, scan
from gardenerd.watch.roots import check_root, root_state


def paths(root: Path, limit: int = 1_000_000) -> set[str]:
    return {file.path for file in scan(Filter(root, limit)).files}


def known(root: Path) -> dict[str, Known]:
    return {
        f.path: Known(f.size, f.mtime_ns, f.ctime_ns, f.inode, True, False)
        for f in scan(Filter(root, 1_000_000)).files
    }


def test_what_is_followed_and_what_is_not(root: Path) -> None:
    (root / "src").mkdir()
    (root / "src" / "a.py").write_text("a = 1\n")
    (root / "node_modules").mkdir()
    (root / "node_modules" / "x.js").write_text("x")
    (root / ".env").write_text("TOKEN=1")
    (root / "photo.png").write_bytes(b"\x89PNG")
    (root / "large.py").write_text("x" * 5_000)
    (root / "link.py").symlink_to(root / "src" / "a.py")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.py")
    (root / os.fsdecode(b"bad\xff.py")).write_text("x")
    found = scan(Filter(root, 4_000))
    assert {file.path for file in found.files} == {"src/a.py"}
    assert found.too_large == 1
    assert found.bad_name_count == 1


def test_changes_are_told_from_what_stayed(root: Path) -> None:
    for name in ("same.py", "edited.py", "deleted.py"):
        (root / name).write_text("x = 1\n")
    before = known(root)
    (root / "edited.py").write_text("x = 22\n")
    (root / "deleted.py").unlink()
    (root / "new.py").write_text("y = 1\n")
    changes = diff(scan(Filter(root, 1_000_000)), before)
    assert {file.path for file in changes.changed} == {"edited.py", "new.py"}
    assert changes.gone == ["deleted.py"]


def test_a_look_at_some_paths_concludes_nothing_about_others(root: Path) -> None:
    (root / "a.py").write_text("a")
    (root / "b.py").write_text("b")
    before = known(root)
    (root / "a.py").unlink()
    (root / "b.py").unlink()
    found = scan(Filter(root, 1_000_000), ["a.py"])
    assert diff(found, {"a.py": before["a.py"]}).gone == ["a.py"]


def test_a_file_that_becomes_ignored_counts_as_gone(root: Path) -> None:
    (root / "a.py").write_text("a")
    before = known(root)
    (root / ".gardenerignore").write_text("a.py\n")
    assert "a.py" in diff(scan(Filter(root, 1_000_000)), before).gone


def test_a_scan_can_be_stopped(root: Path) -> None:
    with pytest.raises(CancelledError):
        scan(Filter(root, 1_000), stop=lambda: True)


def test_roots_that_are_refused(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = root / "f.txt"
    file.write_text("x")
    with pytest.raises(NotFoundError, match="does not exist"):
        check_root(root / "none", [], home)
    for bad, others in [
        (file, []),
        (Path("/"), []),
        (Path.home(), []),
        (home, []),
        (root, [root]),
        (root, [root.parent]),
        (root.parent, [root]),
    ]:
        with pytest.raises(RefusedError) as caught:
            check_root(bad, others, home)
        assert caught.value.hint
    assert check_root(f"{root}/../{root.name}", [], home) == root


def test_a_root_that_cannot_be_believed_freezes(root: Path) -> None:
    ok = root_state(root, 0, 0, had_files=False)
    assert not ok.frozen
    assert root_state(root, ok.device, ok.inode, had_files=True).kind == "empty"
    assert root_state(root, ok.device + 1, ok.inode + 1, had_files=False).kind == "replaced"
    (root / "a.py").write_text("a")
    assert not root_state(root, ok.device, ok.inode, had_files=True).frozen
    assert root_state(root / "gone", 1, 1, had_files=True).kind == "gone"


def test_folders_that_may_not_be_entered_keep_what_is_known_of_them(bound_root: Path) -> None:
    for name in ("closed", "listed", "open"):
        (bound_root / name / "inner").mkdir(parents=True)
        (bound_root / name / ".gitignore").write_text("*.log\n")
        (bound_root / name / "a.py").write_text("a = 1\n")
        (bound_root / name / "inner" / "b.py").write_text("b = 1\n")
    before = known(bound_root)
    (bound_root / "closed").chmod(0)
    (bound_root / "listed").chmod(0o400)
    try:
        for wanted in ([""], ["closed"], ["closed/inner/b.py", "listed/inner", "listed/a.py"]):
            found = scan(Filter(bound_root, 1_000_000), wanted)
            assert all(path.startswith(("closed", "listed")) for path in found.unreadable)
            assert found.unreadable
        assert diff(scan(Filter(bound_root, 1_000_000)), before).gone == []
    finally:
        (bound_root / "closed").chmod(0o700)
        (bound_root / "listed").chmod(0o700)
    assert paths(bound_root) == set(before)
