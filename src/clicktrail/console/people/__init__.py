"""Pages about recipients: contact lists, the suppression list, who is not tracked."""
