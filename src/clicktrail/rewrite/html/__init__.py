"""One HTML document: its tags, its links, and what is put in their place."""
