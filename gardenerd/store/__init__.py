"""The durable truth, in SQLite."""
