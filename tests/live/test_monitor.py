"""Each look is judged at its bound: just within is nothing, at it is a finding. All numbers are worked by hand."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from workbench.alerts.outbox import Severity
from workbench.errors import Disconnected, NoData
from workbench.live.gate import Day, Hours
from workbench.live.limits import Limits, Watch
from workbench.live.monitor import Action, Monitor, Snapshot, judge
from workbench.live.trading_state import TradingState
from workbench.params import Paths
from workbench.trading import Account, Quote

NOW = datetime(2024, 7, 2, 15, tzinfo=UTC)
HOURS = Hours(datetime(2024, 7, 2, 13, 30, tzinfo=UTC), datetime(2024, 7, 2, 20, tzinfo=UTC))


def quote(symbol: str, price: float | None = 100.0, age: float = 1.0) -> Quote:
    return Quote(symbol, price, price, price, NOW - timedelta(seconds=age))


def account(equity: float = 100_000.0, maintenance: float = 0.0) -> Account:
    return Account("DU1", "USD", equity, equity, equity, 0.0, maintenance, NOW)


CALM = Snapshot(
    now=NOW, trading=TradingState.ACTIVE, seen_at=NOW, account=account(), day=Day(100_000.0, 0.0),
    peak_equity=100_000.0, positions={"AAA": 50},
    quotes={f"A{n}": quote(f"A{n}") for n in range(10)} | {"AAA": quote("AAA")},
    sectors={"AAA": "Energy"}, moves={"AAA": 0.01, "BBB": -0.01}, reconciled_at=NOW, data_age_sessions=1, bad_rows=0.05,
    hours=HOURS,
)  # fmt: skip


def told(limits: Limits | None = None, **changes) -> list[tuple[Action, str]]:
    return [(finding.action, str(finding)) for finding in judge(replace(CALM, **changes), limits or Limits())]


def silent(count: int) -> dict[str, Quote]:
    """Ten quotes, of which the first few have not moved for 61 seconds."""
    return {f"A{n}": quote(f"A{n}", age=61.0 if n < count else 60.0) for n in range(9)} | {"AAA": quote("AAA")}


def test_a_calm_minute_has_no_finding():
    assert told() == []


ROWS = [
    # 3 % of 100,000 is the daily limit; a warning at 75 % of it.
    ({"day": Day(100_000.0, -2_249.99)}, []),
    ({"day": Day(100_000.0, -2_250.0)},
     [(Action.TELL, "DAILY_LOSS_WARNING: warn_at=2,250, max_loss=3,000, loss=2,250")]),
    ({"day": Day(100_000.0, -2_999.99)},
     [(Action.TELL, "DAILY_LOSS_WARNING: warn_at=2,250, max_loss=3,000, loss=2,999.99")]),
    ({"day": Day(100_000.0, -3_000.0)}, [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000")]),
    ({"day": Day(1_000_000.0, -5_000.0)}, [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=5,000, loss=5,000")]),
    ({"day": None}, [(Action.REDUCE, "LOSS_UNKNOWN: because=result of the day unknown")]),
    ({"day": Day(100_000.0, float("nan"))}, [(Action.REDUCE, "LOSS_UNKNOWN: because=result of the day is nan")]),
    # 10 % below the highest equity.
    ({"account": account(90_000.01), "peak_equity": 100_000.0}, []),
    ({"account": account(90_000.0), "peak_equity": 100_000.0},
     [(Action.STOP, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.1, peak=100,000, equity=90,000")]),
    # Cash that nobody explained may be a withdrawal: it stops only where the loss beside it does.
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": 1_000.01},
     [(Action.REDUCE, "DAILY_LOSS_REACHED: max_loss=3,000, loss=4,000, missing_cash=1,000.01")]),
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": 1_000.0},
     [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=3,000, loss=4,000")]),
    ({"account": account(50_000.0), "peak_equity": 100_000.0, "missing_cash": 40_001.0},
     [(Action.REDUCE, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.5, peak=100,000, equity=50,000, "
                      "missing_cash=40,001")]),
    ({"account": account(50_000.0), "peak_equity": 100_000.0, "missing_cash": 40_000.0},
     [(Action.STOP, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.5, peak=100,000, equity=50,000")]),
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": float("nan")},
     [(Action.REDUCE, "LOSS_UNKNOWN: because=missing cash is nan")]),
    # What was missing at the open already is in the equity at the open: it carries no loss of the day, nor of a peak
    # that was reached without it.
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": 40_000.0, "gap_at_open": -40_000.0},
     [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=3,000, loss=4,000")]),
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": 41_001.0, "gap_at_open": -40_000.0},
     [(Action.REDUCE, "DAILY_LOSS_REACHED: max_loss=3,000, loss=4,000, missing_cash=1,001")]),
    ({"day": Day(100_000.0, -4_000.0), "missing_cash": 500.0, "gap_at_open": 40_000.0},
     [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=3,000, loss=4,000")]),
    ({"account": account(90_000.0), "missing_cash": 40_000.0, "gap_at_peak": -40_000.0},
     [(Action.STOP, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.1, peak=100,000, equity=90,000")]),
    # Cash that came since, and that nobody explained, hides no loss; the broker may also tell of it before the trade.
    ({"day": Day(100_000.0, -1_000.0), "paid_in": 2_000.0, "gap_at_open": 0.0},
     [(Action.REDUCE, "DAILY_LOSS_REACHED: max_loss=3,000, loss=1,000, paid_in=2,000")]),
    ({"day": Day(100_000.0, -1_000.0), "paid_in": 3_999.99, "gap_at_open": 2_000.0}, []),
    ({"day": Day(100_000.0, -1_000.0), "paid_in": 2_000.0}, []),
    ({"day": Day(100_000.0, -3_000.0), "paid_in": 2_000.0, "gap_at_open": 0.0},
     [(Action.STOP, "DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000")]),
    ({"account": account(95_000.0), "paid_in": 5_000.0, "gap_at_peak": 0.0},
     [(Action.REDUCE, "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.05, peak=100,000, equity=95,000, "
                      "paid_in=5,000")]),
    ({"day": Day(100_000.0, 0.0), "paid_in": float("nan")},
     [(Action.REDUCE, "LOSS_UNKNOWN: because=cash paid in is nan"),
      (Action.REDUCE, "DRAWDOWN_UNKNOWN: because=cash paid in is nan")]),
    ({"peak_equity": None}, [(Action.REDUCE, "DRAWDOWN_UNKNOWN: because=highest equity unknown")]),
    # 15 % of equity above the maintenance margin.
    ({"account": account(maintenance=85_000.0)}, []),
    ({"account": account(maintenance=85_000.01)},
     [(Action.REDUCE, "MARGIN_CUSHION_THIN: min_cushion=15,000, cushion=14,999.99")]),
    ({"account": account(maintenance=100_000.01)},
     [(Action.STOP, "MARGIN_CALL: equity=100,000, maintenance=100,000.01")]),
    # Prices may carry a position beyond what could have been opened.
    ({"positions": {"AAA": 100}}, []),
    ({"positions": {"AAA": 101}},
     [(Action.TELL, "POSITION_ABOVE_MAX: of=AAA, max_exposure=10,000, exposure=10,100")]),
    ({"positions": {"AAA": -50, "ZZZ": 1}}, [(Action.TELL, "EXPOSURE_UNKNOWN: because=price of ZZZ unknown")]),
    # Three minutes without a look, or without a reconciliation.
    ({"seen_at": NOW - timedelta(minutes=3)}, []),
    ({"seen_at": NOW - timedelta(minutes=3, seconds=1)},
     [(Action.REDUCE, "BROKER_OUT_OF_SIGHT: max_minutes=3, last_seen=14:56:59Z")]),
    ({"seen_at": None}, [(Action.REDUCE, "BROKER_OUT_OF_SIGHT: max_minutes=3, last_seen=never")]),
    ({"reconciled_at": NOW - timedelta(minutes=3)}, []),
    ({"reconciled_at": NOW - timedelta(minutes=6)},
     [(Action.REDUCE, "RECONCILE_OVERDUE: max_minutes=3, minutes=6")]),
    ({"differences": ("AAA: 50 at the broker, 40 here",)},
     [(Action.TELL, "DIFFERENCES: count=1, first=AAA: 50 at the broker, 40 here")]),
    ({"data_age_sessions": 2}, [(Action.REDUCE, "DATA_STALE: max_sessions=1, sessions=2")]),
    ({"data_age_sessions": None}, [(Action.TELL, "DATA_UNKNOWN: because=age of the data unknown")]),
    ({"bad_rows": 0.0501}, [(Action.REDUCE, "DATA_QUALITY_COLLAPSED: max_bad_rows=0.05, bad_rows=0.0501")]),
    # A fifth of the quotes may be silent, while the market is open.
    ({"quotes": silent(2)}, []),
    ({"quotes": silent(3)}, [(Action.REDUCE, "QUOTES_SILENT: max_silent=0.2, silent=0.3, first=A0")]),
    ({"quotes": silent(3), "hours": Hours(HOURS.opens + timedelta(days=1), HOURS.closes + timedelta(days=1))}, []),
    # The median symbol has moved by 7 %, either way.
    ({"moves": {"A": -0.5, "B": -0.0699, "C": 0.2}}, []),
    ({"moves": {"A": -0.5, "B": -0.07, "C": 0.2}},
     [(Action.REDUCE, "CIRCUIT_BREAKER: max_move=0.07, median_move=-0.07, symbols=3")]),
    ({"moves": {"A": 0.08}}, [(Action.REDUCE, "CIRCUIT_BREAKER: max_move=0.07, median_move=0.08, symbols=1")]),
    ({"moves": {"A": float("nan")}}, [(Action.TELL, "MARKET_UNKNOWN: because=no symbol of the market has a move")]),
    ({"trading": TradingState.HALTED}, [(Action.TELL, "HALTED_NOT_FLAT: positions=1, first=AAA")]),
    ({"trading": TradingState.HALTED, "positions": {}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), ROWS, ids=[str(n) for n in range(len(ROWS))])
def test_each_look_is_judged_at_its_bound(changes, expected):
    assert told(**changes) == expected


def test_gross_net_and_sector_are_told_where_prices_carried_them():
    limits = Limits(max_position=1.0, max_gross=0.1, max_net=0.05, max_sector=0.08)
    positions, quotes = {"A0": 60, "A1": -41}, CALM.quotes
    sectors = {"A0": "Energy", "A1": "Energy"}
    assert told(limits, positions=positions, quotes=quotes, sectors=sectors) == [
        (Action.TELL, "GROSS_ABOVE_MAX: max_exposure=10,000, exposure=10,100"),
        (Action.TELL, "SECTOR_ABOVE_MAX: of=Energy, max_exposure=8,000, exposure=10,100"),
    ]


def test_the_most_urgent_comes_first():
    found = judge(replace(CALM, day=Day(100_000.0, -3_000.0), differences=("x",), seen_at=None), Limits())
    assert [finding.action for finding in found] == [Action.STOP, Action.REDUCE, Action.TELL]
    assert [finding.severity for finding in found] == [Severity.CRITICAL, Severity.CRITICAL, Severity.WARNING]


def test_what_is_not_known_at_all_never_counts_as_calm():
    found = judge(Snapshot(NOW), Limits())
    assert {finding.code for finding in found} >= {
        "LOSS_UNKNOWN", "DRAWDOWN_UNKNOWN", "MARGIN_UNKNOWN", "BROKER_OUT_OF_SIGHT", "RECONCILE_OVERDUE",
        "DATA_UNKNOWN",
    }  # fmt: skip
    assert max(finding.action for finding in found) is Action.REDUCE


# ---- the loop ----


@dataclass
class Desk:
    """What the monitor asked for, in order."""

    told: list[tuple[Severity, str, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def tell(self, severity: Severity, kind: str, text: str, cooldown: str) -> None:
        assert cooldown
        self.told.append((severity, kind, text))

    def reduce(self, reason: str) -> None:
        self.done.append(f"reduce: {reason}")

    def stop(self, reason: str) -> None:
        self.done.append(f"stop: {reason}")


def nothing_promoted() -> Limits:
    raise NoData("default: nothing stands at production")


@pytest.fixture
def paths(tmp_path) -> Paths:
    repo = Paths()
    (tmp_path / "params").mkdir()
    shutil.copy(repo.params / "base.yaml", tmp_path / "params")
    shutil.copytree(repo.params / "risk", tmp_path / "params" / "risk")
    return Paths(tmp_path)


def monitor(paths: Paths, look, clock=lambda: NOW) -> tuple[Monitor, Desk]:
    desk = Desk()
    watch = Watch("default", paths, embedded=False, in_force=None, promoted=nothing_promoted)
    return Monitor(look, watch, desk, clock), desk


def test_a_lost_day_stops_once_and_not_again_while_halted(paths):
    lost = replace(CALM, day=Day(100_000.0, -3_000.0))
    snapshots = iter([lost, replace(lost, trading=TradingState.HALTED, positions={})])
    loop, desk = monitor(paths, lambda: next(snapshots))
    loop.tick()
    loop.tick()
    assert desk.done == ["stop: DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000"]
    assert desk.told[0] == (Severity.CRITICAL, "daily_loss_reached", "DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000")


def test_a_finding_that_asks_for_less_only_reduces_and_not_twice(paths):
    snapshots = iter([replace(CALM, data_age_sessions=2),
                      replace(CALM, data_age_sessions=2, trading=TradingState.REDUCING)])  # fmt: skip
    loop, desk = monitor(paths, lambda: next(snapshots))
    loop.tick()
    loop.tick()
    assert desk.done == ["reduce: DATA_STALE: max_sessions=1, sessions=2"]


def test_a_warning_only_tells(paths):
    loop, desk = monitor(paths, lambda: replace(CALM, day=Day(100_000.0, -2_250.0)))
    loop.tick()
    assert desk.done == []
    assert [kind for _, kind, _ in desk.told] == ["daily_loss_warning"]


def test_a_look_that_fails_is_told_and_three_minutes_without_one_reduce(paths):
    minute = [NOW]

    def look() -> Snapshot:
        if minute[0] > NOW:
            raise Disconnected("no connection to the broker")
        return CALM

    loop, desk = monitor(paths, look, lambda: minute[0])
    loop.tick()
    assert desk.done == []
    minute[0] = NOW + timedelta(minutes=3)
    loop.tick()
    assert desk.done == []
    assert "LOOK_FAILED: because=no connection to the broker" in [text for *_, text in desk.told]
    minute[0] = NOW + timedelta(minutes=4)
    loop.tick()
    assert [one.partition(":")[0] for one in desk.done] == ["reduce"]


def test_a_first_look_that_fails_is_told_and_reduces_only_after_three_minutes_without_any(paths):
    minute = [NOW]

    def look() -> Snapshot:
        raise Disconnected("no connection to the broker")

    loop, desk = monitor(paths, look, lambda: minute[0])
    assert [finding.code for finding in loop.tick()] == ["LOOK_FAILED"]
    minute[0] = NOW + timedelta(minutes=3)
    assert [finding.code for finding in loop.tick()] == ["LOOK_FAILED"]
    assert desk.done == []
    minute[0] = NOW + timedelta(minutes=3, seconds=1)
    assert "BROKER_OUT_OF_SIGHT" in [finding.code for finding in loop.tick()]
    assert [one.partition(":")[0] for one in desk.done] == ["reduce"]


def test_tighter_limits_hold_at_the_next_minute_and_looser_ones_are_told_and_refused(paths):
    loop, desk = monitor(paths, lambda: replace(CALM, day=Day(100_000.0, -2_000.0)))
    assert loop.tick() == ()
    file = paths.params / "risk" / "default.yaml"
    file.write_text(file.read_text().replace("max_daily_loss: 0.03", "max_daily_loss: 0.02"))
    loop.tick()
    assert desk.done == ["stop: DAILY_LOSS_REACHED: max_loss=2,000, loss=2,000"]
    assert (Severity.WARNING, "limits", "limits in force: max_daily_loss 0.03 → 0.02") in desk.told
    file.write_text(file.read_text().replace("max_daily_loss: 0.02", "max_daily_loss: 0.50"))
    found = loop.tick()
    assert [finding.code for finding in found] == ["DAILY_LOSS_REACHED", "LIMITS_REFUSED"]


def test_the_loop_ends_when_told(paths):
    looks, until = [], Event()

    def look() -> Snapshot:
        looks.append(1)
        if len(looks) == 3:
            until.set()
        return CALM

    loop, _ = monitor(paths, look)
    thread = Thread(target=loop.run, args=(until, 0.01))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert len(looks) == 3


# ---- closing by the clock ----
