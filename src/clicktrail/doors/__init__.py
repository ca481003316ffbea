"""What listens: limits, TLS, who a client is behind proxies, and a server for ASGI."""
