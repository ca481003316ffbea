"""All settings: the table, the kinds of values, and where they are read from."""
