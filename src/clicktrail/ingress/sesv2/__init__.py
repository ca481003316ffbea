"""The SES v2 API: signatures, and one module for each resource."""
