"""``history``: the ledger of training runs, and one run whole."""

from __future__ import annotations

import argparse
from typing import Any

from gardenerctl.console import Console, clean, size, span
from gardenerctl.learning import outcome
from gardenerctl.status import against_base, when
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import History

_LABEL = 14


def history(arguments: argparse.Namespace, console: Console) -> int:
    wanted = History(project=arguments.project, limit=arguments.n, run=arguments.which)
    with Client(find_home()) as client:
        runs = client.call(wanted)["runs"]
    if console.as_json:
        console.document(runs[0] if arguments.which else runs)
        return 0
    if not runs:
        console.line("no runs yet: gardenerctl train, or wait for the night")
    for run in runs:
        _head(run, console)
        if arguments.which:
            _whole(run, console)
    return 0


def _head(run: dict[str, Any], console: Console) -> None:
    took = ""
    started, finished = run.get("started"), run.get("finished")
    if isinstance(started, (int, float)) and isinstance(finished, (int, float)):
        took = f"  {span(finished - started)}"
    word = outcome(str(run.get("outcome") or run.get("state") or ""), console)
    head = f"{when(started)}  {run['run']}  {clean(str(run.get('project', '')))}"
    console.line(f"{head}  {word}{took}")
    if reason := run.get("reason"):
        console.line(f"    {clean(str(reason))}")
    if text := against_base(run.get("scores")):
        console.line(f"    {text}")


def _whole(run: dict[str, Any], console: Console) -> None:
    report = run.get("report") or {}
    rows = {
        "version": run.get("version") or "none",
        "learned": _learned(report.get("learned") or {}),
        "left out": _counts(report.get("dropped") or {}),
        "training": _training(report),
        "time": ", ".join(f"{name} {span(s)}" for name, s in report.get("seconds", {}).items()),
        "memory": f"{size(report.get('peak_rss_bytes'))} at most, "
        f"{size(report.get('expected_rss_bytes'))} expected",
        "energy": _energy(report.get("joules")),
        "general code": _general(run.get("scores") or {}),
        "from base": f"{report.get('distance', 0):.3f} nats a token on general code",
        "strength": f"{report.get('strength', 1):g}",
        "filling in": _filling(report.get("filling") or []),
        "data": str(report.get("data_digest") or "")[:16],
    }
    if not report:
        rows = {"version": rows["version"]}
    for label, text in rows.items():
        if text:
            console.line(f"    {console.style(label.ljust(_LABEL), 'dim')}{clean(str(text))}")


def _learned(found: dict[str, Any]) -> str:
    if not found:
        return ""
    parts = [f"{found['new']:,} new", f"{found['replayed']:,} replayed"]
    if found["answers"]:
        parts.append(f"{found['answers']:,} answers")
    folders = ", ".join(f"{folder} {count:,}" for folder, count in found["folders"])
    return f"{', '.join(parts)}, of {found['files']:,} files" + (f": {folders}" if folders else "")


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in found.items())


def _training(report: dict[str, Any]) -> str:
    if not report.get("steps"):
        return ""
    return (
        f"{report['steps']:,} steps, {report.get('tokens', 0):,} tokens, "
        f"{report.get('tokens_per_second', 0):,.0f} a second, "
        f"loss {report.get('loss_first', 0):.3f} to {report.get('loss_last', 0):.3f}"
    )


def _energy(joules: float | None) -> str:
    return "unknown here" if joules is None else f"{joules / 3600:.2f} Wh, of the whole processor"


def _general(scores: dict[str, Any]) -> str:
    found = scores.get("general") or {}
    base, after = found.get("base"), found.get("candidate")
    if not base or after is None:
        return ""
    return f"{base:.3f} to {after:.3f} bits per byte ({100 * (after / base - 1):+.1f} %)"


def _filling(places: list[list[float]]) -> str:
    if not places:
        return ""
    before, after = (sum(each[i] for each in places) / len(places) for i in (0, 1))
    return f"{before:.2f} to {after:.2f} nats a token at {len(places)} places"
