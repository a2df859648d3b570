"""The clients that the suite runs, each in a process of its own; one that is not installed is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbench.tws import Simulator

ROOT = Path(__file__).parents[3]
CLIENTS = Path(os.environ.get("WORKBENCH_TWS_CLIENTS", ROOT / ".tws-clients"))
DRIVERS = Path(__file__).parent / "drivers"


@dataclass(frozen=True)
class Choice:
    """A client at a server version; ``folder`` lies below the clients' folder."""

    client: str
    version: int
    folder: str
    module: str

    def __str__(self) -> str:
        return f"{self.client}-{self.version}"

    def command(self) -> list[str] | None:
        """Return how to run it, or None where it is not installed."""
        folder = CLIENTS / self.folder
        if self.client == "stoqey":
            return ["node", str(DRIVERS / "driver.js")] if (folder / self.module).is_dir() else None
        if (folder / self.module).is_dir():
            return [sys.executable, str(DRIVERS / "driver.py"), self.client]
        if self.client == "ib_async":  # an ordinary dependency of the live part
            import importlib.util

            if importlib.util.find_spec("ib_async"):
                return [sys.executable, str(DRIVERS / "driver.py"), self.client]
        return None


NEWEST = 178
CHOICES = [
    Choice("ib_async", 157, "ib_async", "ib_async"),
    Choice("ib_async", 176, "ib_async", "ib_async"),
    Choice("ib_async", NEWEST, "ib_async", "ib_async"),
    Choice("ibapi", 157, "ibapi", "ibapi"),
    Choice("nautilus", 178, "nautilus", "ibapi"),
    Choice("stoqey", 178, "stoqey", "node_modules/@stoqey/ib"),
]


class Client:
    """One running client; ``collect`` returns what it decoded, and fails where it could not decode something."""

    def __init__(self, command: list[str], folder: Path) -> None:
        paths = {"PYTHONPATH": str(folder), "NODE_PATH": str(folder / "node_modules")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | paths
        )

    def ask(self, do: str, **words: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{do}: the client's process ended"
        return json.loads(line)

    def collect(self, until: str = "", seconds: float | None = None) -> list[dict[str, Any]]:
        """Return the events up to one of this name; without a name, those of half a second."""
        found = self.ask("collect", until=until, seconds=seconds or (8.0 if until else 0.5))
        broken = [event for event in found if event["event"] == "broken"]
        assert not broken, broken
        if until:
            assert found, f"nothing came, {until} was expected"
            assert until in (found[-1]["event"], found[-1].get("name")), [event["event"] for event in found]
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()


# The ordinary dependency at its newest version is the sample of a default run; `make test-all` takes all.
@pytest.fixture(
    params=[
        pytest.param(choice, marks=() if choice.folder != "ib_async" or choice.version == NEWEST else pytest.mark.slow)
        for choice in CHOICES
        if choice.command()
    ],
    ids=str,
)
def choice(request) -> Choice:
    """A client that is installed; ``test_the_client_connects_at_its_version`` skips the others, and says so."""
    return request.param


@pytest.fixture
def sim(choice):
    with Simulator(seed=7, factor=0, server_version=choice.version) as sim:
        yield sim


def started(choice: Choice) -> Client:
    """Return a new process of a client, or skip the test."""
    command = choice.command()
    if command is None:
        pytest.skip(f"{choice.client} is not installed in {CLIENTS.name}/{choice.folder}: make tws-clients")
    return Client(command, CLIENTS / choice.folder)


@pytest.fixture
def client(choice, sim):
    client = started(choice)
    assert client.ask("connect", port=sim.port, client_id=3) == choice.version
    client.collect("nextValidId")
    client.collect(seconds=0.2)
    yield client
    client.close()
