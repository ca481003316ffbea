"""What a configuration set says of links and recipients: read, checked, applied (docs/rules.md).

No I/O.
"""
