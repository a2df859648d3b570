"""Parity: what was traded, held against what research makes of the same sessions."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import MADE, Set, read_settings, show_folding, show_table
from workbench.errors import InputRefused, did_you_mean

if TYPE_CHECKING:
    from workbench.live.session import Seat
    from workbench.params import Paths, Settings
    from workbench.parity.compare import Parity
    from workbench.parity.period import Period
    from workbench.types import Bars

SHOWN = 12


def parity(
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY")],
    from_: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first session.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last session.")] = "",
    set_: Set = None,
) -> None:
    """Compute every traded session again, and put each difference down to data, signal, timing, gate, fill or cost."""
    from workbench.cli.risk import account_here
    from workbench.cli.trading import seats_here
    from workbench.clock import read_clock
    from workbench.live.journal.journal import Journal
    from workbench.parity.period import read_period
    from workbench.parity.record import closed_sessions, note_parity

    paths, settings = read_settings(set_)
    start, end = _day("--from", from_), _day("--to", to)
    if start and end and start > end:
        raise InputRefused(f"--from {start} is after --to {end}; swap them")
    journal = Journal.open(settings, paths, account_here(settings, paths))
    try:
        period = read_period(journal, strategy, start, end)
        seats = seats_here(settings, paths)
        seat = next((one for one in seats if one.name == strategy), None)
        if seat is None:
            raise InputRefused(f"{strategy}: does not stand here.{did_you_mean(strategy, [one.name for one in seats])}")
        _require_one_pack(period, seat)
        closed = closed_sessions(journal, strategy, seat.pack, seat.stage)
        found = _compare(period, seat, seats, settings, paths)
        _show(found, settings.market)
        now = read_clock(settings.market, paths).now()
        kept = note_parity(paths, seat.version, seat.stage, found, closed, journal, now)
    finally:
        journal.close()
    print(written(seat, period.account, kept))


def written(seat: Seat, account: str, compared: int | None) -> str:
    """Return what became of the record of a seat that was compared; None: it has none."""
    from workbench.registry.gates.track_record import STAGES

    which = f"{seat.name} version {seat.version}"
    if seat.stage not in STAGES:
        return f"No record of {which} is kept in account {account}: it stands at {seat.stage}, and may only reduce."
    if compared is None:
        return f"No record of {which} at {seat.stage} in account {account} is kept yet; the runner writes it."
    return f"Written to the {seat.stage} record of version {seat.version}: {compared} sessions compared."


def _require_one_pack(period: Period, seat: Seat) -> None:
    packs = {decided.wanted.pack for decided in period.decisions}
    if packs != {seat.pack}:
        last = max(one.session for one in period.decisions if one.wanted.pack != seat.pack)
        raise InputRefused(
            f"{seat.name}: until {last} it traded by another pack than version {seat.version} that stands here; "
            f"compare what this one traded: workbench parity {seat.name} --from DATE"
        )


def _compare(period: Period, seat: Seat, seats: tuple[Seat, ...], settings: Settings, paths: Paths) -> Parity:
    """Read what is known of each moment now, as the runner read it then."""
    import pandas as pd

    from workbench.cli.trading import tape_of
    from workbench.clock import read_clock
    from workbench.data.lake import open_lake
    from workbench.live import feed
    from workbench.live.session import Data
    from workbench.parity.compare import compare
    from workbench.sessions import Calendar

    lake, calendar = open_lake(settings, paths), Calendar()
    lookback = max(one.strategy.lookback for one in seats)
    costs = settings.costs
    if seat.model_bps is not None:
        costs = costs.model_copy(update={"spread_bps": 2.0 * seat.model_bps})
    if settings.live.mode == "embedded":
        past = feed.history(lake, seats, tape_of(settings, read_clock(settings.market, paths)))

        def then(moment: datetime) -> Data:
            return Data(past.bars.until(pd.Timestamp(feed.newest_closed(calendar, moment))), past.versions)

        return compare(period, seat, then, lookback, past.bars, costs)
    bars = lake.bars(feed.symbols_of(seats))
    return compare(
        period, seat, lambda moment: feed.known(lake, seats, calendar, moment), lookback, _printed(bars), costs
    )


def _printed(bars: Bars) -> Bars:
    """Return bars at the prices that were on the tape: what a broker's account was charged."""
    from dataclasses import replace

    ratio = bars.traded_close / bars.close
    prices = {name: getattr(bars, name) * ratio for name in ("open", "high", "low", "close")}
    return replace(bars, **prices)


def _show(found: Parity, market: str) -> None:
    from workbench.parity.compare import CAUSES

    period, sessions = found.period, found.sessions
    title = f"Parity of {period.strategy} · account {period.account} · {sessions[0].session} to {sessions[-1].session}"
    if market == "sample":
        print(MADE)
    rows = [
        [cause, f"{sum(row.cause == cause for row in found.differences)}", f"{found.money(cause):+,.2f}"]
        for cause in CAUSES
    ]
    rows.append(["all", f"{len(found.differences)}", f"{sum(map(found.money, CAUSES)):+,.2f}"])
    show_table(title, ["cause", "differences", "made or lost"], rows)
    worst = sorted(found.differences, key=lambda row: -abs(row.money))[:SHOWN]
    if worst:
        show_folding(
            f"The largest {len(worst)} of {len(found.differences)}",
            ["session", "symbol", "cause", "research", "traded", "money", "why"],
            [[str(row.session), row.symbol, row.cause, f"{row.expected:+,}", f"{row.traded:+,}", f"{row.money:+,.2f}",
              row.text] for row in worst],
        )  # fmt: skip
    apart, traded = found.apart, sum(session.traded for session in sessions)
    print(
        f"{len(sessions) - len(apart)} of {len(sessions)} sessions hold what research holds; {traded:,} orders filled"
    )
    if apart:
        print("positions differ on " + ", ".join(map(str, apart[:5])) + (" …" if len(apart) > 5 else ""))
    if found.slippage_bps is not None:
        print(f"slippage {found.slippage_bps:.2f} bps in {found.fills:,} fills, the model takes {found.model_bps:.2f}")


def _day(option: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InputRefused(f"{option} '{text}' is not a date; write YYYY-MM-DD") from error
