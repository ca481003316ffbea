"""SES v2: templates that are kept, and many emails at once."""
