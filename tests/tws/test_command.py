"""``workbench tws-sim`` as a user types it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from tests.tws.wire import Wire


def command(*words):
    return [sys.executable, "-m", "workbench.cli", "tws-sim", *words]


def test_the_command_serves_and_ends_in_order_with_its_state_kept(tmp_path):
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {do: drop, message: currentTime, times: 1}\n")
    words = command("--port", "0", "--state", str(tmp_path / "broker.db"), "--faults", str(faults), "--speed", "0")
    for orders in (0, 1):
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
            line = program.stdout.readline()
            port = int(re.search(r"gateway on port (\d+), control on port \d+, account DU1234567", line)[1])
            with Wire(port) as wire:
                wire.send(49, 1)
                assert wire.quiet() == []
                wire.send(49, 1)
                wire.until("49")
                wire.send(5, 1)
                wire.until("53")
                assert len([fields for fields in wire.got if fields[0] == "5"]) == orders
                wire.place(orders + 1, kind="LMT", limit=150.0)
                wire.until("3")
            program.send_signal(signal.SIGTERM)
            assert program.wait(10) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--server-version", "200"], "server_version 200: known are 157 and 159 to 178; take 178"),
        (["--port", "70000"], "port 70000: a port lies between 0 (any free one) and 65535"),
        (["--market", "none.csv"], "none.csv: no such market file; give a CSV or Parquet file of bars"),
        (["--faults", "none.yaml"], "none.yaml: not readable as a faults file"),
        (["--account", "U1"], "account 'U1': a simulated account is a paper account and starts with DU"),
        (["--start", "soon"], "start 'soon': give 'now' or a time like 2026-01-05T15:00:00+00:00"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words, said):
    ran = subprocess.run(command(*words), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert said in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_a_port_in_use_is_refused_in_one_line(sim, tmp_path):
    words = command("--port", str(sim.port), "--state", str(tmp_path / "broker.db"))
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert ran.stderr == f"error: port {sim.port}: Address already in use; give another one, or 0 for any\n"
