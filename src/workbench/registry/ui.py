"""Start the MLflow UI lean and offline, opened on the comparison of the newest walk-forwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from workbench.errors import CannotWrite, InputRefused, NoData, WorkbenchError
from workbench.interrupt import terminated_as_interrupted
from workbench.params import Paths, Settings
from workbench.registry import view
from workbench.registry.connection import QUIET
from workbench.registry.runs import Tracking

HOST = "127.0.0.1"
PORTS = 20  # how many above the wanted one are tried
PORT_LAST = 65535
# Browsers open nothing on these (https://fetch.spec.whatwg.org/#port-blocking).
BLOCKED = {5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
START_SECONDS = 180.0
STOP_SECONDS = 5.0
# The job runner alone takes 35 s and 3 GB at the start; nothing here needs it.
LEAN = {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def serve(
    paths: Paths,
    settings: Settings,
    port: int = 5000,
    open_browser: bool = True,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve the runs until Ctrl-C; where ``tracking.uri`` names a server, only open the comparison there."""
    say = say or (lambda text: Console(soft_wrap=True).print(text, markup=False, highlight=False))
    if not 1 <= port <= PORT_LAST:
        raise InputRefused(f"port {port} is not between 1 and {PORT_LAST}; name another: make ui PORT=5000")
    tracking = Tracking(settings, paths)
    if tracking.uri.startswith("http"):
        _show(f"{tracking.uri}/{view.link(_prepare(tracking))}", open_browser, say)
        return
    if tracking.database is not None and not tracking.database.is_file():
        raise NoData(f"{tracking.shown}: no runs yet; make them: make backtest")
    chosen = free_port(port)
    if chosen != port:
        say(f"port {port} is taken, using {chosen}")
    log = paths.mlruns / "ui.log"
    with terminated_as_interrupted(), _server(tracking, chosen, log) as server:
        experiment = _prepare(tracking)  # while the server starts
        _wait_until_it_answers(server, chosen, log, paths)
        _show(f"http://{HOST}:{chosen}/{view.link(experiment)}", open_browser, say)
        say("Ctrl-C stops it.")
        with contextlib.suppress(KeyboardInterrupt):
            code = server.wait()
            raise WorkbenchError(f"the MLflow UI ended by itself (exit {code}){_last_line(log, paths)}")
    say("stopped")


def free_port(wanted: int) -> int:
    """Return the wanted port, or the next one above that is free."""
    last = min(wanted + PORTS - 1, PORT_LAST)
    for port in sorted(set(range(wanted, last + 1)) - BLOCKED):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    closed = ", or not yours (below 1024)" if wanted < 1024 else ""
    raise WorkbenchError(f"ports {wanted} to {last} are all taken{closed}; name another: make ui PORT=8000")


def _prepare(tracking: Tracking) -> str:
    """Return the experiment's id after writing its comparison view; raise where there is nothing to compare."""
    experiment, metrics = tracking.experiment_id(), tracking.metric_names()
    if not metrics:
        raise NoData(f"{tracking.shown}: no finished run yet; make them: make backtest")
    tracking.set_experiment_tag(experiment, view.TAG, view.view(metrics))
    return experiment


@contextlib.contextmanager
def _server(tracking: Tracking, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server as a group of its own and end the whole group."""
    words = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    words += ["--artifacts-destination", (tracking.paths.mlruns / "artifacts").as_uri()]
    # By environment, not by argument: a password in a URI must not show in the list of processes.
    environment = {**LEAN, **os.environ, "MLFLOW_BACKEND_STORE_URI": tracking.uri, "MLFLOW_TRACKING_URI": tracking.uri}
    try:
        sink = log.open("wb")
    except OSError as error:
        raise CannotWrite(
            f"{log.name}: {error.strerror}, so the server has nowhere to write its log; chmod -R u+w {log.parent.name}"
        ) from error
    with sink:
        server = subprocess.Popen(  # noqa: S603 (a list of our own words)
            words,
            cwd=tracking.paths.mlruns,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, kind)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP_SECONDS)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path, paths: Paths) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise WorkbenchError(f"the MLflow UI did not start (exit {server.returncode}){_last_line(log, paths)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
            return
        time.sleep(0.2)
    raise WorkbenchError(f"the MLflow UI gave no answer in {START_SECONDS:.0f} s{_last_line(log, paths)}")


def _last_line(log: Path, paths: Paths) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return f": {lines[-1].strip()[:300]} ({paths.short(log)})" if lines else ""


def _show(address: str, open_browser: bool, say: Callable[[str], None]) -> None:
    say(f"MLflow: {address}")
    display = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if open_browser and display:
        webbrowser.open(address)
