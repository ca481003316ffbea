"""Fuzz the rewriter with the HTML of an email.

Run by `make fuzz`; by hand with ``PYTHONPATH=tests`` and arguments of libFuzzer.
"""

from common import fuzz

if __name__ == "__main__":
    fuzz("html")
