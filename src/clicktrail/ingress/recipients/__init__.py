"""Who gets an email that comes in, and who does not."""
