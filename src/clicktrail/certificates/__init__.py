"""Certificates of tracking domains: ordered by ACME (RFC 8555), kept in the store."""
