"""What `make status` shows of an account: as it stands, as it was before a stop, and again and again."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from workbench.live.connect import EMBEDDED_ACCOUNT
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.lifecycle.transition import Transition

STOPPED = {
    "emergency": "stopped", "reason": "drill", "who": "ada", "flat": True,
    "text": "flat: no position and no open order at the broker, 2 closing orders",
}  # fmt: skip


@pytest.fixture
def journal(desk):
    """The journal of an embedded account, as its runner writes it."""
    lease = Lease.acquire(Settings(), Paths(desk.root), EMBEDDED_ACCOUNT)
    made = Journal.open(Settings(), Paths(desk.root), EMBEDDED_ACCOUNT, lease=lease)
    made.begin()
    yield made
    made.close()
    lease.release()


def test_after_an_emergency_stop_the_books_are_said_to_be_of_before_it_until_they_are_reconciled(desk, journal):
    assert "emergency stop" not in desk.type("status").stdout
    journal.append(Draft(Kind.OPERATOR, STOPPED))
    shown = desk.type("status").stdout
    assert "0 positions before the stop · 0 open orders before the stop" in shown
    assert re.search(r"! emergency stop of \S+ \S+Z, as the broker confirmed it: flat: no position", shown)
    assert "! the books below are of before it, until: workbench reconcile" in shown
    journal.append(Draft(Kind.RECONCILE, {"differences": [], "locked": {}}))
    assert "before the stop" not in desk.type("status").stdout


def test_the_account_is_shown_also_where_what_was_promoted_cannot_be_read(desk, journal):
    record = Lifecycle.open(Settings(), Paths(desk.root))
    step = Transition("strategy", "trend", 1, "register", "", "backtest", "0" * 64, "ada", datetime.now(UTC))
    record.append(step, after=record.state("strategy", "trend"))
    with closing(sqlite3.connect(desk.root / "data" / "state" / "workbench.db", isolation_level=None)) as store:
        store.execute("DROP TRIGGER transitions_update")
        store.execute("UPDATE transitions SET who = 'bob'")
    shown = desk.type("status")
    assert shown.returncode == 1
    assert f"Account {EMBEDDED_ACCOUNT}" in shown.stdout
    (line,) = shown.stderr.splitlines()
    assert line.startswith("error: ")
    assert "transition 1" in line


def test_a_stop_that_the_journal_did_not_take_is_shown_as_well(desk, journal):
    halt = HaltFile(Paths(desk.root), EMBEDDED_ACCOUNT)
    halt.write("drill", "ada", datetime.now(UTC))
    halt.note({**STOPPED, "at": "2026-01-05T15:00:00+00:00"})
    shown = desk.type("status").stdout
    assert "HALTED (drill, by ada)" in shown
    assert "! emergency stop of 2026-01-05 15:00:00Z, as the broker confirmed it: flat" in shown


def test_cash_that_differs_and_symbols_that_are_locked_are_shown_with_what_to_type(desk, journal):
    journal.append(Draft(Kind.RECONCILE, {"differences": [], "locked": {"": "cash: 1 here, 2 there", "AAA": "odd"}}))
    shown = desk.type("status").stdout
    assert "! CASH is locked: cash: 1 here, 2 there; only what shrinks a position is sent until: " in shown
    assert "workbench reconcile CASH" in shown
    assert "! AAA is locked: odd; nothing of it is sent until: workbench reconcile AAA" in shown


def test_watching_shows_what_changed_and_ends_with_ctrl_c(desk, journal):
    """On a terminal of its own: the state is halted while somebody looks."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    environment = {**clean, "WORKBENCH_ROOT": str(desk.root), "COLUMNS": "200", "LINES": "60", "TERM": "xterm"}
    command = [sys.executable, "-m", "workbench.cli", "status", "--watch", "--every", "0.5"]
    process = subprocess.Popen(command, cwd=desk.root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        assert "Account PAPER · embedded · active" in seen(ours, "· active", 60)
        journal.set_state(TradingState.HALTED, "somebody looks into it")
        assert "PAPER · embedded · HALTED (somebody" in seen(ours, "looks into it)", 60)
        process.send_signal(signal.SIGINT)
        seen(ours, "\x1b[?1049l", 20)  # the screen of before comes back
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)


def seen(terminal: int, word: str, seconds: float) -> str:
    """Return what a terminal shows until a word is in it."""
    text, until = "", time.monotonic() + seconds
    while word not in text:
        assert time.monotonic() < until, text
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65_536).decode(errors="replace")
    return text


def test_looking_all_the_time_is_refused(desk):
    assert desk.refusal("status", "--watch", "--every", "0.05") == "--every 0.05: look every 0.2 seconds at most"
