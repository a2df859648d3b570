"""The other side: what runs in the base process and in the warm parents. They import, fork, and do nothing else."""

from __future__ import annotations

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
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from workbench.kernels.conditions import BASE, KERNEL_MODULES, NEEDLESS, PARKED, lineage, without
from workbench.kernels.kernel import become_kernel

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
PATIENCE_SECONDS = 0.5


def warm_up(folder: str, groups: Mapping[str, Sequence[str]]) -> None:
    """Be the base process until the pipe on standard input closes."""
    gc.disable()  # imports only make what stays; kernels turn it on again
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _Parent(groups, folder, pipe).run(BASE)


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
            become_kernel(request)
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


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(f"{address}.sock")  # once it is there, somebody listens
    return listener
