"""The stages in one process, with their state in SQLite."""
