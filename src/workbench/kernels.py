"""Kernels forked from a warm parent: imports are paid once a run, not once a notebook.

``WarmParents`` starts one clean process (``python -m workbench.kernels``). It imports ipykernel, then forks a parent
for every group of modules; a group that begins with another group's name is forked from that one::

    base ── light: numpy, pandas ──┬── data: light, great_expectations
                                   └── research: light, vectorbt, mlflow

Groups import side by side, and each serves forks as soon as its own imports are done. Why this is safe:

1. A parent imports and does nothing else: no data, no pool, no event loop. It counts its threads after every import
   and refuses to fork once a module has started one (the step then gets an ordinary kernel, and the run says why).
2. Threads that start on import are switched off by ``WARM_ENVIRONMENT``; all other pools start at their first use, in
   the child. ``PARKED`` names the one thread that is tolerated.
3. Linux kills a kernel when its parent dies, and a parent when the base dies; the base ends when the pipe from the
   process that started it closes. Nothing outlives a killed run.

Only Linux has what this needs (``available``); elsewhere every kernel is an ordinary one.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from workbench.errors import WorkbenchError

BASE = "base"
PROGRAM = (sys.executable, "-P", "-m", "workbench.kernels")  # parents FOLDER GROUPS, or a CONNECTION_FILE: a kernel
# Imports that only slow others down: jsonschema, below nbformat and great_expectations, tries these to check IRIs, and
# the first needs 2.5 s to build its grammar (1.1.0, seen 2026-11). Nothing here checks an IRI.
NEEDLESS = ("rfc3987_syntax", "rfc3987")
# Polars 2 starts a thread on import that deletes spill files and otherwise waits on a futex. A fork lacks it: queries
# that spill work (tried with a budget of 50 MB), their files stay, so they go to a folder that ends with the run.
PARKED = ("polars-ooc-clea",)
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
REPLY_SECONDS, PATIENCE_SECONDS = 120.0, 0.5

# What ipykernel imports itself when a kernel starts (pydevd, which it brings, is half of that time), and every step.
KERNEL_MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.extensions.storemagic",
    "psutil",
    "workbench.step",
)
KERNEL_ARGUMENTS = ("--HistoryManager.enabled=False",)
# What every step's kernel gets, warm or not, unless the environment already says otherwise.
KERNEL_ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OPENBLAS_NUM_THREADS": "1",  # steps run side by side; numba, polars and torch keep their own threads
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
# What a parent gets on top: nothing may start a thread when it is imported.
WARM_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}


class NoFork(WorkbenchError):
    """A warm parent cannot fork; take an ordinary kernel instead."""


def available() -> bool:
    """Return whether kernels can be forked on this system."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and Path("/proc/self/task").is_dir()


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make the import of some modules fail for a while, so that packages which merely offer them go on without."""
    absent = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for module in absent:
            sys.modules.pop(module, None)


def lineage(groups: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the groups that ``name`` grows from, oldest first, itself last."""
    parents = [module for module in groups[name] if module in groups]
    return [*(lineage(groups, parents[0]) if parents else []), name]


class ForkedKernel:
    """A kernel process that a warm parent forked; it answers like a ``Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, pid: int) -> None:
        self._line, self.pid = line, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        if self.returncode is None:
            self._line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                reply = self._line.recv(4096)
                # A closed line means that the parent is gone, and the kernel with it.
                self.returncode = json.loads(reply)["exit"] if reply else -signal.SIGKILL
                self._line.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status."""
        end = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout or 0.0)
            time.sleep(0.002)
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and everything that it started."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signum)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel now."""
        self.send_signal(signal.SIGKILL)


class WarmParents:
    """The base process and its warm parents, from ``start`` to ``close``.

    >>> with WarmParents({"light": ["numpy", "pandas"]}) as parents:
    ...     kernel = parents.fork("light", connection_file, cwd=folder, env=dict(os.environ), log=folder / "kernel.log")
    """

    def __init__(self, groups: Mapping[str, Sequence[str]] | None = None) -> None:
        self.groups = {name: list(modules) for name, modules in (groups or {}).items()}
        self.folder: Path | None = None  # for sockets and what else goes with the run; the base removes it
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WarmParents:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the base, once started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the base process; the groups warm up in the background."""
        if self._process is not None or not available():
            return
        self.folder = Path(tempfile.mkdtemp(prefix="workbench-"))
        environment = {**os.environ, **{k: v for k, v in KERNEL_ENVIRONMENT.items() if k not in os.environ}}
        environment |= {**WARM_ENVIRONMENT, "POLARS_OOC_SPILL_DIR": str(self.folder / "spill")}
        environment.pop("JPY_PARENT_PID", None)  # set when the run itself was started from a notebook
        with (self.folder / "warm.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*PROGRAM, "parents", str(self.folder), json.dumps(self.groups)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def fork(self, group: str, connection_file: str, *, cwd: Path, env: Mapping[str, str], log: Path) -> ForkedKernel:
        """Fork a kernel from the group's parent, once that has done its imports; raise NoFork when it cannot."""
        if self._process is None or self.folder is None:
            raise NoFork("no warm parent was started")
        request = {"connection_file": connection_file, "cwd": str(cwd), "env": dict(env), "log": str(log)}
        line = socket.socket(socket.AF_UNIX)
        try:
            self._connect(line, self.folder / f"{group or BASE}.sock")
            line.settimeout(REPLY_SECONDS)
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = line.makefile("rb").readline()
        except OSError as error:
            line.close()
            raise NoFork(f"the warm parent '{group or BASE}' does not answer: {error}") from error
        reply: dict[str, Any] = (
            json.loads(answer) if answer else {"refused": f"the warm parent '{group or BASE}' has died"}
        )
        if "refused" in reply:
            line.close()
            raise NoFork(reply["refused"])
        return ForkedKernel(line, reply["pid"])

    def close(self) -> None:
        """End the parents and every kernel that they forked."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self, line: socket.socket, address: Path) -> None:
        end = time.monotonic() + REPLY_SECONDS
        while True:
            try:
                return line.connect(str(address))
            except FileNotFoundError:
                # The base makes all sockets before it imports anything: this lasts as long as Python needs to start.
                if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.005)


# ---- the other side: what runs in the base process and in the warm parents


class _Parent:
    """One warm parent: imports its modules, forks the parents that grow from it, then forks kernels on request."""

    def __init__(self, groups: Mapping[str, Sequence[str]], folder: str, pipe: int) -> None:
        self.groups, self.folder, self.pipe = groups, folder, pipe
        self.sockets = {name: _listen(f"{folder}/{name}") for name in (BASE, *groups)}
        self.refused = ""
        self.children: dict[int, socket.socket | None] = {}  # pid: the line to its owner; None for a parent below
        self.selector = selectors.DefaultSelector()

    def run(self, name: str) -> None:
        """Import, fork the parents below, and serve until the pipe closes."""
        below = [group for group in self.groups if self._grows_from(group) == name]
        self._warm(KERNEL_MODULES if name == BASE else [m for m in self.groups[name] if m not in self.groups])
        serving = [name]
        for group in below:
            if self.refused:
                serving += [other for other in self.groups if group in lineage(self.groups, other)]
                continue
            ours = {other for other in self.groups if group in lineage(self.groups, other)}
            pid = _fork()
            if pid == 0:
                self.selector.close()
                self.selector, self.children = selectors.DefaultSelector(), {}
                self._close_sockets(set(self.sockets) - ours)
                return self.run(group)
            self._close_sockets(ours)  # nobody else listens for a parent that dies
            self._watch(pid, None)
        for group in serving:
            self.selector.register(self.sockets[group], selectors.EVENT_READ, self._accept)
        self.selector.register(self.pipe, selectors.EVENT_READ, self._end)
        gc.freeze()  # in a kernel, the collector leaves the pages alone that it shares with others
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def _grows_from(self, group: str) -> str:
        return [BASE, *lineage(self.groups, group)][-2]

    def _close_sockets(self, names: set[str]) -> None:
        for name in names:
            self.sockets.pop(name).close()

    def _warm(self, modules: Sequence[str]) -> None:
        for entry in modules:
            module, _, function = entry.partition(":")
            try:
                with without(*NEEDLESS):
                    imported = importlib.import_module(module)
                if function:
                    getattr(imported, function)()
            except Exception as error:  # noqa: BLE001  (whatever a module raises: the step shall see it)
                self.refused = f"warm module '{entry}' fails: {type(error).__name__}: {error}"
                return
            if threads := _threads():
                self.refused = f"warm module '{entry}' starts a thread ({', '.join(threads)}); take it out of 'warm'"
                return

    def _accept(self, listener: socket.socket) -> None:
        line, _ = listener.accept()
        request = json.loads(line.makefile("rb").readline() or b"{}")
        threads = _threads()
        if threads and not self.refused:
            self.refused = f"the warm parent has threads ({', '.join(threads)})"
        if self.refused or not request:
            self._tell(line, {"refused": self.refused or "no request"})
            line.close()
            return
        pid = _fork()
        if pid == 0:
            self.selector.close()
            for open_socket in (line, *self.sockets.values(), *filter(None, self.children.values())):
                open_socket.close()
            os.close(self.pipe)
            _become_kernel(request)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # on both sides: whoever knows the pid can signal the group
        self._tell(line, {"pid": pid})
        self._watch(pid, line)

    def _watch(self, pid: int, line: socket.socket | None) -> None:
        self.children[pid] = line
        descriptor = os.pidfd_open(pid)
        self.selector.register(descriptor, selectors.EVENT_READ, lambda _: self._reap(pid, descriptor))
        if line is not None:
            self.selector.register(line, selectors.EVENT_READ, lambda _: self._abandoned(pid))

    def _reap(self, pid: int, descriptor: int) -> None:
        _, status = os.waitpid(pid, 0)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        line = self.children.pop(pid)
        if line is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what the kernel started and left behind
            with contextlib.suppress(KeyError):
                self.selector.unregister(line)
            self._tell(line, {"exit": os.waitstatus_to_exitcode(status)})
            line.close()

    def _abandoned(self, pid: int) -> None:
        """The owner of a kernel closed its line: the kernel has nobody left to work for."""
        line = self.children[pid]
        assert line is not None
        self.selector.unregister(line)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _end(self, _: object) -> NoReturn:
        for pid, line in self.children.items():
            if line is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        # The parents below see the pipe close, too, unless they still import: then they have no kernels.
        end = time.monotonic() + PATIENCE_SECONDS
        for pid in self.children:
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.002)
        shutil.rmtree(self.folder, ignore_errors=True)  # whoever should have done it may be dead
        os._exit(0)

    def _tell(self, line: socket.socket, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            line.sendall(json.dumps(message).encode() + b"\n")


def _threads() -> list[str]:
    """Return the names of the threads of this process, without its first and without those known to be parked."""
    own, names = str(os.getpid()), []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = (task / "comm").read_text().strip()
            if task.name != own and name not in PARKED:
                names.append(name)
    return names


def _fork() -> int:
    """Fork; the child dies with this process."""
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 counts the parked thread, too
        pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return pid


def _become_kernel(request: dict[str, Any]) -> NoReturn:
    """Turn this fork into a kernel of its own, with the environment, the folder and the log that were asked for."""
    try:
        os.setpgid(0, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.close(log)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        time.tzset()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()  # the global state would be the same in every fork
        gc.enable()
    except BaseException:  # noqa: BLE001  (nobody is left who could catch it)
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    _serve(request["connection_file"], f"--IPKernelApp.parent_handle={os.getppid()}")


def _serve(connection_file: str, *arguments: str) -> NoReturn:
    """Be an IPython kernel until told to end: what ``python -m ipykernel_launcher`` is, but for its end.

    A kernel is told to end when all its messages have arrived. ipykernel (7.4) then joins a thread that at times waits
    for another one just closed, and hangs until it is killed. The end of the process closes sockets as well.
    """
    status = 1
    try:
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", "-f", connection_file]
        app = IPKernelApp.instance()
        app.initialize([*sys.argv[1:], *KERNEL_ARGUMENTS, *arguments])
        app.start()
        app.reset_io()
        atexit.unregister(app.close)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (the last frame of the process)
        traceback.print_exc(file=sys.__stderr__)
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.__stdout__.flush()  # type: ignore[union-attr]
            sys.__stderr__.flush()  # type: ignore[union-attr]
        os._exit(status)


def _main(folder: str, groups: dict[str, list[str]]) -> None:
    gc.disable()  # imports only make what stays; kernels turn it on again
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _Parent(groups, folder, pipe).run(BASE)


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(f"{address}.sock")  # once it is there, somebody listens
    return listener


if __name__ == "__main__":
    if sys.argv[1] == "parents":
        _main(sys.argv[2], json.loads(sys.argv[3]))
    else:
        _serve(sys.argv[1])
