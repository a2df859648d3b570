"""The drill over the real client and a real socket: what it shows, what it refuses, and that it leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Desk
from tests.live.ib.conftest import QUICK, until
from workbench.alerts.outbox import Outbox
from workbench.errors import BrokerError
from workbench.live.drill import Drill, Step, Steps, require_paper_account
from workbench.live.ib import IBBroker
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Limits
from workbench.params import LiveParams, Paths, Settings
from workbench.tws import Simulator

STEPS = [
    "connect", "put in order", "price", "gate and order", "at work", "cut", "reconnect", "found again", "cancel",
    "cancelled", "nothing left",
]  # fmt: skip
ACCOUNT = "DU1234567"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A checkout of its own: parameters are all that a drill reads."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    return Desk(tmp_path)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """SPY at 510 on a Monday at ten in New York, in real seconds."""
    with Simulator(factor=1, symbols={"SPY": 510.0, "AAA": 100.0}) as made:
        yield made


def words(sim: Simulator, *more: str) -> list[str]:
    return ["paper-drill", "--set", f"live.port={sim.port}",
            *(f"--set=live.{name}={value}" for name, value in QUICK.items()), *more]  # fmt: skip


def rows(out: str) -> list[tuple[str, str]]:
    """Return the mark and the name of every step that was shown."""
    lines = [line for line in out.splitlines() if line[2:3] in "✓✗" and line.startswith("  ")]
    return [(line[2], line[14:28].strip()) for line in lines]


def left(sim: Simulator) -> list[str]:
    return [order["status"] for order in sim.orders() if order["status"] not in ("Cancelled", "Filled", "Inactive")]


def test_a_drill_passes_its_steps_and_leaves_nothing(desk: Desk, sim: Simulator) -> None:
    done = desk.type(*words(sim))
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(done.stdout) == [("✓", name) for name in STEPS]
    assert "the drill passed: 11 steps; nothing is left at the broker" in done.stdout
    (order,) = sim.orders()
    assert (order["action"], order["quantity"], order["status"]) == ("BUY", 1, "Cancelled")
    assert 456.0 < order["limit"] < 462.0  # a tenth below 510
    assert sim.positions() == {}
    journal = Journal.open(Settings(), Paths(desk.root), ACCOUNT)
    kinds = [event.kind for event in journal.events()]
    journal.close()
    assert kinds.index(Kind.INTENT) < kinds.index(Kind.CANCEL)
    assert [session for session in sim.sessions() if session["client_id"] == 17] == []


def test_a_cancel_that_is_lost_fails_its_step_and_is_asked_for_again_until_nothing_is_left(desk, sim):
    sim.fault("drop", message="cancelOrder", times=1)
    done = desk.type(*words(sim), "--patience", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert rows(done.stdout) == [*(("✓", name) for name in STEPS[:9]), ("✗", "cancelled"), ("✓", "nothing left")]
    assert done.stderr.startswith("error: the drill failed: the broker does not say that order ")
    assert len(done.stderr.splitlines()) == 1
    assert left(sim) == []


def test_an_order_that_somebody_cancelled_while_the_connection_was_cut_fails_the_drill(tmp_path, sim):
    params = LiveParams(mode="paper", port=sim.port, **QUICK)
    broker, steps = IBBroker(params), Steps()
    steps.tell = lambda step: cancel_by_hand(params) if step.name == "cut" else None
    steps.take("connect", lambda: require_paper_account(broker))
    lease = Lease.acquire(Settings(), Paths(tmp_path), ACCOUNT, "drill")
    journal = Journal.open(Settings(), Paths(tmp_path), ACCOUNT, lease=lease)
    journal.begin()
    outbox = Outbox.open(Settings(), Paths(tmp_path))
    with pytest.raises(BrokerError, match="is not at the broker any more"):
        Drill(broker, journal, outbox, Limits(), steps).run()
    assert [(step.ok, step.name) for step in steps.done][-2:] == [(False, "found again"), (True, "nothing left")]
    assert left(sim) == []
    journal.close()
    lease.release()
    broker.close()


def test_an_order_that_filled_all_the_same_is_said_with_what_is_held_now(tmp_path, sim):
    def fill_it(step: Step) -> None:
        if step.name == "at work":
            (order,) = sim.orders()
            sim.fault("fill", client=17, order_id=order["order_id"], shares=1, price=order["limit"])

    broker, steps = IBBroker(LiveParams(mode="paper", port=sim.port, **QUICK)), Steps(fill_it)
    steps.take("connect", lambda: require_paper_account(broker))
    lease = Lease.acquire(Settings(), Paths(tmp_path), ACCOUNT, "drill")
    journal = Journal.open(Settings(), Paths(tmp_path), ACCOUNT, lease=lease)
    journal.begin()
    with pytest.raises(BrokerError, match=r"\+1 SPY was filled: sell it at the broker, then: workbench reconcile"):
        Drill(broker, journal, Outbox.open(Settings(), Paths(tmp_path)), Limits(), steps).run()
    assert (steps.done[-1].ok, steps.done[-1].name) == (False, "nothing left")
    assert journal.book.positions == {"SPY": 1}
    journal.close()
    lease.release()
    broker.close()


def cancel_by_hand(params: LiveParams) -> None:
    other = IBBroker(params, params.kill_client_id)
    other.connect()
    other.cancel_all()
    until(lambda: other.open_orders() == ())
    other.close()


@pytest.mark.slow
def test_an_order_too_far_from_the_market_for_the_gateway_is_tried_nearer(desk, sim):
    sim.fault("error", message="placeOrder", code=163, text="violates the percentage constraint", times=1, skip=1)
    done = desk.type(*words(sim))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5.0% below" in done.stdout


@pytest.mark.parametrize("when", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_drill_that_is_stopped_in_the_middle_cancels_what_it_placed(desk, sim, when):
    sim.fault("drop", message="cancelOrder", times=1)  # so that there is a middle
    environment = {**os.environ, "WORKBENCH_ROOT": str(desk.root)}
    patient = [f"--set=live.{name}_seconds=5" for name in ("answer", "order", "heartbeat_answer")]
    process = subprocess.Popen([sys.executable, "-m", "workbench.cli", *words(sim, *patient)], cwd=desk.root,
                               env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        until(sim.orders, 60)
        time.sleep(0.2)
        process.send_signal(when)
        time.sleep(0.3)
        process.send_signal(when)  # impatience does not help it to leave an order
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, out + errors
    assert ("✗", STEPS[len(rows(out)) - 2]) in rows(out)
    assert rows(out)[-1] == ("✓", "nothing left")
    assert left(sim) == []
    assert sim.positions() == {}


def test_an_order_that_a_killed_drill_left_is_cancelled_by_the_next_one(desk, sim):
    sim.fault("drop", message="cancelOrder", times=1)
    process = subprocess.Popen([sys.executable, "-m", "workbench.cli", *words(sim)], cwd=desk.root,
                               env={**os.environ, "WORKBENCH_ROOT": str(desk.root)}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: [order for order in sim.orders() if order["status"] == "Submitted"], 60)
    process.kill()
    process.wait(30)
    assert left(sim) == ["Submitted"]
    sim.clear()
    done = desk.type(*words(sim))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 orders of an earlier drill cancelled" in done.stdout
    assert left(sim) == []


def test_an_account_with_holdings_keeps_them(desk):
    with Simulator(factor=1, symbols={"SPY": 510.0}, holdings={"SPY": (2, 500.0)}) as sim:
        done = desk.type(*words(sim))
        # What was there before the journal began is a difference, and its symbol locked: a person looks first.
        assert done.returncode == 1
        assert "SPY is locked" in done.stderr
        assert sim.orders() == []
        assert sim.positions() == {"SPY": 2}


@pytest.mark.slow
def test_outside_of_the_session_the_gate_denies_it_and_nothing_is_sent(desk):
    with Simulator(factor=1, symbols={"SPY": 510.0}, start="2026-01-05T03:00:00+00:00") as sim:
        done = desk.type(*words(sim))
        assert done.returncode == 1
        assert rows(done.stdout)[-1][0] == "✗"
        assert sim.orders() == []


def test_beside_a_runner_there_is_no_drill(desk, sim):
    other = IBBroker(LiveParams(mode="paper", port=sim.port, **QUICK))
    other.connect()
    done = desk.type(*words(sim))
    other.close()
    assert done.returncode == 1
    assert rows(done.stdout) == [("✗", "connect")]
    assert "no other session on client id 17" in done.stderr


def test_real_money_is_refused(desk):
    assert "a drill is for paper accounts" in desk.refusal(
        "paper-drill", "--set", "live.mode=live", "--set", "live.account=U1234567"
    )


def test_without_a_gateway_it_says_so(desk):
    done = desk.type("paper-drill", "--set", "live.port=1", "--set", "live.connect_seconds=0.5")
    assert done.returncode == 1
    assert rows(done.stdout) == [("✗", "connect")]
    assert "Is the gateway up" in done.stderr


def test_a_step_that_fails_is_kept_with_what_was_said():
    shown: list[Step] = []
    steps = Steps(shown.append)
    steps.take("one", lambda: "fine")
    assert steps.passed
    with pytest.raises(KeyboardInterrupt):
        steps.take("two", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert [(step.name, step.ok, step.text) for step in shown] == [
        ("one", True, "fine"),
        ("two", False, "stopped by hand"),
    ]
    assert not steps.passed
