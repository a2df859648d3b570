"""The simulator from Python: started in a thread or in a process of its own, and steered through its control socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.tws.refused import SimulatorRefused
from workbench.tws.server import serve
from workbench.tws.settings import Settings

START_SECONDS = 20.0
ANSWER_SECONDS = 60.0


class Simulator:
    """A gateway for tests.

    >>> with Simulator(seed=7, factor=0) as sim:
    ...     sim.positions()
    {}
    """

    def __init__(self, state: Path | str = "", process: bool = False, **settings: Any) -> None:
        self.settings = Settings(state=str(state), **settings)
        self.process = process
        self.port = self.settings.port
        self.control_port = 0
        self.child: subprocess.Popen[str] | None = None
        self.thread: threading.Thread | None = None
        self.control: socket.socket | None = None
        self.lines: Any = None
        self.asking = threading.Lock()

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, on the port it had before where it ran already."""
        settings = replace(self.settings, port=self.port)
        if self.process:
            self.start_process(settings)
        else:
            self.start_thread(settings)
        self.control = socket.create_connection((settings.host, self.control_port), ANSWER_SECONDS)
        self.lines = self.control.makefile("r", encoding="utf-8")

    def start_thread(self, settings: Settings) -> None:
        """Run it beside the caller, in this process."""
        told = threading.Event()
        failed: list[BaseException] = []

        def ready(port: int, control: int) -> None:
            self.port, self.control_port = port, control
            told.set()

        def run() -> None:
            try:
                serve(settings, ready)
            except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
                failed.append(error)
                told.set()

        self.thread = threading.Thread(target=run, name="tws-simulator", daemon=True)
        self.thread.start()
        if not told.wait(START_SECONDS):
            raise SimulatorRefused(f"the simulator did not start within {START_SECONDS:g} seconds")
        if failed:
            raise failed[0]

    def start_process(self, settings: Settings) -> None:
        """Run it in a process of its own, which can be killed."""
        command = [sys.executable, "-m", "workbench.tws", settings.to_json()]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (this very program)
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            self.child.wait(ANSWER_SECONDS)
            raise SimulatorRefused(f"the simulator ended with {self.child.returncode} before it listened")
        told = json.loads(line)
        self.port, self.control_port = told["port"], told["control"]

    def stop(self) -> None:
        """End it in order; what it knows stays in the state file."""
        with suppress(OSError, SimulatorRefused):
            self.ask("stop")
        self.hang_up()
        if self.thread is not None:
            self.thread.join(START_SECONDS)
            self.thread = None
        if self.child is not None:
            self.reap()

    def kill(self) -> None:
        """End the process as ``kill -9`` does."""
        if self.child is None:
            raise SimulatorRefused("kill: only a simulator with process=True can be killed")
        self.child.kill()
        self.hang_up()
        self.reap()

    def reap(self) -> None:
        """Wait for the process and close its pipe."""
        assert self.child is not None
        try:
            self.child.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(START_SECONDS)
        if self.child.stdout is not None:
            self.child.stdout.close()
        self.child = None

    def hang_up(self) -> None:
        """Close the control connection."""
        if self.lines is not None:
            self.lines.close()
        if self.control is not None:
            self.control.close()
        self.control = self.lines = None

    def ask(self, command: str, **words: Any) -> Any:
        """Send one command and return its result."""
        if self.control is None:
            raise SimulatorRefused(f"{command}: the simulator is not running; start it first")
        with self.asking:
            self.control.sendall(json.dumps({"do": command, **words}).encode() + b"\n")
            line = self.lines.readline()
        if not line:
            raise SimulatorRefused(f"{command}: the simulator went away")
        answer = json.loads(line)
        if "error" in answer:
            raise SimulatorRefused(answer["error"])
        return answer["ok"]

    def fault(self, do: str, **words: Any) -> Any:
        """Add a fault, such as ``fault("drop", message="placeOrder", times=1)``; a rule returns its number."""
        return self.ask("fault", fault=do, **words)

    def clear(self, number: int | None = None) -> None:
        """Take away one fault rule or all."""
        self.ask("clear", number=number)

    def rules(self) -> list[dict[str, Any]]:
        """Return the fault rules with how often each fired."""
        return list(self.ask("rules"))

    def advance(self, seconds: float) -> float:
        """Let simulated time jump and return it, with everything that happened in between told to the clients."""
        return float(self.ask("advance", seconds=seconds))

    def speed(self, factor: float) -> None:
        """Let simulated time run so many times as fast as the real one; 0 stands still."""
        self.ask("speed", factor=factor)

    def now(self) -> float:
        """Return the simulated time in seconds since 1970."""
        return float(self.ask("now"))

    def orders(self) -> list[dict[str, Any]]:
        """Return every order the broker ever took, as it stands."""
        return list(self.ask("orders"))

    def executions(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Return every execution since a moment, in seconds since 1970, corrections included."""
        return list(self.ask("executions", since=since))

    def positions(self) -> Mapping[str, int]:
        """Return the shares held, by symbol."""
        return dict(self.ask("positions"))

    def account(self) -> Mapping[str, Any]:
        """Return the account's name, cash and values."""
        return dict(self.ask("account"))

    def quote(self, symbol: str) -> Mapping[str, float]:
        """Return bid, ask, last and sizes of a symbol now."""
        return dict(self.ask("quote", symbol=symbol))

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Return every order message that arrived: ``monotonic`` is ``time.monotonic()`` of this machine."""
        return list(self.ask("log", after=after))

    def sessions(self) -> list[dict[str, Any]]:
        """Return who is connected."""
        return list(self.ask("sessions"))
