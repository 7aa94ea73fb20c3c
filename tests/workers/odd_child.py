"""A real child on the real harness whose jobs misbehave on demand."""

import os
import subprocess
import time

from gardenerd.errors import ModelError
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.jobs import Done, Harvested, Job


class Count(Job, kw_only=True, frozen=True):
    """Send ``n`` updates, ``pause`` seconds apart."""

    n: int
    pause: float = 0.0


class Die(Job, kw_only=True, frozen=True):
    pass


class Fail(Job, kw_only=True, frozen=True):
    kind: str


class Spawn(Job, kw_only=True, frozen=True):
    """Start a child of its own and answer with its process number."""


class Quick(Job, kw_only=True, frozen=True):
    pass


def handle(job: Job, context: Context) -> Done:
    match job:
        case Count(n=n, pause=pause):
            for _ in range(n):
                context.check()
                context.update(Harvested(chunks=[]))
                time.sleep(pause)
            return Done(count=n)
        case Die():
            os._exit(9)
        case Spawn():
            return Done(count=subprocess.Popen(["sleep", "600"]).pid)
        case Fail(kind="typed"):
            raise ModelError("the model is damaged", hint="pull it again")
        case Fail():
            raise ValueError("a defect")
        case _:
            return Done(count=os.getpid())


def main() -> None:
    endpoint, _ = child_arguments()
    lane = {Quick: "quick"}
    jobs = Count | Die | Fail | Quick | Spawn
    Harness(endpoint, jobs, handle, lane=lambda job: lane.get(type(job), "main")).serve()


if __name__ == "__main__":
    main()
