"""What several roles are built of, and what a process loads only where it uses it."""
