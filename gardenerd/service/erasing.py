"""What goes when a file or folder is forgotten: from the tables, and from the files beside them.

Each function may be called again at any time: what is gone already is no matter. The tables come
first, in one transaction, since what stems from a file can only be told while its texts are there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gardenerd.core import forgetting
from gardenerd.core.forgetting import within
from gardenerd.errors import StorageError
from gardenerd.paths import Home
from gardenerd.store.feedback import Given
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores

_ANSWER = "feedback/"
"""Examples that were made of feedback have such a path, with the answer's id."""


class Traces(msgspec.Struct, kw_only=True, frozen=True):
    """What the tables hold of a file or folder."""

    examples: list[str]
    """Ids, also of those whose code is gone."""
    answers: list[str]
    """Ids of answers that quote it, stand in it, or hold words that nothing else has."""
    versions: list[str]
    """Adapters that may have learned from it."""
    embeddings: list[str]
    """All that were tuned on the project."""
    serving: str | None
    """Which of them serves."""
    files: int


def trace(project: Project, place: str, stores: Stores, max_file_bytes: int) -> Traces:
    """Find all that stems from ``place``. Blocks: it reads the examples and the files.

    A copy of its code that stands in another file today is that file's and stays.
    """
    known = list(stores.files.known(project.id, [place]))
    lines: set[str] = set()
    words: set[str] = set()
    for text in _texts(project, place, known, stores, max_file_bytes):
        lines |= forgetting.long_lines(text)
        words |= forgetting.telling(text)
    examples: dict[str, str] = {}
    for id, path, retired, text in stores.examples.each(project.id):
        # A copy among the retired: the file under an earlier name, say.
        if within(path, place) or (retired and forgetting.is_copy(text, lines)):
            examples[id] = path
        elif not retired and not path.startswith(_ANSWER):
            words -= forgetting.telling(text)
    answers = _answers(project, place, words, stores)
    made = {_ANSWER + answer for answer in answers}
    examples |= {id: path for id, path, *_ in stores.examples.each(project.id) if path in made}
    first = stores.lessons.first(project.id, {place, *made, *examples.values()})
    versions = [
        adapter.version
        for adapter in stores.adapters.all(project.id)
        if first is not None and adapter.number >= first
    ]
    serving = stores.adapters.serving(project.id)
    return Traces(
        examples=list(examples),
        answers=answers,
        versions=versions,
        embeddings=[each.version for each in stores.embeddings.all(project.id)],
        serving=serving if serving in versions else None,
        files=len(known),
    )


def erase(project: Project, place: str, traces: Traces, stores: Stores, now: float) -> int:
    """Take ``traces`` out of the tables, in one transaction; gives how much feedback went.

    Where nothing that has learned is left, all examples are new again: a run from the base is due.
    """
    with stores.database.transaction():
        stores.examples.delete(traces.examples)
        said = stores.feedback.forget(traces.answers)
        stores.lessons.forget(project.id, place)
        # Each version learned from all of the project: what stems from a file cannot be told.
        stores.embeddings.forget(project.id)
        weights = {stores.adapters.get(project.id, each).run for each in traces.versions}
        for run in stores.runs.all(project.id):
            reason = run.reason
            if run.id in weights:
                reason = f"{reason}; its weights were deleted: what they had learned was forgotten"
            report = forgetting.without(run.report, place)
            if (reason, report) != (run.reason, run.report):
                stores.runs.amend(run.id, reason=reason, report=report)
        if traces.versions:
            stores.adapters.forget(project.id, traces.versions, now)
            stores.projects.set_unlearned(project.id, now)
            _begin_anew(project.id, stores)
    return said


def erase_answers(project: Project, place: str, stores: Stores) -> None:
    """Those that were given from ``place`` after :func:`erase` and before it left the index."""
    stores.feedback.forget(_answers(project, place, set(), stores))


def delete_runs(project: Project, home: Home, stores: Stores) -> int:
    """Delete the folders of the project's runs, which hold code, and of runs that no ledger has;
    gives how many. None of them is under way.

    Raises:
        StorageError: one cannot be deleted.
    """
    unfinished = {run.id for run in stores.runs.unfinished()}
    gone = 0
    for folder in [path for path in home.runs.iterdir() if path.is_dir()]:
        run = stores.runs.get(folder.name)
        if folder.name not in unfinished and (run is None or run.project == project.id):
            _delete(folder)
            gone += 1
    return gone


def delete_weights(project: Project, home: Home, stores: Stores) -> None:
    """Delete the folders of adapters that were given up, and tuned embeddings that were.

    Raises:
        StorageError: one cannot be deleted.
    """
    kept = {adapter.version for adapter in stores.adapters.all(project.id)}
    for folder in (home.adapters / project.id).glob("*"):
        if folder.name not in kept:
            _delete(folder)
    if not any(embedding.kept for embedding in stores.embeddings.all(project.id)):
        _delete(home.embeddings / project.id)


def erase_log_lines(place: str, home: Home) -> int:
    """Take lines that name ``place`` out of the logs; gives how many. Logs hold names, never code.

    A file is written in its place, since others have it open to append to.
    """
    # As it stands in a line of JSON, too.
    spellings = {place, json.dumps(place, ensure_ascii=False)[1:-1]}
    names = [forgetting.name_of(spelling) for spelling in spellings]
    gone = 0
    for file in [path for path in home.logs.iterdir() if path.is_file()]:
        with file.open("r+b") as log:
            lines = log.read().splitlines(keepends=True)
            kept = [
                line for line in lines if not forgetting.named(line.decode(errors="replace"), names)
            ]
            if len(kept) < len(lines):
                log.seek(0)
                log.write(b"".join(kept))
                log.truncate()
                gone += len(lines) - len(kept)
    return gone


def _texts(
    project: Project, place: str, known: Iterable[str], stores: Stores, max_bytes: int
) -> Iterator[str]:
    """All that is there of ``place`` to tell its traces by: its files, and its examples."""
    for path in known:
        yield _read(project.root / path, max_bytes)
    for _, path, _, text in stores.examples.each(project.id):
        if within(path, place):
            yield text


def _answers(project: Project, place: str, words: set[str], stores: Stores) -> list[str]:
    found = [
        given.id
        for given in stores.feedback.each_answer()
        if _stands_in(given, project, place, stores)
        or (
            words
            and given.project in (project.id, None)
            and words & forgetting.telling("\n".join(_said(given, stores)))
        )
    ]
    # What was said after one of them was said with it in view.
    return list(dict.fromkeys([*found, *stores.conversations.after(found)]))


def _said(given: Given, stores: Stores) -> list[str]:
    return [given.question, given.text, *stores.feedback.corrections(given.id)]


def _stands_in(given: Given, project: Project, place: str, stores: Stores) -> bool:
    """Whether one of its sources is in ``place``. Sources do not say of which project they are:
    an answer over several belongs to the one of its first."""
    for path in (str(source.get("path", "")) for source in given.sources):
        if within(path, place):
            own = given.project in (project.id, None)
            return own or stores.files.state(given.project or "", path) is None
    return False


def _begin_anew(project: str, stores: Stores) -> None:
    if stores.adapters.serving(project) is None and stores.adapters.challenger(project) is None:
        stores.examples.learn_anew(project)
    if not stores.adapters.all(project):
        stores.lessons.clear(project)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be deleted: {error.strerror}",
            hint="delete it yourself; then it goes on by itself",
        ) from error


def _read(file: Path, max_bytes: int) -> str:
    """The text of a file as it is now; empty if it is gone, no file, or too large to be indexed."""
    try:
        if file.is_symlink() or file.stat().st_size > max_bytes:
            return ""
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""
