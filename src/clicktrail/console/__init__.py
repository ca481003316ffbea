"""The console: click tracking seen and switched on in a browser."""
