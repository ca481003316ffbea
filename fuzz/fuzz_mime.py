"""Fuzz the rewriter with whole emails, well formed or not.

Run by `make fuzz`; by hand with ``PYTHONPATH=tests`` and arguments of libFuzzer.
"""

from common import fuzz

if __name__ == "__main__":
    fuzz("mime")
