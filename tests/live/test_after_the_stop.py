"""What the emergency stop closed leaves the books of those who held it: nothing is sold a second time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.live.conftest import wanted
from tests.live.test_book import fill, fold
from workbench.cli.trading import stop_by_itself
from workbench.errors import Disconnected
from workbench.live.connect import for_the_stop
from workbench.live.gate.facts import Origin
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import intent_data
from workbench.live.journal.journal import Journal
from workbench.live.kill import emergency_stop
from workbench.live.operator import resume
from workbench.live.rehearsal import Rehearsal
from workbench.live.session import Data, Seat
from workbench.params import CostParams, LiveParams, Paths, PortfolioParams, Settings
from workbench.trading import Side
from workbench.types import Bars

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(portfolio=PortfolioParams(cash=10_000.0), costs=CostParams(schedule="none", spread_bps=0.0))


@dataclass(frozen=True)
class Written:
    """A strategy that wants what is written down: weights of AAA by the number of the bar, the last one holds."""

    wanted: Mapping[int, float]
    symbols: tuple[str, ...] = ("AAA",)
    name: str = "written"
    lookback: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        own = pd.Series(np.nan, index=bars.index)
        for row, weight in self.wanted.items():
            if row < len(own):
                own.iloc[row] = weight
        return pd.DataFrame({"AAA": own.ffill().fillna(0.0)})


def stop(folder: Path) -> None:
    emergency_stop(
        SETTINGS, Paths(folder), for_the_stop(SETTINGS, Paths(folder)), reason="a drill", who="ada", timeout=10.0
    )


def test_a_strategy_that_was_closed_by_the_stop_sells_nothing_after_it(
    tmp_path: Path, bars_of: Callable[..., Bars]
) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "risk").symlink_to(ROOT / "params" / "risk")
    bars = bars_of(100.0 + np.arange(36) % 3, ["AAA"], start="2024-01-02", sectors={"AAA": "Alpha"})
    seat = Seat(Written({30: 0.2, 33: 0.0}), "pack", 1)

    def trade(until: int, count: int) -> list[dict[str, int]]:
        held, known = [], Data(bars.until(bars.index[until]))
        rehearsal = Rehearsal.open(SETTINGS, Paths(tmp_path), (seat,), known, count)
        try:
            for session in rehearsal.sessions:
                report = rehearsal.trade(session)
                assert report.differences == ()
                assert not report.denied
                held.append({one.symbol: one.quantity for one in rehearsal.broker.positions()})
        finally:
            rehearsal.close()
        return held

    assert trade(32, 2) == [{"AAA": 20}, {"AAA": 20}]  # 2,000 of 10,000 at 100
    stopping = get_context("fork").Process(target=stop, args=(tmp_path,))
    stopping.start()
    stopping.join(60.0)
    assert stopping.exitcode == 0
    journal = Journal.open(SETTINGS, Paths(tmp_path), "PAPER")
    resume(journal, HaltFile(Paths(tmp_path), "PAPER"), who="ada", reason="the drill is over")
    journal.close()
    assert trade(35, 3) == [{}, {}, {}]  # its weight goes to zero on the way: there is nothing left to sell


def closing(key: str, quantity: int, number: int, side: Side = Side.SELL) -> Draft:
    asked = wanted(key, quantity, side, shares={}, origin=Origin.EMERGENCY)
    return Draft(Kind.INTENT, intent_data(asked, number), key, "AAA")


def holdings() -> list[Draft]:
    return [
        Draft(Kind.INTENT, intent_data(wanted("k1", 390, shares={"one": 490, "two": -100}), 1), "k1", "AAA"),
        fill("e1", 390, 10.0, "k1"),
    ]


def test_the_stop_closes_everybodys_own():
    book = fold(*holdings(), closing("s1", 390, 2), fill("e2", 390, 9.0, "s1", side=Side.SELL))
    assert (book.positions, book.books) == ({}, {})
    # Both bought and sold at the same prices: one lost a dollar on 490, two won one on 100.
    assert book.past.cash == pytest.approx({"one": -490.0, "two": 100.0})


@pytest.mark.parametrize("told_first", [True, False])
def test_a_second_try_closes_what_the_first_left_whenever_that_is_told(told_first: bool) -> None:
    first = fill("e2", 200, 9.0, "s1", side=Side.SELL)
    second = fill("e3", 190, 9.0, "s2", side=Side.SELL)
    told = [first, closing("s2", 190, 3), second] if told_first else [closing("s2", 190, 3), first, second]
    book = fold(*holdings(), closing("s1", 390, 2), *told)
    assert (book.positions, book.books) == ({}, {})


def test_what_nobody_of_ours_ordered_is_closed_for_nobody():
    book = fold(*holdings(), closing("s1", 400, 2), fill("e2", 400, 9.0, "s1", side=Side.SELL))
    assert book.books == {"": {"AAA": -10}}


def test_a_drawdown_that_halted_an_account_whose_broker_was_away_begins_a_new_highest_equity_of_it_alone(
    project, journal
):
    journal.begin(date="2024-03-05", equity=1_120_000.0, cash=1.0, seats={}, limits="")
    settings = Settings(live=LiveParams(mode="paper", port=1, connect_seconds=0.3))
    with pytest.raises(Disconnected, match="every account is halted, but the broker cannot be reached"):
        stop_by_itself(settings, project.paths, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.11", journal.account)
    assert HaltFile(project.paths, "ANOTHER").reason.startswith("DRAWDOWN_REACHED")  # until the broker says whose it is
    before = resume(journal, HaltFile(project.paths, journal.account), who="ada", reason="the gateway is back again")
    assert before.endswith(", for a drawdown: the highest equity begins anew")
    assert journal.book.past.peak_equity == 0.0
    assert journal.halted == ""
    another = Journal.open(project.settings, project.paths, "ANOTHER", lease=None)
    before = resume(another, HaltFile(project.paths, "ANOTHER"), who="ada", reason="the gateway is back again")
    another.close()
    assert "begins anew" not in before
