"""Whatever clients do, the broker's books agree: random orders over many seeds, against sums made here."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from tests.tws.wire import Wire
from workbench.tws import Simulator

CASH = 1_000_000.0
DEAD = {"Filled", "Cancelled", "Inactive"}
SYMBOLS = ("AAPL", "KO", "SPY")


class Trader:
    """Sends orders at random, by one seed."""

    def __init__(self, sim, wire, seed):
        self.sim, self.wire, self.random, self.next = sim, wire, random.Random(seed), 1

    def take_id(self):
        self.next += 1
        return self.next - 1

    def price(self, symbol, width=0.004):
        return round(self.sim.quote(symbol)["last"] * self.random.uniform(1 - width, 1 + width), 2)

    def act(self):
        symbol, action = self.random.choice(SYMBOLS), self.random.choice(["BUY", "SELL"])
        quantity = self.random.choice([1, 50, 100, 700, 3_000])
        other = "SELL" if action == "BUY" else "BUY"
        place, roll = self.wire.place, self.random.random()
        terms = {"symbol": symbol, "quantity": quantity, "tif": self.random.choice(["DAY", "GTC", "IOC"])}
        if roll < 0.2:
            place(self.take_id(), action, **terms)
        elif roll < 0.45:
            place(self.take_id(), action, kind="LMT", limit=self.price(symbol), **terms)
        elif roll < 0.55:
            place(self.take_id(), action, kind="STP", aux=self.price(symbol), **terms)
        elif roll < 0.65:
            terms["tif"] = "GTC"
            parent = self.take_id()
            place(parent, action, kind="LMT", limit=self.price(symbol), transmit=0, **terms)
            place(self.take_id(), other, kind="LMT", limit=self.price(symbol), parent=parent, transmit=0, **terms)
            place(self.take_id(), other, kind="STP", aux=self.price(symbol), parent=parent, **terms)
        elif roll < 0.72:
            group, kind = f"g{self.next}", self.random.choice([1, 2, 3])
            for _ in range(2):
                place(self.take_id(), action, kind="LMT", limit=self.price(symbol), oca=group, oca_type=kind, **terms)
        elif roll < 0.8:
            place(self.random.randrange(1, self.next + 1), action, kind="LMT", limit=self.price(symbol), **terms)
        elif roll < 0.88:
            self.wire.send(4, 1, self.random.randrange(1, self.next + 1), "")
        elif roll < 0.9:
            self.wire.send(58, 1)
        elif roll < 0.92 and self.sim.executions():
            self.sim.fault("correct", price=self.price(symbol), shares=self.random.randrange(1, 200))
        else:
            self.sim.advance(self.random.choice([1, 30, 600, 600, 9_000]))
        self.next = max(self.next, max((order["order_id"] for order in self.sim.orders()), default=0) + 1)


def holding(executions):
    """Return of each execution the revision that holds, by symbol."""
    latest = {}
    for one in executions:
        latest[one["exec_id"].rpartition(".")[0]] = one
    found = defaultdict(list)
    for one in latest.values():
        found[one["symbol"]].append(one)
    return found


def signed(one):
    return one["shares"] if one["side"] == "BOT" else -one["shares"]


@pytest.mark.parametrize("seed", range(8))
def test_the_books_agree_whatever_is_traded(tmp_path, seed):
    with Simulator(state=tmp_path / "broker.db", seed=seed, factor=0, cash=CASH) as sim:
        with Wire(sim.port) as wire:
            trader = Trader(sim, wire, seed)
            for _ in range(120):
                trader.act()
            sim.advance(24 * 3_600)
            wire.send(49, 1)
            wire.until("49")
            wire.quiet()
        orders, executions = sim.orders(), sim.executions()
        held = holding(executions)
        assert len(executions) > 10
        assert {symbol: sum(map(signed, all_of)) for symbol, all_of in held.items() if sum(map(signed, all_of))} == (
            sim.positions()
        )
        paid = sum(signed(one) * one["price"] + one["commission"] for all_of in held.values() for one in all_of)
        assert sim.account()["cash"] == pytest.approx(CASH - paid)

        filled = defaultdict(int)
        for one in executions:
            if one["exec_id"].endswith(".01"):
                filled[one["perm_id"]] += one["shares"]
        assert len({one["exec_id"] for one in executions}) == len(executions)
        for order in orders:
            assert order["filled"] == filled[order["perm_id"]] <= order["quantity"]
            assert (order["status"] == "Filled") == (order["filled"] == order["quantity"])

        ended = {}
        for fields in wire.got:
            if fields[0] == "3":
                assert ended.get(fields[6], fields[2]) == fields[2], "a status after the last one"
                if fields[2] in DEAD:
                    ended[fields[6]] = fields[2]
        told = {fields[14] for fields in wire.got if fields[0] == "11"}
        assert told == {one["exec_id"] for one in executions}
        sent = defaultdict(int)
        for row in sim.log():
            sent[row["order_id"]] += row["kind"] == "placeOrder"
        for one in executions:  # nothing is filled beyond its limit
            order = next(order for order in orders if order["perm_id"] == one["perm_id"])
            if order["limit"] and one["exec_id"].endswith(".01") and sent[order["order_id"]] == 1:
                assert (one["price"] - order["limit"]) * (1 if order["action"] == "BUY" else -1) <= 1e-9

        before = orders, executions, sim.positions(), sim.account()
        sim.stop()
        sim.start()
        after = sim.orders(), sim.executions(), sim.positions(), sim.account()
        assert after[:3] == before[:3]
        assert after[3] == pytest.approx(before[3])
