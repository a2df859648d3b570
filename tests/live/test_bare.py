"""How long a holding lies bare: while what resizes it hangs, or waits for its turn, over the real client."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.live.ib.conftest import until
from tests.live.test_protection import Held, held  # noqa: F401 (the fixture: a service that holds AAA)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from tests.live.test_service import sim  # noqa: F401
from workbench.live import runner


def decide_again(held: Held, **weights: float) -> None:  # noqa: F811
    """Let the service decide once more, two minutes later, in its own thread."""
    service, clock, due = held.service, held.service.clock, [1]
    held.office.seats[0].strategy.wanted[held.day] = weights
    later = service._desk.moments[0] + timedelta(minutes=2)
    service.clock = service._desk.clock = lambda: clock() + timedelta(minutes=2, seconds=1)
    protect = service._protect

    def first(desk) -> None:
        if due:
            due.clear()
            runner.trade(desk, later)
        protect(desk)

    service._protect = first


@pytest.mark.parametrize(("weight", "side", "leaves"), [(0.3, "BUY", 0), (0.1, "SELL", 1)])
def test_while_a_resize_hangs_what_it_cannot_take_away_has_a_stop(held, weight, side, leaves):  # noqa: F811
    with held.trading() as service:
        service._desk.patience = 1.0
        shares = service.journal.book.positions["AAA"]
        held.sim.fault("hold", state=True)  # a halt in this share: nothing fills
        decide_again(held, AAA=weight)
        until(lambda: {one["type"] for one in held.working()} == {"MKT", "STP"}, 20)
        (order, stop) = sorted(held.settled(2.0))
        assert order[:2] == ("MKT", side)
        assert stop == ("STP", "SELL", shares - leaves * order[2])
        held.sim.fault("hold", state=False)
        until(lambda: {one["type"] for one in held.working()} == {"LMT", "STP"}, 20)
        now = service.journal.book.positions["AAA"]
        assert held.settled(1.0) == [("LMT", "SELL", now), ("STP", "SELL", now)]
    assert now == dict(held.sim.positions())["AAA"] == pytest.approx(shares * weight / 0.2, abs=10)
    assert held.told() == []
