"""A strategy beside a person's own shares on the other side: it opens nothing that it could not close again."""

from __future__ import annotations

from tests.live.test_service import Office
from tests.live.test_service import bars as gateway_bars  # noqa: F401 (the fixture)
from workbench.live.reconcile import explain, reconcile
from workbench.tws import Simulator


def test_a_strategy_goes_long_beside_shares_of_a_persons_own_and_not_short(tmp_path, gateway_bars):  # noqa: F811
    holdings = {"AAA": (7, 100.0), "BBB": (7, 50.0)}
    with Simulator(factor=1, symbols={"AAA": 100.0, "BBB": 50.0}, holdings=holdings) as sim:
        office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2, "BBB": -0.1})
        service = office.open()
        service.journal.begin()
        reconcile(service.journal, service.broker, service.outbox)
        for symbol in ("AAA", "BBB"):
            explain(service.journal, service.broker, symbol, "ada", "bought by hand long ago, stays")
        (report,) = list(service.run(once=True))
        assert [(one.symbol, one.signed > 0) for one in report.orders] == [("AAA", True)]
        (denied,) = report.denied
        assert denied.reason.startswith("EXPLAINED_AGAINST: symbol=BBB, explained=7, after=-")
        assert sim.positions()["BBB"] == 7
        office.close(service)
