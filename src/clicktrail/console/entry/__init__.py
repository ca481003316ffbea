"""Who comes in: sessions, roles, signing in and out."""
