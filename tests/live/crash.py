"""A small runner that is killed, and the desk where the pieces are picked up: real files, processes and kills."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.live.history import lose_order, read_paper, violations
from workbench.alerts.outbox import Outbox
from workbench.errors import OrderRejected, TradingHalted
from workbench.live import dispatch
from workbench.live.gate.facts import Asked
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.paper import PaperBroker, Print, PushedMarket
from workbench.live.reconcile import reconcile, resolve
from workbench.live.recovery import Outcome, recover
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.trading import Order, OrderStatus, OrderType, Side

SYMBOLS = ("AAA", "BBB", "CCC")
BEGIN, TICKS = datetime(2024, 3, 5, 15, 0, tzinfo=UTC), time.monotonic()
ACCOUNT = "PAPER"


def clock() -> datetime:
    """Return the time of a fixed day, the same in every process of this machine."""
    return BEGIN + timedelta(seconds=time.monotonic() - TICKS)


class Runner:
    """One process's hold on the account."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.paths, self.random = Paths(folder), random.Random(seed)
        self.lease = Lease.acquire(Settings(), self.paths, ACCOUNT)
        self.journal = Journal.open(Settings(), self.paths, ACCOUNT, lease=self.lease, clock=clock)
        self.outbox = Outbox.open(Settings(), self.paths, clock=clock)
        self.market = PushedMarket(clock, dict.fromkeys(SYMBOLS, 100.0))
        self.broker = PaperBroker(folder / "paper.db", self.market)
        self.broker.connect()

    def close(self) -> None:
        self.broker.close()
        self.journal.close()
        self.lease.release()

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

    def move(self) -> None:
        """Let the market print, sometimes with little volume."""
        for symbol in SYMBOLS:
            price = round(self.random.uniform(98.0, 102.0), 2)
            volume = self.random.choice([None, 200.0, 1000.0])
            self.market.push(Print.of(symbol, clock(), price, volume))

    def trade(self) -> None:
        """Decide, send, let the market move, record, and sometimes take an order back."""
        asked = [self.asked() for _ in range(self.random.randint(1, 3))]
        dispatch.send(self.journal, self.broker, asked)
        self.move()
        dispatch.record(self.journal, self.outbox, self.broker.updates(0.0))
        resting = [one for one in self.journal.book.open_orders if not one.cancel_asked]
        if len(resting) > 4:
            with suppress(OrderRejected):
                dispatch.cancel(self.journal, self.broker, resting[0].order.key, "too many")


class NaiveRunner(Runner):
    """What must not be done: orders leave before they are written, and what looks unsent is sent anew."""

    def trade(self) -> None:
        for asked in [self.asked() for _ in range(3)]:
            number = self.broker.next_order_id(1)
            self.broker.place(asked.order, number)
            self.journal.intend([asked], number)
        for one in self.journal.book.open_orders:
            if one.status is OrderStatus.INTENDED and self.random.random() < 0.2:
                self.broker.place(one.order, self.broker.next_order_id(1))
        self.move()
        dispatch.record(self.journal, self.outbox, self.broker.updates(0.0))


@dataclass
class Desk:
    """The machine: runners start on it, are killed, and what they left is put in order and checked."""

    folder: Path
    seed: int
    runner: type[Runner] = Runner
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    sent: int = 0

    def kill_one(self) -> list[str]:
        """Start a runner, kill it while it trades, pick up the pieces, and return what is wrong with them."""
        self.seed += 1
        chance = random.Random(self.seed)
        process = self._start()
        time.sleep(chance.uniform(0.005, 0.15))
        halts = chance.random() < 0.15
        if halts:
            halting = Journal.open(Settings(), Paths(self.folder), ACCOUNT, clock=clock)
            halting.set_state(TradingState.HALTED, "a test halts")
            halting.close()
            time.sleep(0.03)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return self._settle(chance)

    def _start(self) -> int:
        ready, tell = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                runner = self.runner(self.folder, self.seed)
                runner.journal.begin(seed=self.seed)
                recover(runner.journal, runner.broker, runner.outbox)
                reconcile(runner.journal, runner.broker, runner.outbox)
                os.write(tell, b"1")
                while True:
                    with suppress(TradingHalted):
                        runner.trade()
            except BaseException as error:
                os.write(2, f"runner: {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(1)
        os.close(tell)
        began = os.read(ready, 1)
        os.close(ready)
        assert began == b"1", "the runner did not begin"
        return process

    def _settle(self, chance: random.Random) -> list[str]:
        """Recover as the next runner does, perhaps after the market moved or the broker forgot an order."""
        runner = Runner(self.folder, self.seed)
        try:
            if chance.random() < 0.5:
                runner.move()
                runner.broker.now()
            if chance.random() < 0.5:
                lose_order(self.folder / "paper.db")
            if runner.journal.book.halted:
                runner.journal.set_state(TradingState.ACTIVE, "the test goes on", who="a test")
            runner.journal.begin(settling=self.seed)
            for one in recover(runner.journal, runner.broker, runner.outbox):
                self.outcomes[one.outcome] += 1
                if one.outcome is Outcome.MISSING:
                    resolve(runner.journal, one.key, OrderStatus.CANCELLED, "a test", "the broker forgot it")
            told = reconcile(runner.journal, runner.broker, runner.outbox)
            side = read_paper(self.folder / "paper.db")
            self.sent = len(side.orders)
            return [*violations(list(runner.journal.events()), side), *(one.text for one in told.unexplained)]
        finally:
            runner.close()
