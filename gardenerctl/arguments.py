"""The arguments of every command. A command's code is imported only when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

_EXITS = """\
exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon is not running,
4 timed out. Every command that prints takes --json. GARDENER_HOME moves everything."""


class _Parser:
    """Adds commands; each names the function that runs it, as ``module:function``."""

    def __init__(self) -> None:
        self.root = argparse.ArgumentParser(
            prog="gardenerctl",
            description="Ask, complete, show and control: the command line of gardener.",
            epilog=_EXITS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.root.add_argument("--json", action="store_true", help="print JSON for scripts")
        # Naming prog saves formatting the usage, which asks the terminal for its size.
        self._commands = self.root.add_subparsers(
            dest="command", required=True, metavar="COMMAND", prog="gardenerctl"
        )

    def command(self, name: str, run: str, summary: str) -> argparse.ArgumentParser:
        found = self._commands.add_parser(name, help=summary, description=summary)
        # SUPPRESS: an absent --json here must not undo one before the command.
        found.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for scripts"
        )
        found.set_defaults(run=run)
        return found


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; wrong usage ends the process with status 2."""
    given = sys.argv[1:] if argv is None else argv
    first = next(iter(word for word in given[:2] if word != "--json"), "")
    return build(first).parse_args(given)


def build(command: str = "") -> argparse.ArgumentParser:
    """The parser of all commands, or of the group that has ``command``.

    Building all of them takes a tenth of the time that ``status`` may take as a whole.
    """
    add = _Parser()
    groups = [group for names, group in _GROUPS if command in names.split()]
    for group in groups or [group for _, group in _GROUPS]:
        group(add)
    return add.root


def _service(add: _Parser) -> None:
    add.command("start", "service:start", "start the daemon in the background")
    add.command("stop", "service:stop", "stop the daemon and its workers")
    add.command("restart", "service:restart", "stop the daemon and start it again")
    add.command("run", "service:run", "run the daemon in the foreground")


def _state(add: _Parser) -> None:
    add.command("status", "status:status", "what the daemon is doing, and why it is not training")
    add.command("ps", "status:ps", "the worker processes, their memory and processor use")
    add.command("unload", "service:unload", "stop the workers and give their memory back")


def _projects(add: _Parser) -> None:
    one = add.command("add", "projects:add", "tend a project folder: index it and learn from it")
    one.add_argument("path", metavar="PATH")
    one.add_argument("--name", help="what to call it (default: the folder's name)")
    one = add.command("remove", "projects:remove", "forget a project; its files stay untouched")
    one.add_argument("project", metavar="PROJECT")
    add.command("projects", "projects:projects", "list the projects")
    one = add.command("rescan", "projects:rescan", "compare the index with the files again, now")
    one.add_argument("project", nargs="?", metavar="PROJECT")
    one = add.command("why", "projects:why", "whether a file is indexed, and if not, why")
    one.add_argument("file", metavar="FILE")
    one = add.command("forget", "forget:forget", "forget a file or folder, also what was learned")
    one.add_argument("path", nargs="?", metavar="PATH", help="in a project; it need not exist")
    one.add_argument("--yes", action="store_true", help="do not ask")
    how = one.add_mutually_exclusive_group()
    how.add_argument("--undo", action="store_true", help="let it be known again")
    how.add_argument("--list", action="store_true", help="what was forgotten")
    one.add_argument("--project", metavar="P", help="of which project to list it")
    one = add.command("wait", "projects:wait", "return when all known changes are indexed")
    one.add_argument("--settled", action="store_true", help="wait for the index (the default)")
    one.add_argument("--timeout", type=_positive, metavar="S", help="give up after S seconds")
    one.add_argument("--project", metavar="P")


_ADAPTERS = "a version; none for the bare base; current (the default) for what serves"


def _asking(add: _Parser) -> None:
    one = add.command("search", "search:search", "find code by words, identifiers and meaning")
    one.add_argument("query", nargs="?", metavar="QUERY", help="- reads it from standard input")
    one.add_argument("-k", type=_count, default=10, metavar="N", help="hits at most (default 10)")
    one.add_argument("--project", metavar="P")
    one.add_argument("--query-file", metavar="F", help="read the query from a file")
    one.add_argument(
        "--fresh", action="store_true", help="wait until every change on the disk is indexed"
    )
    one = add.command("ask", "asking:ask", "answer a question from the code, with its sources")
    one.add_argument("question", metavar="QUESTION", help="- reads it from standard input")
    one.add_argument("--project", metavar="P")
    one.add_argument(
        "--continue", action="store_true", dest="continued", help="go on from the last question"
    )
    one.add_argument("--model", metavar="NAME", help="another base model, for this question alone")
    one.add_argument("--adapter", default="current", metavar="V", help=_ADAPTERS)
    one.add_argument("--context", action="store_true", help="show what the model was shown")
    one.add_argument("--no-stream", action="store_true", help="print the answer when it is whole")
    one = add.command("complete", "asking:complete", "fill in code at a place in a file")
    one.add_argument(
        "place", metavar="FILE:LINE[:COL]", help="both count from 1; no COL: the line's end"
    )
    one.add_argument("--max-tokens", type=_count, metavar="N")
    one.add_argument("--adapter", default="current", metavar="V", help=_ADAPTERS)
    one.add_argument("--n", type=_count, default=1, metavar="K", help="completions that differ")
    one.add_argument("--seed", type=int, default=0, metavar="S", help="of those after the first")
    one.add_argument("--context", action="store_true", help="show which other files were read")
    one.add_argument("--no-stream", action="store_true", help="print it when it is whole")
    one = add.command("score", "asking:score", "bits per byte of files under the model")
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_argument("--adapter", default="current", metavar="VERSION", help=_ADAPTERS)
    one.add_argument("--project", metavar="P", help="whose adapter")
    one = add.command("feedback", "feedback:feedback", "say whether an answer was good, or list it")
    one.add_argument("answer", nargs="?", metavar="ID", help="of the answer; none: list feedback")
    one.add_argument("verdict", nargs="?", choices=("good", "bad"), metavar="good|bad")
    one.add_argument("--correction", metavar="TEXT", help="what it should have been; - reads it")
    one.add_argument("--project", metavar="P", help="whose feedback to list")
    one.add_argument("-n", type=_count, default=20, metavar="N", help="how many to list")


def _learning(add: _Parser) -> None:
    one = add.command("train", "learning:train", "train an adapter now")
    one.add_argument("--wait", action="store_true", help="follow the run to its outcome")
    one.add_argument("--project", metavar="P", help="needed when there is more than one")
    one = add.command("pause", "learning:pause", "hold training, for a while or until resumed")
    one.add_argument("duration", nargs="?", metavar="DURATION", help="such as 30m or 2h")
    add.command("resume", "learning:resume", "let training go on")
    add.command("cancel", "learning:cancel", "end the training run under way and drop its work")
    one = add.command("rollback", "learning:rollback", "serve an earlier adapter, or the base")
    one.add_argument("version", nargs="?", metavar="VERSION", help="base for none")
    one.add_argument("--project", metavar="P")
    one = add.command("adapters", "learning:adapters", "list adapter versions; pin or drop one")
    one.add_argument("action", nargs="?", choices=("pin", "unpin", "rm"), metavar="pin|unpin|rm")
    one.add_argument("version", nargs="?", metavar="VERSION")
    one.add_argument("--project", metavar="P")
    one = add.command("export", "export:export", "write a version for other programs")
    one.add_argument("version", metavar="VERSION", help="current for what serves, base for none")
    one.add_argument("folder", metavar="DIR", help="empty, or not there yet")
    one.add_argument("--format", required=True, choices=("peft", "merged", "gguf", "ollama"))
    one.add_argument("--lora", action="store_true", help="gguf: the adapter by itself")
    one.add_argument("--project", metavar="P")
    one = add.command("embedding", "embedding:embedding", "versions of the tuned embedding")
    one.add_argument(
        "action", nargs="?", choices=("list", "rollback", "tune"), metavar="list|rollback|tune"
    )
    one.add_argument("version", nargs="?", metavar="VERSION", help="packaged for the untuned one")
    one.add_argument("--project", metavar="P")
    one = add.command("history", "history:history", "past training runs and their outcomes")
    one.add_argument("which", nargs="?", metavar="RUN", help="all that is known of one run")
    one.add_argument("--project", metavar="P")
    one.add_argument("-n", type=_count, default=30, metavar="N", help="runs at most (default 30)")


def _models(add: _Parser) -> None:
    one = add.command("model", "model:model", "base models: list, show, pull, use or remove them")
    one.add_argument(
        "action",
        nargs="?",
        choices=("list", "show", "pull", "use", "rm"),
        metavar="list|show|pull|use|rm",
    )
    one.add_argument("name", nargs="?", metavar="NAME", help="of a model, or a folder's path")
    one.add_argument("--revision", metavar="R", help="a branch, tag or commit to pull")


def _looking(add: _Parser) -> None:
    one = add.command("watch", "watch:watch", "follow what the daemon does")
    one.add_argument(
        "topics", nargs="*", metavar="TOPIC", help="index, loop, train, adapter or daemon"
    )
    one = add.command("logs", "logs:logs", "the daemon's log")
    one.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    one.add_argument("-n", type=_count, default=50, metavar="N", help="last lines (default 50)")
    add.command("version", "service:version", "the versions of this command and of the daemon")
    one = add.command("try", "tour:tour", "show all of it once on a private copy of real code")
    one.add_argument("path", nargs="?", metavar="PATH", help="default: the source of rich")
    one.add_argument("--keep", action="store_true", help="keep the temporary home and print it")


_GROUPS = (
    ("start stop restart run", _service),
    ("status ps unload", _state),
    ("add remove projects rescan why forget wait", _projects),
    ("search ask complete score feedback", _asking),
    ("train pause resume cancel rollback adapters export embedding history", _learning),
    ("model", _models),
    ("watch logs version try", _looking),
)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0 seconds, not {text}")
    return value
