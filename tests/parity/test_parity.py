"""A period traded by the real runner, held against its recomputation: each difference has one cause and its money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.written import Written
from workbench.backtest.replay import OPEN_LIMITS
from workbench.cli.track import write_records
from workbench.errors import DataRefused, NoData
from workbench.live.feed import newest_closed
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.rehearsal import Rehearsal
from workbench.live.session import Data, Seat
from workbench.params import CostParams, Paths, PortfolioParams, Settings
from workbench.parity.compare import CAUSES, Parity, compare
from workbench.parity.period import Period, read_period
from workbench.parity.record import closed_sessions, note_parity, noted, sessions_again
from workbench.registry.gates.track_record import EXPLAINED, Break, SessionRecord, TrackRecord, read_track_record
from workbench.sessions import Calendar
from workbench.strategies.exits import Exits
from workbench.types import Bars

COSTS = CostParams(schedule="ib_fixed", spread_bps=2.0)
FIRST, SESSIONS = 30, 4


@dataclass(frozen=True)
class Weekly(Written):
    """It looks back a week."""

    lookback: int = 5


WANTED = {29: {"AAA": 0.5}, 31: {"AAA": 0.5, "BBB": -0.2}}


@dataclass
class Stage:
    """An account that has traded four sessions, and what is known of them today."""

    folder: Path
    bars: Bars
    limits: Limits = OPEN_LIMITS

    @property
    def seat(self) -> Seat:
        return Seat(Weekly(("AAA", "BBB"), WANTED), "pack", 1)

    def trade(self, costs: CostParams = COSTS, *, recorded: bool = False) -> Period:
        (self.folder / "params").mkdir()
        settings = Settings(portfolio=PortfolioParams(cash=100_000.0), costs=costs)
        rehearsal = Rehearsal.open(settings, Paths(self.folder), (self.seat,), Data(self.bars), SESSIONS, self.limits)
        try:
            for session in rehearsal.sessions:
                report = rehearsal.trade(session)
                if recorded:
                    write_records(rehearsal.paths, (self.seat,), report, rehearsal.journal, settings)
            return read_period(rehearsal.journal, "written")
        finally:
            rehearsal.close()

    def compare(
        self, period: Period, *, bars: Bars | None = None, tape: Bars | None = None, seat: Seat | None = None,
        costs: CostParams = COSTS,
    ) -> Parity:  # fmt: skip
        calendar, known = Calendar(), bars or self.bars

        def then(moment: datetime) -> Data:
            return Data(known.until(pd.Timestamp(newest_closed(calendar, moment))))

        return compare(period, seat or self.seat, then, 5, tape or self.bars, costs)


@pytest.fixture
def stage(tmp_path: Path, bars_of: Callable[..., Bars]) -> Stage:
    step = np.arange(FIRST + SESSIONS)
    close = np.column_stack([100.0 + step % 7, 50.0 + step % 5])
    sectors = {"AAA": "Alpha", "BBB": "Beta"}
    return Stage(tmp_path, bars_of(close, ["AAA", "BBB"], start="2024-01-02", sectors=sectors))


def causes(found: Parity) -> set[str]:
    return {row.cause for row in found.differences}


def scaled(bars: Bars, field: str, symbol: str, row: int, by: float) -> Bars:
    frame = getattr(bars, field).copy()
    frame.iloc[row, frame.columns.get_loc(symbol)] *= by
    return replace(bars, **{field: frame})


def test_what_was_traded_as_research_says_has_no_difference(stage: Stage) -> None:
    found = stage.compare(stage.trade())
    assert found.differences == ()
    assert [session.traded for session in found.sessions] == [1, 0, 1, 0]
    assert all(session.equal and session.same_data for session in found.sessions)
    assert found.fills == 2
    assert found.slippage_bps == pytest.approx(1.0)  # half of the spread of 2
    assert found.model_bps == pytest.approx(1.0)


def test_other_bars_than_then_are_the_data(stage: Stage) -> None:
    period = stage.trade()
    revised = scaled(stage.bars, "volume", "BBB", FIRST - 1, 2.0)
    found = stage.compare(period, bars=revised)
    # The written strategy reads no volume: the bars differ in every digest, and nothing else does.
    assert [session.same_data for session in found.sessions] == [False] * SESSIONS
    assert found.differences == ()

    @dataclass(frozen=True)
    class Timid(Written):
        def weights(self, bars: Bars) -> pd.DataFrame:
            seen = super().weights(bars)
            return seen * (0.5 if bars.volume["BBB"].iloc[FIRST - 1] > 1e6 else 1.0)

    found = stage.compare(period, bars=revised, seat=replace(stage.seat, strategy=Timid(("AAA", "BBB"), WANTED)))
    assert causes(found) == {"data"}
    assert len(found.apart) == SESSIONS


def test_another_strategy_on_the_same_bars_is_the_signal(stage: Stage) -> None:
    period = stage.trade()
    other = replace(stage.seat, strategy=Weekly(("AAA", "BBB"), {29: {"AAA": 0.4}, 31: WANTED[31]}))
    found = stage.compare(period, seat=other)
    assert causes(found) == {"signal"}
    row = found.differences[0]
    opened, closed = (float(frame["AAA"].iloc[FIRST]) for frame in (stage.bars.open, stage.bars.close))
    now, then = int(40_000.0 // opened), int(50_000.0 // opened)
    assert (row.symbol, row.expected, row.traded) == ("AAA", now, then)
    # (shares) × (close − price with half the spread), less 1 dollar or half a cent a share of commission.
    fees = max(1.0, then * 0.005) - max(1.0, now * 0.005)
    assert row.money == pytest.approx((then - now) * (closed - opened * 1.0001) - fees)


def test_an_open_that_was_not_the_price_decided_on_is_the_timing(stage: Stage) -> None:
    found = stage.compare(stage.trade(), tape=scaled(stage.bars, "open", "AAA", FIRST, 0.99))
    assert causes(found) == {"timing"}
    assert found.apart == ()  # research holds the same weights; only the size and the price are another's
    (row,) = found.differences
    assert row.expected > row.traded
    assert row.money < 0.0


def test_what_the_gate_denied_is_the_gate(stage: Stage) -> None:
    stage.limits = OPEN_LIMITS.model_copy(update={"max_order_value": 30_000.0})
    found = stage.compare(stage.trade())
    assert causes(found) == {"gate"}
    first = found.differences[0]
    assert (first.symbol, first.traded) == ("AAA", 0)
    assert "ORDER_VALUE" in first.text or "NOTIONAL" in first.text
    assert (found.sessions[0].equal, found.sessions[0].explained) == (False, True)


def test_a_price_beyond_half_the_spread_is_the_fill(stage: Stage) -> None:
    found = stage.compare(stage.trade(COSTS.model_copy(update={"spread_bps": 10.0})))
    assert causes(found) == {"fill"}
    opened = float(stage.bars.open["AAA"].iloc[FIRST])
    assert found.differences[0].money == pytest.approx(-int(50_000.0 // opened) * opened * 4e-4, rel=1e-3)
    assert found.slippage_bps == pytest.approx(5.0)


def test_another_commission_is_the_cost(stage: Stage) -> None:
    found = stage.compare(stage.trade(), costs=CostParams(schedule="none", spread_bps=2.0))
    assert causes(found) == {"cost"}
    shares = int(50_000.0 // float(stage.bars.open["AAA"].iloc[FIRST]))
    assert found.differences[0].money == pytest.approx(-max(1.0, shares * 0.005))


def test_the_causes_sum_to_the_whole_difference(stage: Stage) -> None:
    period = stage.trade(COSTS.model_copy(update={"spread_bps": 9.0}))
    other = replace(stage.seat, strategy=Weekly(("AAA", "BBB"), {29: {"AAA": 0.3}, 31: {"BBB": -0.1}}))
    free = CostParams(schedule="none", spread_bps=0.0)
    found = stage.compare(period, seat=other, tape=scaled(stage.bars, "open", "BBB", FIRST + 2, 1.02), costs=free)
    opens, closes = stage.bars.open.iloc[FIRST], stage.bars.close.iloc[FIRST]
    (trade,) = period.decisions[0].trades
    made = trade.filled * closes["AAA"] - trade.paid - trade.commission
    research = int(30_000.0 // opens["AAA"]) * (closes["AAA"] - opens["AAA"])
    assert sum(found.sessions[0].money.values()) == pytest.approx(made - research)
    assert sum(map(found.money, CAUSES)) == pytest.approx(sum(row.money for row in found.differences), abs=0.05)


def test_what_a_stop_and_the_clock_closed_is_no_difference(stage: Stage) -> None:
    low = stage.bars.low.copy()
    low.iloc[FIRST, 0] = 50.0  # through the stop on its first day
    bounded = replace(stage, bars=replace(stage.bars, low=low))
    exits = Exits(stop_atr=2.0, minutes_before_close=15)
    seat = replace(bounded.seat, strategy=replace(bounded.seat.strategy, exits=exits))
    (bounded.folder / "params").mkdir()
    settings = Settings(portfolio=PortfolioParams(cash=100_000.0), costs=COSTS)
    rehearsal = Rehearsal.open(settings, Paths(bounded.folder), (seat,), Data(bounded.bars), SESSIONS, OPEN_LIMITS)
    reports = [rehearsal.trade(session) for session in rehearsal.sessions]
    found = bounded.compare(read_period(rehearsal.journal, "written"), seat=seat)
    decided = [one.wanted.weights for one in found.period.decisions]
    rehearsal.close()
    # AAA was stopped, and its weight stays: it is wanted no more. BBB is bought each morning and sold before the close.
    assert decided == [{"AAA": 0.5}, {}, {"BBB": -0.2}, {"BBB": -0.2}]
    assert found.differences == ()
    assert found.apart == ()
    assert all(report.results[0].held == {} for report in reports)


def test_a_period_without_a_decision_is_refused(stage: Stage) -> None:
    stage.trade()
    rehearsal = Rehearsal.open(Settings(), Paths(stage.folder), (stage.seat,), Data(stage.bars), 1, stage.limits)
    try:
        with pytest.raises(NoData, match="has no decision of it between 2030-01-01 and now"):
            read_period(rehearsal.journal, "written", pd.Timestamp("2030-01-01").date())
        with pytest.raises(NoData, match="no decision of it; trade it first"):
            read_period(rehearsal.journal, "other")
    finally:
        rehearsal.close()


def test_the_record_says_equal_only_where_nobody_saw_otherwise(stage: Stage) -> None:
    period = stage.trade()
    days = [decided.session for decided in period.decisions]
    seen = (None, True, False, None)
    rows = tuple(SessionRecord(day, 1.0, 0.0, 0, 1.0, equal) for day, equal in zip(days, seen, strict=True))
    record = TrackRecord("written", 1, "pack", "paper", "embedded", "sample", rows, 2, 1.0, 1.0, "head")
    equal = noted(record, stage.compare(period))
    assert [one.positions_equal for one in equal.sessions] == [True, True, False, True]
    other = replace(stage.seat, strategy=Weekly(("AAA", "BBB"), {}))
    assert not any(one.positions_equal for one in noted(record, stage.compare(period, seat=other)).sessions)


def test_what_was_denied_is_explained_only_where_research_gives_the_same_weights(stage: Stage) -> None:
    stage.limits = OPEN_LIMITS.model_copy(update={"max_order_value": 30_000.0})
    period = stage.trade()
    days = [decided.session for decided in period.decisions]
    seen = ((False, (EXPLAINED,)), (None, ()), (False, ()), (True, ()))
    rows = tuple(
        SessionRecord(day, 1.0, 0.0, 0, 1.0, equal, breaks) for day, (equal, breaks) in zip(days, seen, strict=True)
    )
    record = TrackRecord("written", 1, "pack", "paper", "embedded", "sample", rows, 2, 1.0, 1.0, "head")
    found = stage.compare(period)
    apart = [session.explained for session in found.sessions]
    told = [one.explained for one in noted(record, found).sessions]
    assert (apart[0], told[0], told[2]) == (True, True, False)  # the runner saw something else in the third
    other = replace(stage.seat, strategy=Weekly(("AAA", "BBB"), {}))
    assert not any(one.explained for one in noted(record, stage.compare(period, seat=other)).sessions[:1])


def test_a_session_that_was_closed_when_its_runner_was_killed_is_put_into_the_record(stage: Stage) -> None:
    period = stage.trade()
    settings = Settings(portfolio=PortfolioParams(cash=100_000.0), costs=COSTS)
    rehearsal = Rehearsal.open(settings, Paths(stage.folder), (stage.seat,), Data(stage.bars), 1, stage.limits)
    try:
        closed = closed_sessions(rehearsal.journal, "written", "pack", "paper")
        assert closed_sessions(rehearsal.journal, "written", "another pack", "paper") == ()
    finally:
        rehearsal.close()
    opens, closes = stage.bars.open["AAA"], stage.bars.close["AAA"]
    shares, first = int(50_000.0 // float(opens.iloc[FIRST])), float(opens.iloc[FIRST]) * 1.0001
    # Bought at the first open, half the spread and a dollar above it; then held over the second session.
    made = shares * (float(closes.iloc[FIRST]) - first) - max(1.0, shares * 0.005)
    held = shares * float(closes.iloc[FIRST + 1] - closes.iloc[FIRST])
    assert [one.trades for one in closed] == [1, 0, 1, 0]
    assert [one.pnl for one in closed[:2]] == pytest.approx([made, held])
    assert closed[1].capital == pytest.approx(100_000.0 + made)

    gap = tuple(replace(one, positions_equal=True) for number, one in enumerate(closed) if number != 1)
    record = TrackRecord("written", 1, "pack", "paper", "embedded", "sample", gap, 2, 1.0, 1.0, "head")
    whole = noted(record, stage.compare(period), closed)
    assert [one.date for one in whole.sessions] == [decided.session for decided in period.decisions]
    assert all(one.positions_equal for one in whole.sessions)
    assert whole.sessions[1].equity == pytest.approx(100_000.0 + made + held)
    assert whole.sessions[3].equity == pytest.approx(100_000.0 + sum(one.pnl for one in closed))


def test_a_record_edited_by_hand_is_made_again_from_the_journal_and_compared_no_sooner(stage: Stage) -> None:
    period, now, paths = stage.trade(recorded=True), datetime.now(UTC), Paths(stage.folder)
    file = paths.state / "records/strategy/written/1/paper.json"
    record = read_track_record(file.read_bytes(), "paper.json", now)
    severe = Break("severe", "AAA: +5 in the journal, +6 at the broker")
    first, second, *rest = record.sessions
    journal = Journal.open(Settings(), paths, "PAPER")
    try:
        assert journal.book.past.records == {record.key: record.digest}
        edited = replace(
            record, sessions=(replace(first, pnl=900.0, trades=9), replace(second, breaks=(severe,)), *rest)
        )
        assert sessions_again(journal, edited) == (first, replace(second, breaks=(severe,)), *rest)
        bare = replace(record, sessions=(replace(first, positions_equal=False), second, *rest[:-1]))
        assert sessions_again(journal, bare)[0].positions_equal is False  # what speaks against it stays
        assert sessions_again(journal, bare)[1:] == record.sessions[1:]

        file.write_bytes(edited.bytes())
        with pytest.raises(DataRefused, match="is not what the journal of PAPER says was written last; nothing was"):
            note_parity(paths, 1, "paper", stage.compare(period), (), journal, now)
        assert file.read_bytes() == edited.bytes()
        file.write_bytes(record.bytes())
        assert note_parity(paths, 1, "paper", stage.compare(period), (), journal, now) == SESSIONS
        kept = read_track_record(file.read_bytes(), "paper.json", now)
        assert journal.book.past.records == {record.key: kept.digest}
    finally:
        journal.close()
