"""The email around HTML: its parts, transfer encodings and charsets."""
