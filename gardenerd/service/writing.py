"""Has the model worker write, and tells the text as it comes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gardenerd.models.info import BaseInfo
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import AnswerQuestion, CompleteCode, Generated, TextPiece

Say = Callable[[str], None]


def writer_of(base: BaseInfo, generated: Generated | None) -> str:
    """The name of the model that wrote: the base's, or that of a server's."""
    if generated is None or generated.base == base.folder:
        return base.name
    return generated.base


async def write(model: Child, job: AnswerQuestion | CompleteCode, say: Say) -> Generated:
    """What comes of ``job``; its pieces are told by ``say``.

    Raises:
        GardenerError: what the job raised.
        WorkerError: the worker died or could not be started.
    """

    def tell(body: msgspec.Raw) -> None:
        say(msgspec.json.decode(body, type=TextPiece).text)

    return await model.call(job, Generated, on_update=tell)
