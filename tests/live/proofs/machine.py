"""A machine on which runners are started and killed with kill -9, and the brokers that outlive them.

Every life of a runner is a forked process: it puts in order what the one before left, says so, waits until that was
checked, and sends orders until it is killed. The broker is the simulated gateway in a process of its own, spoken to
through the real client, or the paper account in its file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tests.live.history import BrokerSide, lose_order, read_gateway, read_paper, violations
from workbench.alerts.outbox import Outbox
from workbench.errors import Disconnected, OrderRejected, TradingHalted, Unanswered
from workbench.live import dispatch
from workbench.live.broker import Broker
from workbench.live.gate.facts import Asked
from workbench.live.ib import IBBroker
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.paper import PaperBroker, Print, PushedMarket
from workbench.live.reconcile import reconcile, resolve
from workbench.live.recovery import Outcome, recover
from workbench.live.trading_state import TradingState
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Order, OrderStatus, OrderType, Side
from workbench.tws import Simulator, SimulatorRefused

SYMBOLS = ("AAA", "BBB", "CCC")
BEGIN = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)  # a Monday, ten in New York
SPEED = 20.0  # seconds of the gateway's time in one of ours: parts of an order fill while others are sent
RETURNS = (Outcome.ADOPT, Outcome.FILLED, Outcome.RESEND, Outcome.MISSING)


class Venue(Protocol):
    """A broker that outlives every runner."""

    account: str

    def clock(self) -> datetime:
        """Return the time, the same in every process of this machine."""
        ...

    def broker(self) -> Broker:
        """Return the account as a runner's own client, not connected yet."""
        ...

    def trade(self, broker: Broker, chance: random.Random) -> None:
        """Let the market move once, where it does not move by itself."""
        ...

    def go_on(self, chance: random.Random) -> None:
        """Let things happen while no runner lives: fills, restarts, numbers that are forgotten."""
        ...

    def stand_still(self, still: bool) -> None:
        """Let nothing fill by itself while both sides are compared."""
        ...

    def forget(self) -> None:
        """Lose an order without a word."""
        ...

    def side(self) -> BrokerSide:
        """Return the broker's own truth."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class GatewayVenue:
    """The simulated gateway in a process of its own, through the client that real money goes through."""

    account = "DU1234567"

    def __init__(self, folder: Path, seed: int, *, process: bool = True, **live: float) -> None:
        del folder
        self._live = live
        self.sim = Simulator(
            process=process, seed=seed, factor=SPEED, start=BEGIN.isoformat(), symbols=dict.fromkeys(SYMBOLS, 100.0)
        )
        self.sim.start()
        self.sim.fault("partial", count=60)
        self._zero = time.monotonic() - (self.sim.now() - BEGIN.timestamp()) / SPEED

    def clock(self) -> datetime:
        return self._at(time.monotonic())

    def broker(self) -> Broker:
        return IBBroker(LiveParams(**{"mode": "paper", "port": self.sim.port, **self._live}))

    def trade(self, broker: Broker, chance: random.Random) -> None:
        """It moves by itself."""

    def go_on(self, chance: random.Random) -> None:
        for one in self.open():
            if chance.random() < 0.3:
                shares = chance.choice([0, 1 + one["quantity"] // 3])
                with suppress(SimulatorRefused):  # it has just filled by itself
                    self.sim.fault("fill", client=one["client_id"], order_id=one["order_id"], shares=shares, price=99.5)
        if chance.random() < 0.1:
            self.sim.fault("rollback", count=chance.randint(1, 5))
        if chance.random() < 0.1:
            self.sim.fault("restart", seconds=0.05, rollback=chance.randint(0, 3))

    def stand_still(self, still: bool) -> None:
        self.sim.fault("hold", state=still)

    def forget(self) -> None:
        for one in self.open():
            if not one["filled"]:
                with suppress(SimulatorRefused):
                    self.sim.fault("forget", client=one["client_id"], order_id=one["order_id"])
                return

    def side(self) -> BrokerSide:
        return read_gateway(self.sim, self._at)

    def close(self) -> None:
        self.sim.stop()

    def open(self) -> list[dict[str, Any]]:
        """Return the orders that may still fill."""
        return [one for one in self.sim.orders() if one["status"] in ("Submitted", "PreSubmitted")]

    def _at(self, steady: float) -> datetime:
        return BEGIN + timedelta(seconds=(steady - self._zero) * SPEED)


class PaperVenue:
    """The paper account: it dies with its runner, and its file does not."""

    account = "PAPER"

    def __init__(self, folder: Path, seed: int) -> None:
        del seed
        self.file, self._zero = folder / "paper.db", time.monotonic()

    def clock(self) -> datetime:
        return BEGIN + timedelta(seconds=time.monotonic() - self._zero)

    def broker(self) -> Broker:
        return PaperBroker(self.file, PushedMarket(self.clock, dict.fromkeys(SYMBOLS, 100.0)))

    def trade(self, broker: Broker, chance: random.Random) -> None:
        market = broker._market  # type: ignore[attr-defined]
        for symbol in SYMBOLS:
            volume = chance.choice([None, 200.0, 1000.0])
            market.push(Print.of(symbol, self.clock(), round(chance.uniform(98.0, 102.0), 2), volume))

    def go_on(self, chance: random.Random) -> None:
        broker = self.broker()
        broker.connect()
        self.trade(broker, chance)
        broker.now()
        broker.close()

    def stand_still(self, still: bool) -> None:
        """It moves only where a runner moves it."""

    def forget(self) -> None:
        lose_order(self.file)

    def side(self) -> BrokerSide:
        return read_paper(self.file)

    def close(self) -> None:
        """Nothing is open."""


VENUES: dict[str, Callable[[Path, int], Venue]] = {"gateway": GatewayVenue, "paper": PaperVenue}


class Runner:
    """One process's hold on the account: it decides at random, and does everything else as the product does."""

    def __init__(self, folder: Path, venue: Venue, seed: int) -> None:
        paths, settings = Paths(folder), Settings()
        self.venue, self.random = venue, random.Random(seed)
        self.lease = Lease.acquire(settings, paths, venue.account)
        self.journal = Journal.open(settings, paths, venue.account, lease=self.lease, clock=venue.clock)
        self.outbox = Outbox.open(settings, paths, clock=venue.clock)
        self.broker = venue.broker()
        self.broker.connect()

    def close(self) -> None:
        self.broker.close()
        self.journal.close()
        self.lease.release()

    def put_in_order(self) -> tuple[list[str], list[str]]:
        """Find out what became of every order, and return the outcomes and what still differs."""
        self.journal.begin()
        found = recover(self.journal, self.broker, self.outbox)
        for one in found:
            if one.outcome is Outcome.MISSING:
                resolve(self.journal, one.key, OrderStatus.CANCELLED, "a test", "the broker forgot it")
        told = reconcile(self.journal, self.broker, self.outbox)
        return [one.outcome.value for one in found], [one.text for one in told.unexplained]

    def find_back(self) -> tuple[list[str], list[str]]:
        """Connect and put in order, again where the connection is lost over it."""
        for _ in range(10):
            with suppress(Disconnected, Unanswered):
                self.broker.connect()
                return self.put_in_order()
        raise Disconnected("not found back in ten tries")

    def asked(self) -> Asked:
        """Return an order for two strategies, that keeps the position small."""
        symbol = self.random.choice(SYMBOLS)
        held = self.journal.book.positions.get(symbol, 0)
        side = Side.SELL if held > 500 else Side.BUY if held < -500 else self.random.choice(list(Side))
        first = self.random.randint(1, 60)
        quantity = first + self.random.randint(1, 60)
        key = self.journal.next_key()
        if self.random.random() < 0.5:
            order = Order(key, symbol, side, quantity)
        else:
            price = round(100.0 - side.sign * self.random.choice([0.0, 5.0]), 2)
            order = Order(key, symbol, side, quantity, OrderType.LIMIT, limit=price)
        return Asked(order, shares={"one": side.sign * first, "two": side.sign * (quantity - first)})

    def trade(self) -> None:
        """Decide, send, record what is told, and sometimes take an order back."""
        dispatch.send(self.journal, self.broker, [self.asked() for _ in range(self.random.randint(1, 3))])
        self.hear()
        resting = [one for one in self.journal.book.open_orders if not one.cancel_asked]
        if len(resting) > 4:
            with suppress(OrderRejected):
                dispatch.cancel(self.journal, self.broker, resting[0].order.key, "too many")

    def hear(self) -> None:
        """Record what the broker tells."""
        self.venue.trade(self.broker, self.random)
        dispatch.record(self.journal, self.outbox, self.broker.updates(0.0))


@dataclass
class Machine:
    """Where runners are started, killed and followed; counts what was seen."""

    folder: Path
    venue: Venue
    seed: int
    runner: type[Runner] = Runner
    halts: float = 0.15  # how often trading is halted just before the kill
    kills: int = 0
    early: int = 0  # kills before the runner had put in order what the last one left
    outcomes: Counter[str] = field(default_factory=Counter)
    halted: int = 0
    stopped: bool = False
    sent: int = 0

    def __post_init__(self) -> None:
        """Live once in this very process: what that imports, every fork has from the start."""
        first = Runner(self.folder, self.venue, self.seed)
        first.put_in_order()
        first.close()

    def kill_one(self) -> list[str]:
        """Start a runner, check what it made of the last one's end, let it trade, and kill it."""
        self.seed += 1
        self.kills += 1
        chance = random.Random(self.seed)
        early = chance.random() < 0.15  # killed while it puts things in order
        self.venue.stand_still(not early)
        process, told, go = self._start()
        try:
            if early:
                time.sleep(chance.uniform(0.0, 0.1))
                self.early += 1
                return []
            found = self._check(told)
            self.venue.stand_still(False)
            with suppress(BrokenPipeError):  # it has ended by itself, which was found
                os.write(go, b"1")
            time.sleep(chance.uniform(0.0, 0.15))
            if chance.random() < self.halts:
                self._set(TradingState.HALTED, "")
                self.halted += 1
                self.stopped = True
                time.sleep(0.03)
            return found
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(told)
            os.close(go)
            self._meanwhile(chance)

    def _check(self, told: int) -> list[str]:
        """Wait until the runner says that everything is in order, and return what is wrong with that."""
        line = b""
        while not line.endswith(b"\n"):
            more = os.read(told, 65_536)
            if not more:
                return ["the runner ended by itself"]
            line += more
        found = json.loads(line)
        self.outcomes.update(found["outcomes"])
        side = self.venue.side()
        self.sent = len(side.sent or side.orders)
        journal = self._journal()
        try:
            return [*violations(list(journal.events()), side), *found["differences"]]
        finally:
            journal.close()

    def _start(self) -> tuple[int, int, int]:
        told, tell = os.pipe()
        wait, go = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                runner = self.runner(self.folder, self.venue, self.seed)
                outcomes, differences = runner.find_back()
                os.write(tell, json.dumps({"outcomes": outcomes, "differences": differences}).encode() + b"\n")
                os.read(wait, 1)
                while True:
                    try:
                        runner.trade()
                    except TradingHalted:
                        time.sleep(0.005)
                    except (Disconnected, Unanswered):
                        runner.find_back()
            except BaseException as error:
                os.write(2, f"runner: {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(1)
        os.close(tell)
        os.close(wait)
        return process, told, go

    def _meanwhile(self, chance: random.Random) -> None:
        """Let the world go on without a runner."""
        if chance.random() < 0.5:
            self.venue.go_on(chance)
        if chance.random() < 0.3:
            self.venue.forget()
        if self.stopped and chance.random() < 0.7:
            self._set(TradingState.ACTIVE, "a test")
            self.stopped = False

    def _set(self, state: TradingState, who: str) -> None:
        journal = self._journal()
        try:
            if journal.book.state is not state:
                journal.set_state(state, "a test says so", who)
        finally:
            journal.close()

    def _journal(self) -> Journal:
        return Journal.open(Settings(), Paths(self.folder), self.venue.account, clock=self.venue.clock)


# ---- what must not be done, each found out by a rule of its own ----


class Hasty(Runner):
    """Orders leave before they are written."""

    def trade(self) -> None:
        asked = self.asked()
        number = self.broker.next_order_id(self.journal.book.highest_order_id + 1)
        self.broker.place(asked.order, number)
        self.journal.intend([asked], number)
        self.hear()


class Doubling(Runner):
    """What looks unsent is sent anew, under a number of its own."""

    def trade(self) -> None:
        super().trade()
        for one in self.journal.book.open_orders:
            if self.random.random() < 0.2:
                self.broker.place(one.order, self.broker.next_order_id(self.journal.book.highest_order_id + 1000))


class Renumbering(Runner):
    """What was written is sent under another number than was written."""

    def trade(self) -> None:
        (intent,) = self.journal.intend([self.asked()], self.broker.next_order_id(1))
        self.broker.place(intent.order, self.broker.next_order_id(intent.order_id + 1))
        self.hear()


class Forgetful(Runner):
    """It begins anew as if nothing had been before."""

    def put_in_order(self) -> tuple[list[str], list[str]]:
        first = not self.journal.book.opened
        self.journal.begin()
        if first:
            reconcile(self.journal, self.broker, self.outbox)
        return [], []


class Deaf(Runner):
    """It writes before it sends, and never asks again whether it may."""

    def trade(self) -> None:
        asked = [self.asked() for _ in range(20)]
        for intent in self.journal.intend(asked, self.broker.next_order_id(self.journal.book.highest_order_id + 1)):
            time.sleep(0.01)
            self.broker.place(intent.order, intent.order_id)
        self.hear()


WRONG: dict[type[Runner], str] = {
    Hasty: "before its intent|without an intent",
    Doubling: "times at the broker",
    Renumbering: "in its intent",
    Forgetful: "is not in the journal|in the journal, .* at the broker",
    Deaf: "while halted since",
}
