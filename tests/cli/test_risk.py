"""Stop, resume, confirm and limits as a person types them, on the embedded account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from workbench.live.connect import EMBEDDED_ACCOUNT, embedded_file
from workbench.live.journal.journal import Journal
from workbench.live.paper import PaperBroker, Print, PushedMarket, SteppedClock
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.trading import Order, OrderType, Side


@pytest.fixture
def account(desk):
    """An embedded account that holds 100 AAA, is 40 BBB short, and has an order at work."""
    clock = SteppedClock(datetime(2024, 7, 2, 15, tzinfo=UTC))
    market = PushedMarket(clock, {"AAA": 100.0, "BBB": 50.0})
    broker = PaperBroker(embedded_file(Settings(), Paths(desk.root)), market, account=EMBEDDED_ACCOUNT, client_id=17)
    broker.connect()
    broker.place(Order("r1", "AAA", Side.BUY, 100), 1)
    broker.place(Order("r2", "BBB", Side.SELL, 40), 2)
    clock.set(clock() + timedelta(seconds=1))
    market.push(Print.of("AAA", clock(), 100.0), Print.of("BBB", clock(), 50.0))
    assert {one.symbol: one.quantity for one in broker.positions()} == {"AAA": 100, "BBB": -40}
    broker.place(Order("r3", "AAA", Side.BUY, 5, OrderType.LIMIT, limit=90.0), 3)
    yield broker
    broker.close()


def book(desk):
    journal = Journal.open(Settings(), Paths(desk.root), EMBEDDED_ACCOUNT)
    journal.close()
    return journal.book


def test_kill_closes_everything_and_resume_needs_a_reason(desk, account):
    done = desk.type("kill", "--reason", "drill", "--by", "ada")
    assert done.returncode == 0, done.stderr
    assert "halted; flat: no position and no open order at the broker, 2 closing orders" in done.stdout
    assert (account.positions(), account.open_orders()) == ((), ())
    assert (book(desk).state, book(desk).because) == (TradingState.HALTED, "drill")
    refused = desk.type("resume", "--reason", "ok", "--by", "bob")
    assert refused.returncode == 2
    assert "resume: the reason has 2 letters, it needs 10" in refused.stderr
    assert book(desk).state is TradingState.HALTED
    resumed = desk.type("resume", "--reason", "the drill is over, all is flat", "--by", "bob")
    assert resumed.returncode == 0, resumed.stderr
    assert "account PAPER: was halted (drill); trading is active" in resumed.stdout
    assert book(desk).state is TradingState.ACTIVE
    again = desk.type("resume", "--reason", "the drill is over, all is flat")
    assert again.returncode == 2
    assert "account PAPER is active" in again.stderr


def test_keeping_positions_halts_and_cancels_and_flatten_closes_them(desk, account):
    done = desk.type("kill", "--reason", "drill", "--by", "ada", "--keep-positions")
    assert done.returncode == 0, done.stderr
    assert {one.symbol for one in account.positions()} == {"AAA", "BBB"}
    assert account.open_orders() == ()
    closed = desk.type("flatten")
    assert closed.returncode == 0, closed.stderr
    assert account.positions() == ()


def test_kill_works_beside_a_runner_that_hangs_with_the_database(desk, account):
    """The runner is a process that was stopped in the middle of a write, as by a debugger or a dying disk."""
    Journal.open(Settings(), Paths(desk.root), EMBEDDED_ACCOUNT).close()
    database = Paths(desk.root).state / "workbench.db"
    code = (
        "import sqlite3, time; c = sqlite3.connect(r'%s', isolation_level=None); c.execute('BEGIN IMMEDIATE'); "
        "print('held', flush=True); time.sleep(300)"
    )
    hung = subprocess.Popen([sys.executable, "-c", code % database], stdout=subprocess.PIPE, text=True)
    try:
        assert hung.stdout is not None
        assert hung.stdout.readline() == "held\n"
        os.kill(hung.pid, signal.SIGSTOP)
        started = time.monotonic()
        done = desk.type("kill", "--reason", "drill", "--by", "ada")
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - started < 60
        assert account.positions() == ()
    finally:
        hung.kill()
        hung.communicate()
    resumed = desk.type("resume", "--reason", "the runner hung, restarted", "--by", "bob")
    assert resumed.returncode == 0, resumed.stderr
    assert not (Paths(desk.root).state / "PAPER.emergency.jsonl").exists()


def test_without_an_account_there_is_nothing_to_stop(desk):
    assert desk.refusal("kill", "--reason", "drill", code=1) == (
        "data/state/paper.db: no embedded account yet; there is nothing to stop: make paper opens one"
    )


def test_a_gateway_that_is_away_halts_every_account_all_the_same(desk):
    words = ["--set", "live.mode=paper", "--set", "live.port=1", "--set", "live.connect_seconds=1"]
    done = desk.type("kill", "--reason", "drill", "--by", "ada", *words)
    assert done.returncode == 5
    assert done.stderr.startswith("error: every account is halted, but the broker cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1
    assert '"reason": "drill"' in (Paths(desk.root).state / "every.halted.json").read_text()


def test_an_order_that_does_not_wait_is_not_confirmed(desk):
    done = desk.type("confirm", "240702-1-abcd-1", "--by", "bob")
    assert done.returncode == 1
    assert done.stderr.startswith("error: confirm: no order '240702-1-abcd-1' waits, or it has waited for more than 30")


def test_limits_shows_the_profile_in_force(desk):
    done = desk.type("limits")
    assert done.returncode == 0, done.stderr
    assert "profile sample · embedded account" in done.stdout
    assert "max_positions" in done.stdout
    strict = desk.type("limits", "--set", "live.mode=paper", "--set", "live.account=DU1")
    assert "profile default · paper account" in strict.stdout
    file = desk.root / "params" / "risk" / "default.yaml"
    file.write_text(file.read_text().replace("max_positions: 5", "max_positions: 50"))
    loose = desk.type("limits", "--set", "live.mode=paper", "--set", "live.account=DU1")
    assert "loosens max_positions 5 → 50" in loose.stdout
