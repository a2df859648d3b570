"""The same sweep on a real Dask scheduler with worker processes on this machine, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from workbench import cluster as clusters
from workbench.backtest.trials import Ledger, Question
from workbench.errors import WorkbenchError
from workbench.search import crew as crews
from workbench.search import work as works
from workbench.search.bar import NoBar
from workbench.search.problem import measure, pose

ROOT = Path(__file__).parents[2]
GRID = ("fast=2:9:1", "slow=18:45:3")  # 8 × 10 cells
CELLS = 80


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part of Dask as a person starts it, and end it whatever happens."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def worker_in(folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a worker of one thread for the scheduler of this folder."""
    known = ["--scheduler-file", str(folder / "scheduler.json"), "--local-directory", str(folder)]
    return started("dask_worker", *known, "--nthreads", "1", "--no-nanny", "--no-dashboard")


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Give the address of a scheduler, and its two workers."""
    file = folder / "scheduler.json"
    with started(
        "dask_scheduler", "--scheduler-file", str(file), "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    ):
        while not file.is_file() or not file.read_text().strip():
            time.sleep(0.05)
        with worker_in(folder) as one, worker_in(folder) as two:
            address = json.loads(file.read_text())["address"]
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            yield address, [one, two]


class Murderer(NoBar):
    """Kills a worker, without a word to it, when a third is done."""

    def __init__(self, victim: subprocess.Popen[bytes]) -> None:
        self.victim, self.done = victim, 0

    def advance(self, count: int) -> None:
        self.done += count
        if self.done > CELLS / 3 and self.victim.poll() is None:
            self.victim.kill()
            self.victim.wait()


@pytest.mark.e2e
def test_a_worker_that_is_killed_loses_nothing_and_nothing_counts_twice(desk, tmp_path, monkeypatch):
    here = desk.sweep(*GRID)
    ledger, question = Ledger(desk.paths.trials), Question(desk.params.question, "sample")
    assert len(ledger.trials(question)) == here.measured == CELLS

    far = type(desk)(desk.params, desk.bars, desk.settings, type(desk.paths)(tmp_path / "far"))
    monkeypatch.setattr(works, "BATCH_SECONDS", 0.1)  # many batches, so that some are under way on the victim
    with cluster(tmp_path) as (address, workers):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        bar, said = Murderer(workers[0]), []
        there = far.sweep(*GRID, bar=bar, say=said.append)
        assert workers[0].returncode == -signal.SIGKILL
        assert workers[1].poll() is None
    assert f"measured by DASK_SCHEDULER_ADDRESS {address}, 2 at a time" in said
    assert there.measured == bar.done + works.FIRST_CELLS == CELLS
    pd.testing.assert_frame_equal(there.table, here.table, check_exact=True)
    counted = Ledger(far.paths.trials).trials(question)
    assert len(counted) == CELLS
    assert not counted.duplicated(["strategy", "params"]).any()
    Ledger(far.paths.trials).verify({there.run_id: there.head})


@pytest.mark.e2e
def test_when_every_worker_dies_the_next_one_goes_on(desk, tmp_path, monkeypatch):
    problem, cells = pose("sma_cross", desk.params, desk.bars, desk.settings)
    batches = [crews.Batch((cell,), len(problem.folds)) for cell in cells * 3]
    with cluster(tmp_path) as (address, workers), ExitStack() as later, crews.recruited(problem, 2, address) as crew:
        found = []
        for number, (batch, measured) in enumerate(crew.run(batches)):
            found.append((batch.cells[0], measured.numbers))
            if number == 2:
                for worker in workers:
                    worker.kill()
                    worker.wait()
                later.enter_context(worker_in(tmp_path))
        assert len(found) == 24
        alone = {str(cell): measure(problem, [cell]).numbers for cell in cells}
        assert all(np.array_equal(numbers, alone[str(cell)], equal_nan=True) for cell, numbers in found)


@pytest.mark.e2e
def test_processes_of_this_machine_find_what_one_process_finds(desk, tmp_path, monkeypatch):
    grid = ("fast=2:6:1", "slow=18:26:2")
    here = desk.sweep(*grid)
    monkeypatch.setattr(works, "ALONE_SECONDS", 0.0)
    several = type(desk)(desk.params, desk.bars, desk.settings, type(desk.paths)(tmp_path / "several"))
    said: list[str] = []
    there = several.with_settings(workers=2).sweep(*grid, say=said.append)
    assert "measured by 2 processes, 2 at a time" in said
    pd.testing.assert_frame_equal(there.table, here.table, check_exact=True)


def test_a_scheduler_that_does_not_answer_is_named_in_one_line(desk, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.5)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with pytest.raises(WorkbenchError) as refused:
        desk.sweep()
    assert str(refused.value).startswith(
        "DASK_SCHEDULER_ADDRESS tcp://127.0.0.1:9: no answer within 0 s; start it there"
    )


def test_an_address_that_is_none_is_named_in_one_line(desk, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "cluster of ours")
    with pytest.raises(WorkbenchError, match=r"DASK_SCHEDULER_ADDRESS 'cluster of ours': .*; write tcp://host:8786"):
        desk.sweep()
