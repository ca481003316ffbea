"""SES v2: who gets emails, and who does not."""
