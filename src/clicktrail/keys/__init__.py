"""Keys: tracking links and the ring that seals them, sealed secrets, DKIM keys, who has which."""
