"""The database itself: SQLite or PostgreSQL, migrations, partitions, moving between the two."""
