"""The SMTP door."""
