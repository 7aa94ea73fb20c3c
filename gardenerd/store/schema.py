"""The tables of ``state.db``, as numbered migrations: number N is ``MIGRATIONS[N - 1]``.

A migration that was released is never edited; a change is a new one at the end. Times are seconds
since the epoch; texts named ``json`` hold one JSON document.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x67617264
"""``gard``: marks the file as ours, so that another program's database is never touched."""

_FIRST: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL UNIQUE,
    added REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'ok',
    reason TEXT NOT NULL DEFAULT '',
    device INTEGER NOT NULL DEFAULT 0,
    inode INTEGER NOT NULL DEFAULT 0
) STRICT;

-- size to inode are those of the last stat; read_* those of the bytes in the index
CREATE TABLE files (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    mtime_ns INTEGER NOT NULL DEFAULT 0,
    ctime_ns INTEGER NOT NULL DEFAULT 0,
    inode INTEGER NOT NULL DEFAULT 0,
    racy INTEGER NOT NULL DEFAULT 0,     -- changed so shortly before the stat that it may hide more
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'indexed', 'skipped', 'failed')),
    claimed INTEGER NOT NULL DEFAULT 0,  -- handed to the indexer; a newer change takes it back
    remove INTEGER NOT NULL DEFAULT 0,   -- must leave the index: gone from the disk, or excluded
    reason TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',
    chunks INTEGER NOT NULL DEFAULT 0,
    new_chunks INTEGER NOT NULL DEFAULT 0,
    changed REAL NOT NULL DEFAULT 0,
    indexed REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_pending ON files (project, claimed) WHERE state = 'pending';

CREATE TABLE examples (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    symbol TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL,
    language TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL,
    weight REAL NOT NULL DEFAULT 1.0,
    source TEXT NOT NULL DEFAULT 'code' CHECK (source IN ('code', 'feedback')),
    created REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    retired INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX examples_live ON examples (project, retired);

CREATE TABLE answers (
    id TEXT PRIMARY KEY,
    project TEXT REFERENCES projects (id) ON DELETE CASCADE,
    op TEXT NOT NULL,
    question TEXT NOT NULL,
    text TEXT NOT NULL,
    sources TEXT NOT NULL DEFAULT '[]',  -- json
    adapter TEXT,
    base TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL
) STRICT;
CREATE INDEX answers_created ON answers (created);

CREATE TABLE feedback (
    id INTEGER PRIMARY KEY,
    answer TEXT NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
    project TEXT REFERENCES projects (id) ON DELETE CASCADE,
    verdict TEXT NOT NULL CHECK (verdict IN ('good', 'bad')),
    correction TEXT,
    key TEXT UNIQUE,
    created REAL NOT NULL,
    harvested INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX feedback_new ON feedback (project) WHERE harvested = 0;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    started REAL NOT NULL,
    finished REAL,
    version TEXT,
    parent TEXT,
    scores TEXT NOT NULL DEFAULT '{}',   -- json
    report TEXT NOT NULL DEFAULT '{}',   -- json
    settings TEXT NOT NULL DEFAULT '{}'  -- json
) STRICT;
CREATE INDEX runs_started ON runs (project, started);

CREATE TABLE adapters (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('candidate', 'serving', 'retired', 'rejected', 'damaged')),
    parent TEXT,
    run TEXT,
    created REAL NOT NULL,
    scores TEXT NOT NULL DEFAULT '{}',   -- json
    fingerprint TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project, version)
) STRICT, WITHOUT ROWID;

-- a version of NULL serves the bare base model
CREATE TABLE serving (
    project TEXT PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    version TEXT,
    previous TEXT,
    since REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

_SECOND: Final = """
-- `gain`: bits per byte of a day's code that the first of a contest needs less than its rival
CREATE TABLE bets (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    contest TEXT NOT NULL,
    day TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    gain REAL NOT NULL,
    PRIMARY KEY (project, contest, day)
) STRICT, WITHOUT ROWID;

-- the run with which a challenger started; its later states carry it on
ALTER TABLE adapters ADD COLUMN lineage TEXT NOT NULL DEFAULT '';

-- kept until unpinned, however many versions come after it
ALTER TABLE adapters ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
"""

_THIRD: Final = """
-- told by what became of a completion in the code, not by a person
ALTER TABLE feedback ADD COLUMN weak INTEGER NOT NULL DEFAULT 0;
"""

_FOURTH: Final = """
-- in how many minutes of an hour the user did something: never what
CREATE TABLE activity (
    day TEXT NOT NULL,
    hour INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    PRIMARY KEY (day, hour)
) STRICT, WITHOUT ROWID;
"""

_FIFTH: Final = """
-- nats a token, when a run last came to it and before it learned from it
ALTER TABLE examples ADD COLUMN cost REAL;
"""

_SIXTH: Final = """
-- files and folders that must not be known: kept so that they stay out
CREATE TABLE forgotten (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    since REAL NOT NULL,
    done REAL,  -- when nothing was left; until then it is taken up again at each start
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;

-- when weights were last deleted, for something that was forgotten
ALTER TABLE projects ADD COLUMN unlearned REAL;

-- the number of the first adapter that had learned from a path; those that come after grew from it
CREATE TABLE lessons (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;

-- of the adapters that are there nobody wrote down what they learned from: '' is everything
INSERT INTO lessons SELECT DISTINCT project, '', 0 FROM adapters WHERE state != 'rejected';
"""

_SEVENTH: Final = """
-- rows of the embedding tuned on a project, for queries to it; the file of a version is beside
CREATE TABLE embeddings (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('serving', 'retired', 'refused', 'dropped', 'damaged', 'forgotten')),
    created REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',  -- of the file; '' where there is none
    report TEXT NOT NULL DEFAULT '{}',     -- json
    PRIMARY KEY (project, version)
) STRICT, WITHOUT ROWID;

-- a version of NULL is the packaged embedding
CREATE TABLE embedding_serving (
    project TEXT PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    version TEXT,
    previous TEXT,
    tried REAL NOT NULL DEFAULT 0  -- when it was last tuned, or could not be
) STRICT, WITHOUT ROWID;
"""

_EIGHTH: Final = """
-- which answers belong to one conversation: what goes of the answers goes from here too
CREATE TABLE turns (
    answer TEXT PRIMARY KEY REFERENCES answers (id) ON DELETE CASCADE,
    conversation TEXT NOT NULL,
    number INTEGER NOT NULL,           -- within the conversation, from 1
    scope TEXT NOT NULL,               -- the project that was asked; '' where all were
    shown TEXT NOT NULL DEFAULT '[]'   -- json: what the model saw of its sources
) STRICT, WITHOUT ROWID;
CREATE INDEX turns_scope ON turns (scope);
CREATE INDEX turns_conversation ON turns (conversation, number);
"""

_NINTH: Final = """
-- what a version of another base was when that base was left: 'serving', 'previous' to what
-- served, 'retired' or 'candidate'; it is that again when its base comes back
ALTER TABLE adapters ADD COLUMN waits TEXT NOT NULL DEFAULT '';
"""

MIGRATIONS: Final[list[str]] = [
    _FIRST,
    _SECOND,
    _THIRD,
    _FOURTH,
    _FIFTH,
    _SIXTH,
    _SEVENTH,
    _EIGHTH,
    _NINTH,
]
