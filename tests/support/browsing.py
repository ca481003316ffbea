"""Beside a browser: its event loop takes the test's thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from support.service import Service

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """Do something that needs an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def go(page: Any, running: Service, path: str) -> None:
    """Open a page of the console."""
    page.goto(f"http://127.0.0.1:{running.console}{path}")
