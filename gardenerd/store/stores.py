"""All of the durable truth in one hand."""

from __future__ import annotations

from pathlib import Path

from gardenerd.store.activity import Activity
from gardenerd.store.adapters import Adapters
from gardenerd.store.conversations import Conversations
from gardenerd.store.database import Database
from gardenerd.store.embeddings import Embeddings
from gardenerd.store.evidence import Evidence
from gardenerd.store.examples import Examples
from gardenerd.store.feedback import Feedback
from gardenerd.store.files import Files
from gardenerd.store.forgotten import Forgotten
from gardenerd.store.lessons import Lessons
from gardenerd.store.meta import Meta
from gardenerd.store.projects import Projects
from gardenerd.store.runs import Runs


class Stores:
    """The tables of one open database, each by its subject."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.meta = Meta(self.database)
        self.projects = Projects(self.database)
        self.files = Files(self.database)
        self.forgotten = Forgotten(self.database)
        self.examples = Examples(self.database)
        self.lessons = Lessons(self.database)
        self.feedback = Feedback(self.database)
        self.conversations = Conversations(self.database)
        self.runs = Runs(self.database)
        self.adapters = Adapters(self.database)
        self.embeddings = Embeddings(self.database)
        self.evidence = Evidence(self.database)
        self.activity = Activity(self.database)

    def close(self) -> None:
        self.database.close()
