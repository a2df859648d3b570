"""Who measures the cells: this process, processes of this machine, or the workers of a Dask cluster.

Processes and cluster are the same code: with ``DASK_SCHEDULER_ADDRESS`` the batches go there instead. Strategies are
pandas code that holds the interpreter's lock, so threads would not pay (docs/search.md has the numbers).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.cluster import ADDRESS, connected
from workbench.errors import WorkbenchError
from workbench.search.problem import Measured, Problem, measure

WORKERLESS_SECONDS, LOOK_SECONDS = 60.0, 5.0
# Batches under way for each worker: none waits for the next, and few are measured in vain when it stops.
AHEAD = 3
# Dask tells its workers to give memory back at once, which doubles the time of work that allocates much.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Batch:
    """Cells that are measured in one go, on all folds or on the first ``folds`` training windows."""

    cells: tuple[dict[str, Any], ...]
    folds: int


class Crew(Protocol):
    """Anything that measures batches, in any order, each exactly once."""

    @property
    def text(self) -> str:
        """Who it is, for people."""
        ...

    @property
    def workers(self) -> int:
        """How many batches it measures at a time."""
        ...

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Measured]]:
        """Give each batch with what became of it, as they finish."""
        ...


@dataclass(frozen=True)
class Here:
    """This process."""

    problem: Problem
    workers: int = 1
    text: str = "this process"

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Measured]]:
        """Measure one batch after another."""
        for batch in batches:
            yield batch, measure(self.problem, batch.cells, batch.folds)


class Workers:
    """The workers of a Dask scheduler; one that dies loses nothing, its batches are measured by the others."""

    def __init__(self, client: Any, problem: Problem, text: str) -> None:
        self.client, self.problem, self.text = client, problem, text
        self._held: Any = None

    @property
    def workers(self) -> int:
        """How many batches are measured at a time now."""
        return max(1, sum(int(threads) for threads in self.client.nthreads().values()))

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Measured]]:
        """Send batches, a few ahead, and give each back when it is done."""
        waiting, running = deque(batches), dict[Any, Batch]()
        most = AHEAD * self.workers
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    batch = waiting.popleft()
                    running[self._submit(batch)] = batch
                for future in self._finished(set(running)):
                    yield running.pop(future), self._result(future)
                    most = AHEAD * self.workers
        finally:
            with suppress(Exception):
                self.client.cancel(list(running), force=True)

    def _submit(self, batch: Batch) -> Any:
        if self._held is None:
            import dask

            # A task and not scattered data: when every worker that holds the bars dies, the next one gets them again.
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"}):
                self._held = self.client.submit(_received, self.problem, pure=False)
        return self.client.submit(measure, self._held, batch.cells, batch.folds, pure=False)

    def _finished(self, running: set[Any]) -> set[Any]:
        """Wait until something is finished; raise when nobody is left who could finish it."""
        from distributed import TimeoutError as DaskTimeout
        from distributed import wait

        alone = 0.0
        while True:
            with suppress(DaskTimeout, TimeoutError), self.client.as_current():
                done: set[Any] = wait(running, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done
                return done
            if self.client.status != "running":
                raise WorkbenchError(f"{self.text}: the scheduler is gone; start it again, what was finished is kept")
            alone = 0.0 if self.client.nthreads() else alone + LOOK_SECONDS
            if alone >= WORKERLESS_SECONDS:
                raise WorkbenchError(
                    f"{self.text}: no worker for {WORKERLESS_SECONDS:.0f} s; start some, what was finished is kept"
                )

    def _result(self, future: Any) -> Measured:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            found: Measured = future.result()
        except WorkbenchError:
            raise
        except KilledWorker as error:
            raise WorkbenchError(
                f"{self.text}: a batch ended several workers one after another, most likely for want of memory; "
                "give them more, or fewer of them (search.workers)"
            ) from error
        except CancelledError as error:
            raise WorkbenchError(f"{self.text}: a batch was cancelled there; what was finished is kept") from error
        except ImportError as error:
            raise WorkbenchError(
                f"{self.text}: a worker cannot import what it needs ({error}); install workbench there"
            ) from error
        return found


def _received(problem: Problem) -> Problem:
    return problem


@contextmanager
def recruited(problem: Problem, workers: int, address: str = "") -> Iterator[Workers]:
    """Open workers for a problem: those of the scheduler at ``address``, else processes of this machine."""
    if address:
        with connected(address, "workbench-sweep") as client:
            yield Workers(client, problem, f"{ADDRESS} {address}")
        return
    import dask
    from distributed import Client, LocalCluster

    quiet = {
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.worker.multiprocessing-method": "forkserver" if hasattr(os, "fork") else "spawn",
    }
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port: None still asks for 8787, and warns where that is taken
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Workers(client, problem, f"{workers} processes")
