"""Who starts an account again where it cannot be told who trades it: what is held is watched, and it is asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import polars as pl
import pytest

from tests.cli.conftest import Desk
from tests.data.by_hand import put
from tests.live.ib.conftest import until
from tests.live.test_protection import Held
from tests.live.test_runner import Written
from tests.live.test_service import bars as gateway_bars  # noqa: F401 (the fixture: bars at the gateway's prices)
from tests.live.test_service import running, sim, told  # noqa: F401 (sim: the fixture)
from workbench.cli import trading
from workbench.cli.trading import open_service
from workbench.data.lake import open_lake
from workbench.live.journal.event import Draft, Kind
from workbench.live.service import Service
from workbench.params import Settings
from workbench.trading import Account
from workbench.types import FIELDS, Bars


def in_lake(held: Held, bars: Bars) -> None:
    """Publish the bars that the account is watched by, each known after its close."""
    frames = {name: getattr(bars, name) for name in FIELDS}
    rows = [
        {"symbol": symbol, "session": day.date(), **{name: float(one.at[day, symbol]) for name, one in frames.items()},
         "known_at": datetime.combine(day.date(), time(22), UTC), "source": "sample"}
        for day in bars.index
        for symbol in bars.symbols
    ]  # fmt: skip
    lake = open_lake(settings(held), held.office.paths)
    put(lake, "prices_daily", pl.DataFrame(rows))
    split = {"symbol": "ZZZ", "session": bars.index[0].date(), "kind": "split", "value": 2.0}  # of nothing that is held
    put(lake, "actions", pl.DataFrame([{**split, **{name: rows[0][name] for name in ("known_at", "source")}}]))


def settings(held: Held) -> Settings:
    return Settings(live=held.office.live)


def by_the_gateway(service: Service) -> None:
    """Let the service go by the gateway's time, which is not that of this machine."""
    apart = service.broker.now() - datetime.now(UTC)
    service.clock = lambda: datetime.now(UTC) + apart


def test_what_is_held_is_watched_by_who_starts_where_nobody_can_be_seated_and_traded_once_somebody_can(
    desk: Desk,
    sim,  # noqa: F811
    gateway_bars,  # noqa: F811
):
    held = Held(desk.root, sim, gateway_bars)
    in_lake(held, gateway_bars)
    with held.trading():
        pass
    held.office.close(held.service)
    held.cancel_all()
    with open_service(settings(held), held.office.paths) as service:
        by_the_gateway(service)
        service.stopping = held.office.stopped.append
        account, lost = service.broker.account, [0.0]

        def poorer() -> Account:
            now = account()
            return type(now)(**{**now.__dict__, "equity": now.equity - lost[0]})

        service.broker.account = poorer  # type: ignore[method-assign]
        with running(service):
            until(lambda: service._monitor is not None, 20)
            service._ticked = 0.0
            until(lambda: service._monitor._seen, 20)
            first, second = (one.text for one in service.outbox.all() if one.kind in ("trouble", "data"))
            assert first == second
            assert first.startswith("nothing stands at paper, so nothing is traded")
            assert first.endswith("until then nobody puts back what the broker ends of the stops and targets of AAA")
            assert held.working() == []
            lost[0] = 900_000.0
            service._ticked = 0.0
            until(lambda: held.office.stopped, 20)
            lost[0] = 0.0
            service.seats = lambda: held.office.seats
            until(lambda: len(held.working()) == 2, 20)


class ByFiveMinutes(Written):
    """A strategy that decides by other bars than the rest."""

    dataset = "prices_5min"


def adopted(held: Held) -> None:
    """Let a person take five shares into the books that the lake knows nothing of."""
    shares = {"fills": [], "shares": 5, "given": 5, "cash": 0.0, "strategy": "", "parts": {"": 5}, "explained": 0}
    facts = {"action": "adopt", "adopted": shares, "unlocked": True, "who": "ada", "reason": "bought by hand"}
    held.service.journal.append(Draft(Kind.OPERATOR, facts, symbol="ZZQ"))


@pytest.mark.parametrize("why", ["a symbol that the lake does not know", "two kinds of bars"])
def test_what_is_held_is_watched_whatever_keeps_everybody_from_the_desk(
    desk: Desk,
    sim,  # noqa: F811
    gateway_bars,  # noqa: F811
    monkeypatch,
    why,
):
    held = Held(desk.root, sim, gateway_bars)
    in_lake(held, gateway_bars)
    with held.trading():
        pass
    one = held.office.seats[0]
    if why == "two kinds of bars":
        two = replace(one, strategy=ByFiveMinutes("two", ("AAA", "BBB"), {}))
        monkeypatch.setattr(trading, "seats_here", lambda *facts, **named: (one, two))
    else:
        adopted(held)
    held.office.close(held.service)
    with open_service(settings(held), held.office.paths) as service:
        by_the_gateway(service)
        service.stopping = held.office.stopped.append
        account, lost = service.broker.account, [0.0]
        service.broker.account = lambda: replace(account(), equity=account().equity - lost[0])  # type: ignore[method-assign]
        with running(service):
            until(lambda: service._monitor is not None, 20)
            service._ticked = 0.0
            until(lambda: service._monitor._seen, 20)
            lost[0] = 900_000.0
            service._ticked = 0.0
            until(lambda: held.office.stopped, 20)
    assert "watch" not in told(service)


def test_who_starts_where_nobody_can_be_seated_and_nothing_is_held_is_refused(desk: Desk, sim):  # noqa: F811
    words = ("paper", "--set", "live.mode=paper", "--set", f"live.port={sim.port}")
    assert desk.refusal(*words, code=1).startswith("nothing stands at paper, so nothing is traded")
    assert sim.log() == []  # nobody had connected
