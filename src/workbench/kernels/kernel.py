"""What a process does once it is a kernel, forked or started for itself."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

from workbench.kernels.conditions import KERNEL_ARGUMENTS


def become_kernel(request: dict[str, Any]) -> NoReturn:
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
    serve(request["connection_file"], f"--IPKernelApp.parent_handle={os.getppid()}")


def serve(connection_file: str, *arguments: str) -> NoReturn:
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
