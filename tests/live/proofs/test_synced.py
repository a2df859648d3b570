"""What reaches the disk before what reaches the wire, seen by strace from outside the process."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.live.history import KEY
from workbench.tws import Simulator

ROOT = Path(__file__).parents[3]
CALLS = "pwrite64,write,writev,fsync,fdatasync,sendto,sendmsg"
WAL = re.compile(r"\b(?:pwrite64|write|writev)\(\d+<[^>]*workbench\.db-wal>")
SYNC = re.compile(r"\bf(?:data)?sync\(\d+<[^>]*workbench\.db-wal>(\)| <unfinished)")
SYNCED = re.compile(r"<\.\.\. f(?:data)?sync resumed>")
SENT = re.compile(r"\b(?:sendto|sendmsg|write|writev)\(\d+<(?:TCP|socket)")


def sent_unsynced(lines: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the keys of the orders whose bytes left, and of those the ones whose rows were not synced by then."""
    written: set[str] = set()
    synced: set[str] = set()
    syncing: dict[str, set[str]] = {}  # by process: what a sync that has not ended yet covers
    sent: dict[str, bool] = {}
    for line in lines:
        process = line.split(" ", 1)[0]
        if WAL.search(line):
            written |= set(KEY.findall(line))
        elif found := SYNC.search(line):
            if found[1] == ")":
                synced |= written
            else:
                syncing[process] = set(written)
        elif SYNCED.search(line):
            synced |= syncing.pop(process, set())
        elif SENT.search(line):
            for key in KEY.findall(line):
                sent.setdefault(key, key in synced)
    return set(sent), {key for key, safe in sent.items() if not safe}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("orders", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_a_journal_row_is_synced_before_the_bytes_of_its_order_leave(
    tmp_path: Path, orders: int, figures: Callable[..., None]
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace on the PATH, which sees a process's calls from outside (apt-get install strace)")
    trace = tmp_path / "trace"
    with Simulator(factor=0, symbols={"AAA": 100.0}) as sim:
        ran = subprocess.run(
            [strace, "-f", "-y", "-s", "65535", "-e", f"trace={CALLS}", "-o", str(trace), sys.executable, "-m",
             "tests.live.proofs.sends", str(tmp_path), str(sim.port), str(orders)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip
        if "Operation not permitted" in ran.stderr:
            pytest.skip(f"strace may not trace here: {ran.stderr.strip().splitlines()[0]}")
        arrived = sum(one["kind"] == "placeOrder" for one in sim.log())
    assert ran.returncode == 0, ran.stderr
    keys = {way: set(found) for way, found in json.loads(ran.stdout).items()}
    with trace.open(errors="replace") as lines:
        sent, unsafe = sent_unsynced(lines)
    assert sent == keys["right"] | keys["hasty"] | keys["unsynced"]
    assert arrived == len(sent) == orders + 6
    assert unsafe == keys["hasty"] | keys["unsynced"]  # the wrong ways are found, and the right one has none
    figures(orders=orders, synced_before_sent=len(keys["right"] - unsafe), wrong_ways_found=len(unsafe))
