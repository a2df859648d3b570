"""What the simulated gateway can carry, and how long it takes to acknowledge one order.

    python bench/tws.py --orders 5000

The client is a bare socket, so that the figures are the simulator's own; the simulator runs in a process of its own and
keeps its broker in a file. The memory is that process's.
"""

from __future__ import annotations

import argparse
import socket
import struct
import tempfile
import time
from pathlib import Path

from figure import report

from workbench.tws import Simulator


class Client:
    """Sends orders of 114 fields and counts what comes back."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(b"API\0" + struct.pack(">I", 9) + b"v157..178")
        self.read()
        self.send("71", "2", "1", "")
        while self.read()[3:4] != [b"2158"]:
            pass

    def send(self, *fields: str) -> None:
        body = "".join(f"{field}\0" for field in fields).encode()
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def read(self) -> list[bytes]:
        (size,) = struct.unpack(">I", self.stream.read(4))
        return self.stream.read(size).split(b"\0")[:-1]

    def until(self, kind: bytes) -> None:
        while self.read()[0] != kind:
            pass

    def place(self, number: int, kind: str, limit: str) -> None:
        contract = ["0", "AAPL", "STK", "", "0", "", "", "SMART", "", "USD", "", ""]
        head = ["3", str(number), *contract, "", "", "BUY", "100", kind, limit, "", "DAY", "", "", "", "0", "", "1"]
        # unset from parentId on, but for the numbers that must be there
        self.send(*head, *[""] * (114 - len(head)))


def memory(pid: int) -> float:
    """Return the largest memory a process had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--orders", type=int, default=1_000)
    asked = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(state=Path(folder) / "broker.db", process=True, cash=1e12, lot=100_000) as sim,
    ):
        client, size = Client(sim.port), {"orders": asked.orders}
        start = time.perf_counter()
        for number in range(1, asked.orders + 1):
            client.place(number, "MKT", "")
        for _ in range(asked.orders):
            client.until(b"59")
        rate = asked.orders / (time.perf_counter() - start)
        waits = []
        for number in range(asked.orders + 1, 2 * asked.orders + 1):
            start = time.perf_counter()
            client.place(number, "LMT", "100")
            client.until(b"3")
            waits.append(time.perf_counter() - start)
        waits.sort()
        assert sim.child is not None
        held = memory(sim.child.pid)
        report("tws_filled_orders_per_second", rate, None, None, size, "1/s", peak_rss_mb=held, target="at least 200")
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            report(f"tws_acknowledge_{name}", waits[int(share * len(waits))], None, None, size, peak_rss_mb=held)


if __name__ == "__main__":
    main()
