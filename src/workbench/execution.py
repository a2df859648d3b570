"""Papermill runs one notebook: in a forked or an ordinary kernel, within a time limit, and it can be stopped.

Importing this file loads papermill and Jupyter (0.6 s); ``workbench.notebook`` does the checks and does not.

What differs from plain papermill, and why:

1. The time limit is the whole notebook's, not one cell's; a kernel that is late, stopped or dead ends the notebook with
   an error in its cell, so that papermill marks the place as for any other error.
2. Waiting is cut to what is needed: no fixed 0.2 s after the start, no 0.1 s steps at the end, sockets in a private
   folder instead of TCP ports, and at most one save a second.
3. The executed copy appears under its name when it is complete; until then it is ``notebook.running.ipynb``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from workbench.disk import write_whole
from workbench.errors import CannotWrite, StepFailed
from workbench.kernels import KERNEL_ENVIRONMENT, NEEDLESS, PROGRAM, ForkedKernel, NoFork, without
from workbench.notebook import PARAMETERS, Notebook

with without(*NEEDLESS, "pyarrow"):
    import nbformat
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import ensure_event_loop, run_sync
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NotebookExecutionManager, papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook

Fork = Callable[..., ForkedKernel]

ENGINE = "workbench"
START_SECONDS, SAVE_SECONDS, LOOK_SECONDS = 120.0, 1.0, 0.2
NO_EXIT = "no cell after it was run; take the exit out, or raise an error that says what is wrong"
INJECTED, COLOUR = "injected-parameters", re.compile(r"\x1b\[[0-9;]*m")

LOGGER = logging.getLogger("papermill")
LOGGER.addHandler(logging.NullHandler())  # what it has to say is in the error that we raise


@dataclass(frozen=True)
class Execution:
    """How a notebook ran: its wall-clock time, and ``forked`` or why its kernel was an ordinary one."""

    seconds: float
    kernel: str


class NotebookFailed(StepFailed):
    """A cell raised, took too long, was stopped or lost its kernel; the executed copy shows where."""

    def __init__(self, message: str, execution: Execution) -> None:
        super().__init__(message)
        self.execution = execution


def execute(
    notebook: Notebook,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = math.inf,
    fork: Fork | None = None,
    stop: Path | None = None,
    scratch: Path | None = None,
) -> Execution:
    """Run the notebook with these parameters and write its executed copy to ``output``, also when it fails.

    The time limit counts from when the kernel is ready: what a warm parent still has to import is not the notebook's.
    ``fork`` asks a warm parent for a kernel; without it, or when it cannot, the kernel is an ordinary one. The run is
    stopped as soon as the file ``stop`` exists. The kernel's sockets go to ``scratch``, else to the temporary folder.
    """
    notebook.check(parameters)
    running = output.with_suffix(".running.ipynb")
    begun = time.monotonic()
    private = Path(tempfile.mkdtemp(prefix="workbench-kernel-", dir=scratch))
    manager = _Manager(private, fork)
    limits = _Limits(timeout_seconds, stop)
    environment = {**KERNEL_ENVIRONMENT, **os.environ, **(env or {}), "IPYTHONDIR": str(private / "ipython")}
    log = output.with_suffix(".log")
    try:
        with log.open("ab") as sink:
            launch = {"cwd": str(cwd), "env": environment, "stdout": sink, "stderr": sink, "log": log}
            execute_notebook(
                _escaped(notebook.file),
                _escaped(running),
                dict(parameters),
                engine_name=ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                km=manager,
                limits=limits,
                launch=launch,
            )
    except PapermillExecutionError as error:
        failure = _describe(notebook, parameters, error)
        raise NotebookFailed(failure, Execution(time.monotonic() - begun, manager.how)) from error
    except OSError as error:
        raise CannotWrite(f"{output}: {error.strerror or error}; free some space or mend the permissions") from error
    except _DidNotStart as error:
        failure = f"{notebook.name}: the kernel did not start: {error}{_last_line(log)}"
        raise NotebookFailed(failure, Execution(time.monotonic() - begun, manager.how)) from error
    finally:
        ensure_event_loop().close()  # the one that nbclient opened in this thread
        shutil.rmtree(private, ignore_errors=True)
        with contextlib.suppress(OSError):
            running.replace(output)
        with contextlib.suppress(OSError):
            if not log.stat().st_size:
                log.unlink()
    return Execution(time.monotonic() - begun, manager.how)


def _describe(notebook: Notebook, parameters: Mapping[str, Any], error: PapermillExecutionError) -> str:
    """Return where and what, in one line: cells are counted from 1 in the source, ``In`` as in the executed copy."""
    tags = [cell.tags for cell in notebook.cells]
    at = next(index for index, found in enumerate(tags) if PARAMETERS in found)
    added = bool(parameters) and not any(INJECTED in found for found in tags) and error.cell_index > at
    lines = re.findall(r"Cell In\s?\[\d+\], line (\d+)", COLOUR.sub("", "\n".join(error.traceback)))
    line = f", line {lines[-1]}" if lines else ""
    what = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
    return f"{notebook.name}: cell {error.cell_index + 1 - added} (In [{error.exec_count or ' '}]){line}: {what}"


def _escaped(file: Path) -> str:
    """Return the path for papermill, which fills braces in."""
    return str(file).replace("{", "{{").replace("}", "}}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return f" ({lines[-1].strip()})" if lines else ""


class _DidNotStart(Exception):
    """The kernel ended, or said nothing, before its first cell."""


@dataclass(frozen=True)
class _Limits:
    seconds: float
    stop: Path | None

    def stopped(self) -> bool:
        return self.stop is not None and self.stop.exists()


class _Client(AsyncKernelClient):  # type: ignore[misc]
    """A kernel client that is ready as soon as the kernel has answered on both channels."""

    language_info: dict[str, Any]

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait for the kernel's first answer."""
        end = time.monotonic() + (timeout or START_SECONDS)
        while time.monotonic() < end:
            self.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self.shell_channel.get_msg(timeout=1)
                if reply["msg_type"] == "kernel_info_reply":
                    await self.iopub_channel.get_msg(timeout=0.2)  # what a cell prints will arrive, too
                    self._handle_kernel_info_reply(reply)
                    self.language_info = reply["content"]["language_info"]
                    return
            if not await self.parent.is_alive():
                raise RuntimeError("it died before it answered")
        raise RuntimeError(f"no answer in {timeout or START_SECONDS:g} s")


class _Manager(AsyncKernelManager):  # type: ignore[misc]
    """Starts the kernel of this very Python, forked where a warm parent can."""

    def __init__(self, private: Path, fork: Fork | None) -> None:
        sockets = {} if sys.platform == "win32" else {"transport": "ipc"}
        super().__init__(kernel_name="python3", connection_file=str(private / "k.json"), **sockets)
        argv = [*PROGRAM, "{connection_file}"]
        self._kernel_spec = KernelSpec(argv=argv, display_name="Python 3", language="python")
        self.client_factory = _Client
        self.fork, self.how = fork, "ordinary"

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        log, provisioner = kw.pop("log"), self.provisioner
        if self.fork is not None:
            try:
                process = self.fork(self.connection_file, cwd=Path(kw["cwd"]), env=kw["env"], log=log)
            except NoFork as reason:
                self.how = f"ordinary: {reason}"
            else:
                provisioner.process, provisioner.pid, provisioner.pgid = process, process.pid, process.pid
                self._reconcile_connection_info(provisioner.connection_info)
                self.how = "forked"
        if self.how != "forked":
            await super()._async_launch_kernel(kernel_cmd, **kw)
        # A client that connects before the kernel listens is only tried again 0.1 s later.
        end = time.monotonic() + START_SECONDS
        while self.transport == "ipc" and not Path(f"{self.ip}-{self.iopub_port}").exists():
            if time.monotonic() > end or not await self.is_alive():
                raise RuntimeError("it ended before it listened")
            await asyncio.sleep(0.002)

    async def _async_wait(self, pollinterval: float = 0.1) -> None:
        await super()._async_wait(pollinterval=0.002)


class _Notebook(PapermillNotebookClient):  # type: ignore[misc]
    """Executes the cells within the limits and always leaves without a kernel."""

    def __init__(self, saving: NotebookExecutionManager, *, limits: _Limits, launch: dict[str, Any], **kw: Any) -> None:
        super().__init__(saving, timeout_func=lambda _: self._left(), log=LOGGER, **kw)
        self.limits, self.launch, self.ready = limits, launch, 0.0

    def execute(self, **_: Any) -> None:
        """Start the kernel, execute the cells one by one, and end the kernel: politely, or at once if it must be."""
        manager, polite = self.km, False
        self.reset_execution_trackers()
        try:
            try:
                self.start_new_kernel(**self.launch)
                self.start_new_kernel_client()
            except RuntimeError as error:
                raise _DidNotStart(str(error)) from error
            self.ready = time.monotonic()
            self.papermill_execute_cells()
            self.nb.metadata["language_info"] = self.kc.language_info
            self.set_widgets_metadata()
            polite = not any(cell.metadata.papermill.get("exception") for cell in self.nb.cells)
        finally:
            if self.kc is not None:
                self.kc.stop_channels()
            if manager.has_kernel:
                _shut_down(manager, now=not polite)

    def _left(self) -> float | None:
        left = self.ready + self.limits.seconds - time.monotonic()
        return None if math.isinf(left) else max(left, 0.001)

    def execute_cell(self, cell: Any, cell_index: int, **kw: Any) -> Any:
        """Execute one cell; whatever ends it before its time becomes an error output of the cell."""
        manager = self.km
        try:
            return super().execute_cell(cell, cell_index, **kw)
        except CellExecutionError:
            for output in cell.outputs:
                # papermill takes an exit with 0 for the end of the notebook, though the cells after it never ran
                if output.output_type == "error" and output.ename == "SystemExit":
                    output.evalue = f"the cell ended the notebook (exit {output.evalue or 0}): {NO_EXIT}"
            raise
        except CellTimeoutError:
            name, text = "StepTimeout", f"the notebook took longer than its timeout of {self.limits.seconds:g} s"
        except DeadKernelError:
            if self.limits.stopped():
                name, text = "Stopped", "the run was stopped"
            else:
                name, text = "KernelDied", _cause_of_death(manager.provisioner.process)
                text += _last_line(self.launch["log"])
        cell.outputs.append(nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"]))
        raise CellExecutionError(text, name, text)

    async def _async_poll_kernel_alive(self) -> None:
        while not self.limits.stopped():
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._async_check_alive()
            except DeadKernelError:
                break
        self.task_poll_for_reply.cancel()


class _Saving(NotebookExecutionManager):  # type: ignore[misc]
    """Saves at most once a second while the notebook runs, and replaces the file in one piece."""

    saved = -math.inf

    def save(self, **kwargs: Any) -> None:
        """Save when the last time was long enough ago or the notebook has come to its end."""
        if self.end_time is None and time.monotonic() - self.saved < SAVE_SECONDS:
            return
        self.saved = time.monotonic()
        write_whole(Path(self.output_path), nbformat.writes(kwargs.get("nb") or self.nb))


class _Engine:
    """The papermill engine of this name."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str,
        km: _Manager,
        limits: _Limits,
        launch: dict[str, Any],
        **_: Any,
    ) -> Any:
        """Execute the notebook and return it, saved."""
        saving = _Saving(nb, output_path=output_path, progress_bar=False, autosave_cell_every=0)
        saving.notebook_start()
        try:
            _Notebook(saving, km=km, limits=limits, launch=launch, kernel_name=kernel_name).execute()
        finally:
            saving.notebook_complete()
        return saving.nb

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """Return the kernel's name: always that of this Python."""
        return name or "python3"

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Return the language: always Python."""
        return language or "python"


papermill_engines.register(ENGINE, _Engine)


@run_sync
async def _shut_down(manager: _Manager, now: bool) -> None:
    await manager.shutdown_kernel(now=now)


def _cause_of_death(process: Any) -> str:
    status = process.poll()
    if orphaned := getattr(process, "orphaned", ""):
        return str(orphaned)
    if status == -9:
        return "the kernel was killed (signal 9): often the system did, because memory ran out"
    if status is not None and status < 0:
        return f"the kernel crashed ({signal.Signals(-status).name})"
    return f"the kernel ended with status {status}"
