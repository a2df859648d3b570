"""What the gate costs an order: all twenty rules, with so many positions, open orders and orders sent today.

python bench/gate.py --positions 60 --open-orders 1000
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from figure import report

from workbench.live.gate import Asked, Day, GateState, Hours, Sent, decide
from workbench.live.limits import Limits
from workbench.live.trading_state import TradingState
from workbench.trading import Account, Instrument, Margin, Order, OrderStatus, OrderType, Quote, Side, Working

NOW = datetime(2024, 7, 2, 15, tzinfo=UTC)
WIDE = Limits(
    max_positions=10_000, max_gross=10.0, max_net=10.0, max_sector=10.0, max_correlation=1.0, max_position=1.0,
    max_orders_per_minute=100_000, max_orders_per_day=100_000,
)  # fmt: skip


def world(positions: int, open_orders: int, sent: int) -> GateState:
    """Return an account in which the order passes, so that every rule is asked to its end."""
    names = [f"S{number:04d}" for number in range(positions)]
    moves = np.random.default_rng(7).normal(0.0, 0.01, (positions, 63))
    working = tuple(
        Working(
            Order(f"w{number}", names[number % positions], Side.BUY, 5, OrderType.LIMIT, limit=90.0), number, number,
            OrderStatus.WORKING, 0, 0.0, 17,
        )
        for number in range(open_orders)
    )  # fmt: skip
    return GateState(
        now=NOW, limits=WIDE, trading=TradingState.ACTIVE, reconciled=True, connected=True, verified={"trend": "a"},
        whitelist=frozenset(names),
        instruments={name: Instrument(name, 7, "SMART", "NYSE", "USD", 0.01) for name in names},
        hours=Hours(NOW - timedelta(hours=1), NOW + timedelta(hours=5)),
        quotes={name: Quote(name, 99.99, 100.01, 100.0, NOW) for name in names}, closes=dict.fromkeys(names, 100.0),
        account=Account("DU1", "USD", 1e7, 1e7, 4e7, 0.0, 0.0, NOW), positions=dict.fromkeys(names, 10),
        booked=dict.fromkeys(names, 10), open_orders=working, books={"trend": {}},
        sectors=dict.fromkeys(names, "Energy"),
        returns=dict(zip(names, moves, strict=True)), day=Day(1e7, 0.0),
        sent=tuple(Sent(NOW - timedelta(hours=1), f"s{number}", names[0], Side.BUY, 7) for number in range(sent)),
        fills=(), worked={}, what_if=Margin(5e3, 5e3, 1e7, 1.0),
    )  # fmt: skip


def main() -> None:
    """Decide again and again, each time on a state that nothing was asked of before."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--positions", type=int, default=60)
    arguments.add_argument("--open-orders", type=int, default=60)
    arguments.add_argument("--sent", type=int, default=200)
    arguments.add_argument("--repeats", type=int, default=200)
    asked = arguments.parse_args()
    state = world(asked.positions, asked.open_orders, asked.sent)
    order = Order("k1", "S0001", Side.BUY, 10, OrderType.LIMIT, limit=100.0)
    wanted = Asked(order, shares={"trend": 10}, packs={"trend": "a"}, decision="d1", planned=10)
    times = []
    for _ in range(asked.repeats):
        fresh = replace(state)
        begin = time.perf_counter()
        decision = decide(wanted, fresh)
        times.append((time.perf_counter() - begin) * 1e3)
        assert decision.passes, decision.reasons
    size = {"positions": asked.positions, "open_orders": asked.open_orders, "sent": asked.sent}
    report("gate_decision_p50", statistics.median(times), None, None, size, "ms", target="5 ms to the wire")
    report("gate_decision_p99", statistics.quantiles(times, n=100)[98], None, None, size, "ms", target="20 ms")


if __name__ == "__main__":
    main()
