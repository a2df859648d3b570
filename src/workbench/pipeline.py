"""Pipelines: notebooks as the steps of a graph, run once for each change and kept with everything that they said.

1. ``plan`` reads pipelines/<name>.yaml, expands fan-outs and checks every notebook and parameter.
2. Each step has a key: a digest of all that its result depends on. A finished step with the same key is reused.
3. The rest is a Dask graph: threads here, a cluster's workers with DASK_SCHEDULER_ADDRESS. A task never raises; a step
   whose needs have failed is ``not run``, and other branches go on.
4. Steps write their state into the run's folder as they go; the run's manifest and the terminal follow.

A run whose process dies leaves finished steps behind, each known by its key: the next run goes on from there.
"""

from __future__ import annotations

import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from workbench.background import in_background
from workbench.cluster import cluster_address, connected, require_cluster
from workbench.disk import read_json, write_json, writing
from workbench.errors import InputRefused, NoData, WorkbenchError
from workbench.interrupt import terminated_as_interrupted
from workbench.kernels import WarmParents, lineage
from workbench.params import Paths, Settings, digest, freeze_settings
from workbench.plan import FOLDER, Pipeline, Task, outside_tables, plan, read_pipeline
from workbench.progress import Lines, Progress, Silence, watched
from workbench.runs import (
    GOOD,
    OPEN,
    STATUS,
    Index,
    RunFailed,
    RunResult,
    StepResult,
    Versions,
    only_one,
    read_run,
    run_history,
)
from workbench.step import HANDOVER, MANIFEST, OUTPUTS, SETTINGS

__all__ = ["RunFailed", "RunResult", "StepResult", "Versions", "run_history", "run_pipeline"]

Record = Callable[[RunResult], object]

STOP = "stop"
LOOK_SECONDS, STOP_SECONDS = 0.05, 15.0
PASSWORD = re.compile(r"://[^/@\s\"]+:[^/@\s\"]+@")


def run_pipeline(
    name: str,
    settings: Settings,
    paths: Paths,
    *,
    table_versions: Versions | None = None,
    progress: bool = True,
    fresh: bool = False,
    only: Iterable[str] | None = None,
    recorder: Callable[[], Record] | None = None,
    parallel: int | None = None,
    check: Callable[[], object] | None = None,
) -> RunResult:
    """Run a pipeline and return what became of it; raise RunFailed when a step failed, after the others are done.

    ``table_versions`` says which versions tables have now; a version must change whenever the content does. ``only``
    keeps some steps and what they need. Where something has to be executed, ``check`` may refuse it before anything is
    written, and ``recorder`` is opened beside the steps; what it returns is called with the result.
    """
    pipeline = read_pipeline(name, paths)
    tasks = plan(pipeline, settings, paths, only)
    index = Index(paths, table_versions or (lambda tables: {}))
    if table_versions is not None:
        _require_tables(pipeline, outside_tables(pipeline, tasks), index, settings.market)
    show: Progress = watched() if progress else Silence()
    with only_one(paths, name) as run_id, terminated_as_interrupted():
        run = _Run(run_id, pipeline, tasks, paths, index, fresh)
        known = run.reusable()
        if len(known) < len(tasks):
            if check is not None:
                check()
            require_cluster()
        run.begin(settings, known)
        record: Future[Record] | None = None
        try:
            if len(known) < len(tasks):
                record = run.execute(known, show, parallel or os.cpu_count() or 1, recorder)
            elif progress:
                show = Lines()  # nothing will move
        except BaseException as error:
            run.abandon(error, show)
            raise
        result = run.end()
        show.show(run.states)
        show.end(f"{run_id}: {result.status} in {result.seconds:.1f} s ({result.summary})")
        failure = _failure(result, paths)
        try:
            if record is not None and any(step.attempts for step in result.steps):
                record.result()(result)
        except WorkbenchError as error:
            if failure is None:
                raise
            raise failure from error
    if failure is not None:
        raise failure
    return result


def _failure(result: RunResult, paths: Paths) -> RunFailed | None:
    """Return the error that names the first step that failed, its cause and its executed copy."""
    failed = [step for step in result.steps if step.status == "failed"]
    if not failed:
        return None
    kept = f"; executed copy: {paths.short(failed[0].notebook)}" if failed[0].notebook.exists() else ""
    more = f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return RunFailed(f"step {failed[0].id}: {failed[0].error}{kept}{more}", result)


@dataclass(frozen=True)
class _Run:
    run_id: str
    pipeline: Pipeline
    tasks: list[Task]
    paths: Paths
    index: Index
    fresh: bool
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: float = field(default_factory=time.time)

    @property
    def folder(self) -> Path:
        return self.paths.runs / self.run_id

    @property
    def stop(self) -> Path:
        """The file that tells every step, here and on a cluster, to stop."""
        return self.folder / STOP

    def begin(self, settings: Settings, known: Mapping[str, StepResult]) -> None:
        """Make the folder, freeze the settings, take over what is known and write the first manifest."""
        if PASSWORD.search(settings.model_dump_json()):
            raise InputRefused("settings: a URL holds a password, and settings stay with the run; use the environment")
        with writing(self.folder):
            self.folder.mkdir(parents=True)
            freeze_settings(settings, self.folder / SETTINGS)
        for task in self.tasks:
            self.states[task.id] = StepResult(task.id, "waiting", self.folder / task.id).stored(self.paths)
        for id, result in known.items():
            with writing(self.folder):
                (self.folder / id).mkdir()
            write_json(self.folder / id / STATUS, result.stored(self.paths))
        self.look()
        self.save("running")

    def reusable(self) -> dict[str, StepResult]:
        """Return the steps that need not run, as far as that can be known without running any.

        A step that feeds another leaves something that the other uses up: when the other has to run, so has it.
        """
        known: dict[str, StepResult] = {}
        again: set[str] | None = set()
        while again is not None and not self.fresh:
            known = {}
            for task in self.tasks:
                if task.id not in again and not task.spec.always and all(need in known for need in task.needs):
                    found = self.index.find(self.key(task, known))
                    if found is not None:
                        known[task.id] = found
            running = {task.name for task in self.tasks if task.id not in known}
            more = {task.id for task in self.tasks if task.id in known and running & set(task.spec.feeds)}
            again = again | more if more else None
        return known

    def key(self, task: Task, known: Mapping[str, StepResult]) -> str:
        """Return the digest of all that the step's result depends on."""
        before = {need: [known[need].key, known[need].outputs] for need in task.needs}
        return digest([task.base, before, self.index.of(task.spec.tables)])

    def look(self) -> bool:
        """Take over what the steps have written since, and return whether there was anything."""
        changed = False
        for id, before in self.states.items():
            if before["status"] in OPEN:
                state = read_json(self.folder / id / STATUS)
                if state is not None and state != before:
                    self.states[id], changed = state, True
        return changed

    def save(self, status: str) -> None:
        """Write the manifest."""
        facts = {"run_id": self.run_id, "pipeline": self.pipeline.name, "status": status}
        times = {"started": datetime.fromtimestamp(self.begun, UTC).isoformat(), "seconds": time.time() - self.begun}
        machine = {"pid": os.getpid(), "host": platform.node()}
        write_json(self.folder / MANIFEST, {**facts, **times, **machine, "steps": self.states})

    def execute(
        self, known: Mapping[str, StepResult], show: Progress, parallel: int, recorder: Callable[[], Record] | None
    ) -> Future[Record] | None:
        """Run the graph in the background while this thread watches; whatever happens here ends every kernel.

        The recorder opens beside it. The warm parents are other processes: what it imports starts no thread in them.
        """
        address = cluster_address()
        wanted = {task.spec.warm for task in self.tasks if task.id not in known} - {""}
        groups = {name for group in wanted for name in lineage(self.pipeline.warm, group)}
        parents = WarmParents({name: modules for name, modules in self.pipeline.warm.items() if name in groups})
        trouble: list[BaseException] = []
        over = threading.Event()  # not join(): interrupted, that forgets in Python 3.11 that the thread still runs

        def graph() -> None:
            try:
                self._graph(known, parents, parallel, address)
            except BaseException as error:  # noqa: BLE001  (carried over to the thread that watches)
                trouble.append(error)
            finally:
                over.set()

        thread = threading.Thread(target=graph, daemon=True)
        try:
            if not address:
                parents.start()
            import workbench.execution  # noqa: F401  (here: beside the parents' imports, and before there are threads)

            record = in_background(recorder) if recorder else None
            thread.start()
            while not over.wait(LOOK_SECONDS):
                if self.look():
                    self.save("running")
                show.show(self.states)
            if trouble:
                raise trouble[0]
            return record
        except BaseException:
            with suppress(OSError):
                self.stop.touch()
            if thread.ident is not None:
                over.wait(STOP_SECONDS)
            raise
        finally:
            parents.close()

    def _graph(
        self,
        known: Mapping[str, StepResult],
        parents: WarmParents,
        parallel: int,
        address: str,
    ) -> None:
        from dask import compute, delayed

        nodes: dict[str, Any] = {}
        for task in self.tasks:
            if task.id not in known:
                ready = [known[need] for need in task.needs if need in known]
                waits = [nodes[need] for need in task.needs if need in nodes]
                work = partial(_run_step, replace(self, states={}), task, ready, None if address else parents)
                nodes[task.id] = delayed(work, pure=False, traverse=False)(*waits, dask_key_name=task.id)
        if not address:
            compute(*nodes.values(), scheduler="threads", num_workers=parallel, optimize_graph=False)
            return
        with connected(address, "workbench-pipeline") as client:
            compute(*nodes.values(), scheduler=client, optimize_graph=False)

    def abandon(self, error: BaseException, show: Progress) -> None:
        """Write what is known of a run that something else than a step has ended."""
        stopped = isinstance(error, KeyboardInterrupt)
        self.look()
        with suppress(WorkbenchError):  # a full disk may be what ended it
            self.save("stopped" if stopped else "failed")
        show.show(self.states)
        show.end(f"{self.run_id}: stopped; what was finished is kept, and the next run goes on from there")

    def end(self) -> RunResult:
        """Write the last manifest and return the result."""
        self.look()
        self.save("done" if all(state["status"] in GOOD for state in self.states.values()) else "failed")
        manifest = read_json(self.folder / MANIFEST)
        assert manifest is not None
        return read_run(self.folder, manifest, self.paths, self.run_id)


def _require_tables(pipeline: Pipeline, tables: Sequence[str], index: Index, market: str) -> None:
    """Refuse a run, before it begins, whose steps would read what nobody has ingested."""
    absent = [table for table, version in index.of(tables).items() if version is None]
    if absent:
        what = "is empty" if absent == list(tables) else f"has no {', '.join(absent)}"
        raise NoData(
            f"market '{market}': its lake {what}, and pipeline '{pipeline.name}' ingests nothing for it; "
            f"ingest it first (docs/lake.md), or take the embedded market: --set market=sample"
        )


def _run_step(
    run: _Run, task: Task, ready: Sequence[StepResult], parents: WarmParents | None, *waits: StepResult
) -> StepResult:
    """Run one step, in a thread here or on a worker of a cluster; its failure is a result, not an exception."""
    known, begun = {result.id: result for result in (*ready, *waits)}, time.time()
    result = StepResult(task.id, "not run", run.folder / task.id)
    bad = [need for need in task.needs if known[need].status not in GOOD]
    with writing(result.folder):
        result.folder.mkdir(exist_ok=True)
    if bad:
        result = replace(result, error=f"{bad[0]} {'failed' if known[bad[0]].status == 'failed' else 'was not run'}")
    elif run.stop.exists():
        result = replace(result, error="the run was stopped")
    else:
        try:
            result = replace(result, key=run.key(task, known))
            found = None if run.fresh or task.spec.feeds or task.spec.always else run.index.find(result.key)
            result = found or _execute_step(run, task, replace(result, status="running"), known, parents)
        except WorkbenchError as error:  # the disk is full, a table is damaged: trying again would not help
            result = replace(result, status="failed", error=str(error), seconds=time.time() - begun)
    write_json(run.folder / task.id / STATUS, result.stored(run.paths))
    return result


def _execute_step(
    run: _Run, task: Task, result: StepResult, known: Mapping[str, StepResult], parents: WarmParents | None
) -> StepResult:
    from workbench.execution import NotebookFailed, execute

    inputs = [{"step": n, "outputs": known[n].outputs, "folder": run.paths.short(known[n].folder)} for n in task.needs]
    write_json(result.folder / HANDOVER, {"run_id": run.run_id, "step": task.id, "inputs": inputs})
    begun = time.time()
    for attempt in range(1, task.spec.retries + 2):
        if attempt > 1:
            with suppress(FileNotFoundError):
                result.notebook.replace(result.folder / f"notebook.attempt{attempt - 1}.ipynb")
            (result.folder / OUTPUTS).unlink(missing_ok=True)
        state = {**result.stored(run.paths), "status": "running", "started": begun, "attempt": attempt}
        write_json(result.folder / STATUS, state)
        try:
            execution = execute(
                task.notebook,
                result.notebook,
                {**task.params, FOLDER: run.paths.short(result.folder)},
                cwd=result.folder,
                env={"WORKBENCH_ROOT": str(run.paths.root)},
                timeout_seconds=task.spec.timeout,
                fork=partial(parents.fork, task.spec.warm) if parents is not None and parents.pid else None,
                stop=run.stop,
                scratch=parents.folder if parents is not None else None,
            )
            error = ""
        except NotebookFailed as failure:
            execution, error = failure.execution, str(failure)
        tries = (*result.attempts, {**asdict(execution), "error": error})
        result = replace(result, attempts=tries, error=error, seconds=time.time() - begun)
        if not error:
            outputs = (read_json(result.folder / OUTPUTS) or {"outputs": {}})["outputs"]
            result = replace(result, status="done", outputs=outputs)
            run.index.add(result, run.run_id, task.spec.writes)
            return result
        if run.stop.exists():
            return replace(result, status="stopped")
    return replace(result, status="failed")
