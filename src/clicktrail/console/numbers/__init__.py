"""What is counted, as people look at it."""
