"""``gardenerd run``: the daemon in the foreground, as launchd and systemd start it."""

from __future__ import annotations

import argparse
import sys

from gardenerd import __version__
from gardenerd.errors import GardenerError


def main() -> None:
    parser = argparse.ArgumentParser(prog="gardenerd", description=__doc__)
    parser.add_argument("--version", action="version", version=f"gardenerd {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run", help="run in the foreground until SIGTERM or Ctrl-C")
    running.add_argument("--quiet", action="store_true", help="log to the file alone")
    arguments = parser.parse_args()
    # Imported here: --help and --version need none of it.
    from gardenerd import daemon, settings
    from gardenerd.paths import find_home

    try:
        home = find_home()
        daemon.run(home, settings.load(home.config), terminal=not arguments.quiet)
    except GardenerError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None


if __name__ == "__main__":
    main()
