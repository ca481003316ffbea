"""Reading header fields (RFC 5322, RFC 2045-2047, RFC 2231): bounded, and in linear time.

The standard library reads them too, but takes time that grows with the square of some of them.
"""
