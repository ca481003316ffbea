"""Commands about the people who get emails, or do not."""
