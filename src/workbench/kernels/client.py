"""The side of the run: it starts the base process, asks for forks and holds the kernels."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.kernels.conditions import BASE, KERNEL_ENVIRONMENT, PROGRAM, WARM_ENVIRONMENT, available

REPLY_SECONDS = 120.0


class NoFork(WorkbenchError):
    """A warm parent cannot fork; take an ordinary kernel instead."""


class ForkedKernel:
    """A kernel process that a warm parent forked; it answers like a ``Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, pid: int, last_words: Callable[[], str] = str) -> None:
        self._line, self.pid, self._last_words = line, pid, last_words
        self.returncode: int | None = None
        self.orphaned = ""  # what is known of a warm parent that died and took the kernel with it

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        if self.returncode is None:
            self._line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                reply = self._line.recv(4096)
                # A closed line means that the parent is gone, and the kernel with it.
                self.returncode = json.loads(reply)["exit"] if reply else -signal.SIGKILL
                if not reply:
                    self.orphaned = f"its warm parent died, and the kernel with it{self._last_words()}"
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
            words = f"the warm parent '{group or BASE}' does not answer: {error}{self.last_words()}"
            raise NoFork(words) from error
        reply: dict[str, Any] = (
            json.loads(answer)
            if answer
            else {"refused": f"the warm parent '{group or BASE}' has died{self.last_words()}"}
        )
        if "refused" in reply:
            line.close()
            raise NoFork(reply["refused"])
        return ForkedKernel(line, reply["pid"], self.last_words)

    def last_words(self) -> str:
        """Return the last line that the base or a parent wrote, in brackets, or how the base ended; else nothing."""
        log = self.folder / "warm.log" if self.folder is not None else None
        lines = log.read_text(errors="replace").strip().splitlines() if log is not None and log.is_file() else []
        if lines:
            return f" (warm.log: {lines[-1].strip()[:300]})"
        status = self._process.poll() if self._process is not None else None
        return "" if status is None else f" (the first of them ended with status {status}, without a word)"

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
