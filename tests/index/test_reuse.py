"""What is known by its contents is neither parsed nor embedded again, and the rows are the same."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gardenerd.index import parsing
from gardenerd.index.build import index_files
from gardenerd.index.chunk import Chunk
from gardenerd.index.contents import Content
from gardenerd.index.embed import Embedder, load_embedder
from gardenerd.index.table import ChunkTable
from gardenerd.workers.jobs import FileResult, Indexed, IndexFiles, IndexProgress

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


class Counting:
    """The real embedder; counts what it embeds."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.dimensions = embedder.dimensions
        self.texts = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return self._embedder.encode(texts)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder()


class Index:
    """A table and what was made for it: texts embedded, files cut."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.embedder = Counting(embedder)
        self.table = ChunkTable(folder, embedder.fingerprint, embedder.dimensions)
        self.results: dict[str, FileResult] = {}

    def follow(
        self, root: Path, paths: Sequence[str], remove: Sequence[str] = (), project: str = "p"
    ) -> Indexed:
        job = IndexFiles(project=project, root=str(root), paths=list(paths), remove=list(remove))
        self.results = {}
        return index_files(self.table, self.embedder, job, self._told, lambda: None)

    def _told(self, progress: IndexProgress) -> None:
        self.results |= {result.path: result for result in progress.results}

    def rows(self, project: str | None = None) -> list[tuple[str, ...]]:
        """Every row, vectors too."""
        rows: list[dict[str, Any]] = self.table.reader().to_arrow().to_pylist()
        return sorted(
            tuple(map(str, row.values())) for row in rows if project in (None, row["project"])
        )

    @property
    def store(self) -> Path:
        return self.table.contents.path


@pytest.fixture
def index(tmp_path: Path, embedder: Embedder) -> Index:
    return Index(tmp_path / "index", embedder)


@pytest.fixture
def fresh(tmp_path: Path, embedder: Embedder) -> Callable[..., list[tuple[str, ...]]]:
    """The rows of an index made anew of all that is in a folder."""
    made = 0

    def build(root: Path, project: str = "p") -> list[tuple[str, ...]]:
        nonlocal made
        made += 1
        anew = Index(tmp_path / f"fresh-{made}", embedder)
        anew.follow(root, files(root), project=project)
        return anew.rows()

    return build


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were cut into chunks since."""
    paths: list[str] = []
    chunk_text = parsing.chunk_text

    def spy(path: str, text: str) -> list[Chunk]:
        paths.append(path)
        return chunk_text(path, text)

    monkeypatch.setattr(parsing, "chunk_text", spy)
    return paths


def files(root: Path) -> list[str]:
    found = [p.relative_to(root) for p in root.rglob("*") if p.is_file()]
    return sorted(path.as_posix() for path in found if path.parts[0] != ".git")


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def bed(n: int, more: str = "") -> str:
    return (
        f'class Bed{n}:\n    """Where {n} grows."""\n\n    def water_{n}(self):\n'
        f"        return {n}\n\n\ndef plant_{n}(seed):\n    return seed + {n}\n{more}"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """``main``, and ``other``: three files changed, one gone, one new, one moved."""
    root = tmp_path / "repository"
    (root / "beds").mkdir(parents=True)
    for n in range(8):
        (root / "beds" / f"bed_{n}.py").write_text(bed(n))
    (root / "README.md").write_text("# Garden\nHow to plant.\n\n## Water\nDaily.\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a garden")
    git(root, "switch", "-qc", "other")
    for n in range(3):
        (root / "beds" / f"bed_{n}.py").write_text(bed(n, f"\n\ndef weed_{n}():\n    return {n}\n"))
    (root / "beds" / "bed_3.py").unlink()
    (root / "shed.py").write_text("def tool():\n    return 'spade'\n")
    (root / "beds" / "bed_4.py").rename(root / "corner.py")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "another garden")
    git(root, "switch", "-q", "main")
    return root


def switch(index: Index, root: Path, to: str, project: str = "p") -> Indexed:
    """Check ``to`` out, and have the index follow as the daemon does."""
    lines = git(root, "diff", "--no-renames", "--name-status", "HEAD", to).splitlines()
    git(root, "checkout", "-q", to)
    changed = [line.split("\t") for line in lines]
    gone = [path for state, path in changed if state == "D"]
    return index.follow(root, [path for state, path in changed if state != "D"], gone, project)


def test_switching_back_embeds_and_parses_nothing(
    index: Index, repository: Path, fresh: Callable[..., Any], cut: list[str]
) -> None:
    index.follow(repository, files(repository))
    assert index.rows() == fresh(repository)
    there = switch(index, repository, "other")
    # The moved file is known already.
    assert (there.parsed, there.reused) == (4, 1)
    assert index.rows() == fresh(repository)
    for to in ("main", "other", "main"):
        index.embedder.texts = 0
        cut.clear()
        done = switch(index, repository, to)
        assert (index.embedder.texts, cut) == (0, [])
        assert (done.embedded, done.parsed, done.reused) == (0, 0, done.files)
        assert all(r.reused for r in index.results.values() if r.state == "indexed")
        assert index.rows() == fresh(repository)


def test_results_count_as_if_parsed(index: Index, repository: Path) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    switch(index, repository, "main")
    found = index.results["beds/bed_1.py"]
    stat = (repository / "beds" / "bed_1.py").stat()
    assert (found.size, found.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    # The chunk before it ended with the file: all texts stood here before.
    assert (found.chunks, found.new_chunks) == (3, 0)
    assert index.results["beds/bed_3.py"].new_chunks == 3
    again = index.follow(repository, ["beds/bed_1.py"])
    assert (again.unchanged, again.reused, again.parsed) == (1, 0, 0)
    assert index.results["beds/bed_1.py"].chunks == 3


def test_another_checkout_is_copied(
    index: Index, repository: Path, tmp_path: Path, fresh: Callable[..., Any], cut: list[str]
) -> None:
    index.follow(repository, files(repository))
    second = tmp_path / "second"
    git(repository, "worktree", "add", "-q", "--detach", str(second), "other")
    cut.clear()
    done = index.follow(second, files(second), project="q")
    assert (done.reused, done.parsed) == (5, 4)
    assert sorted(cut) == ["beds/bed_0.py", "beds/bed_1.py", "beds/bed_2.py", "shed.py"]
    assert index.rows("q") == fresh(second, "q")
    # The first checkout takes the same branch: the second has it all.
    index.embedder.texts = 0
    done = switch(index, repository, "other")
    assert (index.embedder.texts, done.parsed, done.reused) == (0, 0, 5)
    assert index.rows("p") == fresh(repository)
    assert index.rows("q") == fresh(second, "q")


def test_what_another_checkout_holds_is_not_kept_twice(
    index: Index, repository: Path, tmp_path: Path
) -> None:
    index.follow(repository, files(repository))
    index.follow(repository, files(repository), project="q")
    switch(index, repository, "other")
    assert index.table.contents.origins("p") == []
    index.table.remove_project("q")
    switch(index, repository, "main")
    assert sorted(index.table.contents.origins("p")) == [
        "beds/bed_0.py",
        "beds/bed_1.py",
        "beds/bed_2.py",
        "shed.py",
    ]


@pytest.mark.parametrize("jobs", ["one", "new first", "old first"])
def test_a_moved_file_has_the_words_of_its_new_path(
    index: Index, repository: Path, fresh: Callable[..., Any], cut: list[str], jobs: str
) -> None:
    index.follow(repository, files(repository))
    cut.clear()
    (repository / "orchard").mkdir()
    (repository / "beds" / "bed_5.py").rename(repository / "orchard" / "__init__.py")
    old, new = ["beds/bed_5.py"], ["orchard/__init__.py"]
    if jobs == "one":
        index.follow(repository, new, remove=old)
    elif jobs == "new first":
        index.follow(repository, new)
        index.follow(repository, old)
    else:
        index.follow(repository, [], remove=old)
        index.follow(repository, new)
    assert set(cut) <= {"beds/bed_5.py"}
    assert index.rows() == fresh(repository)


def test_files_that_change_places(
    index: Index, repository: Path, fresh: Callable[..., Any], cut: list[str]
) -> None:
    index.follow(repository, files(repository))
    cut.clear()
    one, two = (repository / "beds" / f"bed_{n}.py" for n in (5, 6))
    one.write_text(bed(6))
    two.write_text(bed(5))
    index.follow(repository, ["beds/bed_5.py", "beds/bed_6.py"])
    assert cut == []
    assert index.rows() == fresh(repository)


def test_the_same_bytes_in_another_language_are_cut_anew(
    index: Index, tmp_path: Path, fresh: Callable[..., Any]
) -> None:
    root = tmp_path / "src"
    root.mkdir()
    (root / "a.py").write_text(bed(1))
    index.follow(root, ["a.py"])
    for name in ("a.md", "a.txt", "a.js"):
        (root / name).write_text(bed(1))
        assert index.follow(root, [name]).reused == 0
    # Prose may have long lines, other text may not.
    (root / "long.md").write_text("word " * 1_000)
    index.follow(root, ["long.md"])
    (root / "long.unknown").write_text("word " * 1_000)
    index.follow(root, ["long.unknown"])
    assert index.results["long.unknown"].state == "skipped"
    assert index.rows() == fresh(root)


def test_many_files_are_taken_and_kept_in_parts(
    index: Index, tmp_path: Path, fresh: Callable[..., Any]
) -> None:
    root = tmp_path / "src"
    root.mkdir()

    def write(of: Callable[[int], int]) -> Indexed:
        for n in range(450):
            (root / f"bed_{n}.py").write_text(bed(of(n)))
        return index.follow(root, files(root))

    def one(n: int) -> int:
        return n

    def other(n: int) -> int:
        return 1_000 + n % 150  # each thrice, far apart

    write(one)
    write(other)
    for of in (one, other, one):
        done = write(of)
        assert (done.reused, done.parsed, done.embedded) == (450, 0, 0)
        assert index.rows() == fresh(root)


def test_the_same_contents_far_apart_are_kept_when_all_go(
    index: Index, tmp_path: Path, fresh: Callable[..., Any]
) -> None:
    root = tmp_path / "src"
    root.mkdir()

    def write() -> Indexed:
        for n in range(500):
            (root / f"bed_{n:03}.py").write_text(bed(n % 250))
        return index.follow(root, files(root))

    write()
    paths = files(root)
    for path in paths:
        (root / path).unlink()
    index.follow(root, [], remove=paths)
    done = write()
    assert (done.reused, done.parsed) == (500, 0)
    assert index.rows() == fresh(root)


def test_the_size_limit_counts_for_known_contents_too(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(bed(1))
    index.follow(tmp_path, ["a.py"])
    (tmp_path / "b.py").write_text(bed(1))
    job = IndexFiles(project="p", root=str(tmp_path), paths=["b.py"], max_file_bytes=10)
    told: list[FileResult] = []
    index_files(index.table, index.embedder, job, lambda u: told.extend(u.results), lambda: None)
    assert [(r.state, r.reused) for r in told] == [("skipped", False)]


# --- the store fails ------------------------------------------------------------------------------


def garbage(store: Path) -> None:
    store.write_bytes(b"\xff" * 8_192)


def truncated(store: Path) -> None:
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def another_shape(store: Path) -> None:
    store.unlink()
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE contents (a)")
        connection.execute("PRAGMA user_version = 1")


def rows_changed(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE contents SET rows = zeroblob(length(rows))")


def rows_exchanged(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(
            "UPDATE contents SET (length, checksum, rows) = "
            "(SELECT length, checksum, rows FROM contents ORDER BY id DESC LIMIT 1)"
        )


@pytest.mark.parametrize(
    "damage", [garbage, truncated, another_shape, rows_changed, rows_exchanged]
)
def test_a_damaged_store_is_thrown_away(
    index: Index,
    repository: Path,
    fresh: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    damage(index.store)
    with caplog.at_level(logging.WARNING):
        back = switch(index, repository, "main")
    assert index.rows() == fresh(repository)
    assert back.parsed > 0
    assert len([r for r in caplog.records if "not reused" in r.message]) == 1
    # What this switch took out is kept again.
    assert switch(index, repository, "other").parsed == 0
    assert switch(index, repository, "main").parsed == 0
    assert index.rows() == fresh(repository)


def test_a_locked_store_is_done_without(
    index: Index, repository: Path, fresh: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    with closing(sqlite3.connect(index.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with caplog.at_level(logging.WARNING):
            assert switch(index, repository, "main").parsed == 4
            assert switch(index, repository, "other").parsed == 4
        other.execute("ROLLBACK")
    assert [r.message for r in caplog.records] == ["earlier contents are not reused"]
    assert index.rows() == fresh(repository)
    assert switch(index, repository, "main").parsed == 0
    assert index.rows() == fresh(repository)


def test_an_index_made_anew_keeps_nothing(
    index: Index, repository: Path, embedder: Embedder
) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    before = index.store
    assert before.exists()
    (index.folder / "generation").unlink()
    anew = Index(index.folder, embedder)
    assert not before.exists()
    assert anew.follow(repository, files(repository)).reused == 0
    assert anew.rows() != []


# --- what must not stay ---------------------------------------------------------------------------


def kept(index: Index) -> dict[str, str]:
    """Path → text of all that the store holds."""
    with closing(sqlite3.connect(index.store)) as connection:
        found = connection.execute("SELECT digest, form FROM contents").fetchall()
    rows = index.table.contents.rows([Content(*row) for row in found])
    assert len(rows) == len(found)
    return {r["path"][0].as_py(): "\n".join(r["text"].to_pylist()) for r in rows.values()}


def test_a_removed_project_leaves_nothing(index: Index, repository: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.py").write_text(bed(77))
    index.follow(own, ["a.py"], project="q")
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    (own / "a.py").write_text(bed(78))
    index.follow(own, ["a.py"], project="q")
    assert {"a.py", "beds/bed_1.py"} <= set(kept(index))
    size = index.store.stat().st_size
    index.table.remove_project("q")
    assert "a.py" not in kept(index)
    index.table.remove_project("p")
    assert kept(index) == {}
    assert index.store.stat().st_size < size
    assert index.store.stat().st_mode & 0o777 == 0o600


def test_what_two_files_had_goes_with_either(index: Index, tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(bed(1))
    index.follow(tmp_path, ["a.py", "b.py"])
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(bed(2))
    index.follow(tmp_path, ["a.py", "b.py"])
    assert sorted(index.table.contents.origins("p")) == ["a.py", "b.py"]
    index.table.contents.forget("p", ["b.py"])
    assert index.table.contents.origins("p") == []


def test_what_is_left_out_now_is_not_kept(index: Index, repository: Path) -> None:
    index.follow(repository, files(repository))
    (repository / "beds" / "bed_7.py").write_text(bed(70))
    index.follow(repository, ["beds/bed_7.py"])
    assert "beds/bed_7.py" in kept(index)
    # As the daemon tells it: the file is there, and must leave.
    index.follow(repository, [], remove=["beds/bed_7.py"])
    assert "beds/bed_7.py" not in kept(index)


@pytest.mark.parametrize("rules", [".gitignore", ".gardenerignore"])
def test_new_rules_reach_what_is_on_another_branch(
    index: Index, repository: Path, rules: str
) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    assert "beds/bed_3.py" in kept(index)
    (repository / rules).write_text("bed_3.py\n")
    index.follow(repository, [rules])
    assert "beds/bed_3.py" not in kept(index)
    assert "beds/bed_1.py" in kept(index)


def test_rules_that_changed_while_nobody_looked(
    index: Index, repository: Path, embedder: Embedder
) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "exclude").write_text("bed_3.py\n")
    again = Index(index.folder, embedder)
    assert "beds/bed_3.py" in kept(again)
    again.follow(repository, ["shed.py"])
    assert "beds/bed_3.py" not in kept(again)


def test_secrets_are_masked_in_what_is_kept(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"TOKEN = '{SECRET}'\n")
    index.follow(tmp_path, ["a.py"])
    (tmp_path / "a.py").write_text("TOKEN = ''\n")
    index.follow(tmp_path, ["a.py"])
    text = kept(index)["a.py"]
    assert "TOKEN" in text
    assert SECRET not in text


def test_forgetting_by_path_folder_and_contents(index: Index, repository: Path) -> None:
    index.follow(repository, files(repository))
    digest = index.results["beds/bed_2.py"].digest
    switch(index, repository, "other")
    assert set(kept(index)) == {f"beds/bed_{n}.py" for n in range(4)}
    contents = index.table.contents
    contents.forget("p", ["beds/bed_0.py"])
    contents.forget("q", ["beds"])
    contents.forget("p", ["bed"])
    assert set(kept(index)) == {f"beds/bed_{n}.py" for n in (1, 2, 3)}
    contents.forget("p", digests=[digest])
    assert set(kept(index)) == {f"beds/bed_{n}.py" for n in (1, 3)}
    contents.forget("p", ["beds"])
    assert kept(index) == {}


def test_forgetting_does_not_fail_for_a_lock(index: Index, repository: Path) -> None:
    index.follow(repository, files(repository))
    switch(index, repository, "other")
    with closing(sqlite3.connect(index.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        index.table.contents.forget("p", ["beds/bed_0.py"])
    assert not index.store.exists()
