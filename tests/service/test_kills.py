"""Killed at random moments under clicks, opens, unsubscribes: what was answered counts once.

Links are changed meanwhile: each click counts as it was led.
"""

import random
import time
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books
from support.service import Service


def kill_rounds(folder: Path, kills: int, seed: int, rate: float) -> None:
    chance = random.Random(seed)
    with Service(folder) as service:
        name = service.configuration_set(types=("CLICK", "OPEN", "SUBSCRIPTION"))
        with Crowd(service, name, rate=rate, leave=True) as crowd:
            for number in range(kills):
                crowd.wait_for(1)  # each start leads to clicks
                if number % max(1, kills // 25) == 0:
                    crowd.change()
                time.sleep(chance.uniform(0, 0.4))
                service.kill()
                service.start()
            crowd.wait_for_changes()
            crowd.wait_for(100)
        check_books(service, name, crowd)


def test_a_few_kills_under_clicks_lose_and_invent_nothing(tmp_path: Path) -> None:
    kill_rounds(tmp_path, kills=2, seed=11, rate=200)


@pytest.mark.long
def test_a_hundred_kills_under_clicks_lose_and_invent_nothing(tmp_path: Path) -> None:
    kill_rounds(tmp_path, kills=100, seed=12, rate=1200)
