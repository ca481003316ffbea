"""Fuzz the rewriter with emails of known structure, charset and transfer encoding.

Run by `make fuzz`; by hand with ``PYTHONPATH=tests`` and arguments of libFuzzer.
"""

from common import fuzz

if __name__ == "__main__":
    fuzz("parts")
