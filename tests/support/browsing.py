"""Beside a browser: its event loop takes the test's thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """Do something that needs an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
