"""Has the model worker write, and tells the text as it comes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gardenerd.workers.child import Child
from gardenerd.workers.jobs import AnswerQuestion, CompleteCode, Generated, TextPiece

Say = Callable[[str], None]


async def write(model: Child, job: AnswerQuestion | CompleteCode, say: Say) -> Generated:
    """What comes of ``job``; its pieces are told by ``say``.

    Raises:
        GardenerError: what the job raised.
        WorkerError: the worker died or could not be started.
    """

    def tell(body: msgspec.Raw) -> None:
        say(msgspec.json.decode(body, type=TextPiece).text)

    return await model.call(job, Generated, on_update=tell)
