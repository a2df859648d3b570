"""Kill -9 in the middle of a publish, again and again: nothing published is lost, nothing is doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.datasets import dataset
from workbench.data.lake import Lake
from workbench.errors import NoData

# Publishes one session after the other until it is killed, and says so before and after each.
PUBLISHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.data.test_lake_crash import put, session_rows
from workbench.data.lake import Lake
lake = Lake(Path(sys.argv[2]), "sample")
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3]), 1_000_000):
    print("start", number, flush=True)
    put(lake, "prices_daily", session_rows(number))
    print("done", number, flush=True)
    if number % 7 == 6:
        lake.optimize("prices_daily")
"""
SYMBOLS = 400


def session_rows(number: int) -> pl.DataFrame:
    """One session's bars; every third batch also corrects the session before."""
    days = [number] if number % 3 or number == 0 else [number - 1, number]
    rows = []
    for day in days:
        session = date(2020, 1, 1) + timedelta(days=day)
        known = datetime(2020, 1, 1, 21, tzinfo=UTC) + timedelta(days=number)
        rows += [
            (f"S{n:03}", session, *[float(1 + n + number)] * 4, float(number), known, "hand") for n in range(SYMBOLS)
        ]
    return pl.DataFrame(rows, schema=dataset("prices_daily").schema, orient="row")


def expected_rows(count: int) -> list[tuple[date, str, float]]:
    """What the first ``count`` batches say in the end, written down without the lake."""
    known = {}
    for number in range(count):
        for day in [number] if number % 3 or number == 0 else [number - 1, number]:
            known[day] = number
    return [
        (date(2020, 1, 1) + timedelta(days=day), f"S{n:03}", float(1 + n + number))
        for day, number in sorted(known.items())
        for n in range(SYMBOLS)
    ]


def kill_while_publishing(root: Path, first: int, seconds: float) -> tuple[int, bool]:
    """Return the number of the last batch that was told done, and whether another was under way at the kill."""
    command = [sys.executable, "-c", PUBLISHER, str(Path(__file__).parents[2]), str(root), str(first)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(seconds)
        process.kill()
        lines = process.stdout.read().splitlines(keepends=True)
        told = [line.split() for line in lines if line.endswith("\n")]  # the kill may cut the last line
    done = max((int(number) for word, number in told if word == "done"), default=first - 1)
    started = max((int(number) for word, number in told if word == "start"), default=first - 1)
    assert started - done in (0, 1)
    return done, started > done


def storm(root: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    published = caught = 0
    for _ in range(kills):
        done, under_way = kill_while_publishing(root, published, chance.uniform(0.0, 0.25))
        caught += under_way
        lake = Lake(root, "sample")
        try:
            rows = list(lake.read("prices_daily").select("session", "symbol", "close").iter_rows())
        except NoData:
            rows = []
        # Everything told done is there; the batch under way is there whole or not at all.
        assert rows in ([expected_rows(done + 1), expected_rows(done + 2)] if under_way else [expected_rows(done + 1)])
        missing = done + 1
        put(lake, "prices_daily", session_rows(missing), wait_seconds=0)  # the dead hold no lock
        assert list(lake.read("prices_daily").select("session", "symbol", "close").iter_rows()) == expected_rows(
            missing + 1
        )
        published = missing + 1
    assert caught > kills // 3  # so many kills were in the middle of one
    history = Lake(root, "sample").history("prices_daily")
    assert history["added"].sum() == SYMBOLS * published
    assert Lake(root, "sample").verify("prices_daily") > 0


def test_a_kill_at_any_point_of_a_publish_loses_and_doubles_nothing(tmp_path: Path) -> None:
    storm(tmp_path / "lake", kills=12, seed=20240304)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    storm(tmp_path / "lake", kills=40, seed=seed)
