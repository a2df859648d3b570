"""From the decision to the bytes at the gateway: ``place()`` beside ib_async's own ``placeOrder``, in the same run.

    python bench/live_wire.py [--orders 300] [--pace 30]

The gateway is simulated, in a process of its own, and notes when each order's bytes were read; both clocks are this
machine's steady one. Orders leave slower than the 45 a second at which ib_async begins to hold messages back.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from figure import report
from ib_async import IB, LimitOrder, Stock

from workbench.live.ib import IBBroker
from workbench.params import LiveParams
from workbench.trading import Order, OrderType, Side
from workbench.tws import Simulator

OURS, THEIRS = 17, 40


def main() -> None:
    """Place orders in turn through both, and report medians and 99th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--pace", type=float, default=30.0, help="orders a second of each client")
    asked = parser.parse_args()
    with Simulator(process=True, factor=0, symbols={"AAA": 100.0}) as sim:
        broker = IBBroker(LiveParams(mode="paper", port=sim.port, client_id=OURS))
        broker.connect()
        sent = asyncio.run(place(broker, sim.port, asked.orders, asked.pace))
        arrived = {(one["client_id"], one["order_id"]): one["monotonic"] for one in sim.log()}
        broker.close()
    waits = {
        client: sorted(arrived[client, number] - at for (who, number), at in sent.items() if who == client)
        for client in (OURS, THEIRS)
    }
    size = {"orders": asked.orders, "pace": asked.pace}
    for name, share, more in (("p50", 0.5, "5 ms"), ("p99", 0.99, "20 ms")):
        own, other = (found[round(share * (len(found) - 1))] for found in (waits[OURS], waits[THEIRS]))
        report(
            f"live_wire_{name}", own, "ib_async_place_order", other, size, target=f"at most {more} more than ib_async"
        )


async def place(broker: IBBroker, port: int, orders: int, pace: float) -> dict[tuple[int, int], float]:
    """Place the same order through each client by turns, and return when each was decided."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=THEIRS)
    (contract,) = await ib.qualifyContractsAsync(Stock("AAA", "SMART", "USD"))
    broker.instrument("AAA")
    first = broker.next_order_id(1)
    sent = {}
    for number in range(first, first + orders):
        sent[OURS, number] = time.monotonic()
        broker.place(Order(f"k{number}", "AAA", Side.BUY, 100, OrderType.LIMIT, limit=90.0), number)
        await asyncio.sleep(0.5 / pace)
        order = LimitOrder("BUY", 100, 90.0, tif="DAY", orderRef=f"p{number}")
        at = time.monotonic()
        trade = ib.placeOrder(contract, order)
        sent[THEIRS, trade.order.orderId] = at
        await asyncio.sleep(0.5 / pace)
    ib.disconnect()
    return sent


if __name__ == "__main__":
    main()
