"""What is seen of the account each minute, for the monitor to judge, and orders that no look finds any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from workbench.errors import OrderRejected, WorkbenchError
from workbench.live import protection
from workbench.live.book import Tracked
from workbench.live.deciding import prices_of
from workbench.live.difference import Of
from workbench.live.dispatch import cancel, tell_ends
from workbench.live.gate import Day
from workbench.live.monitor import Snapshot
from workbench.live.reconcile import Reconciled, reconcile
from workbench.live.recovery import recover
from workbench.live.session import Data, Desk
from workbench.live.trading_state import TradingState
from workbench.sessions import Calendar

# What long and short positions that are gone come to together says something from this part of them all on.
LEAST_OF_BOTH_SIDES = 0.1


@dataclass
class Sight:
    """Looks at an account, and remembers from one look to the next what it doubts."""

    calendar: Calendar
    _doubted: frozenset[str] = frozenset()  # orders that the last look did not find, or found beside nothing held
    _gap: float | None = None  # the broker's cash beyond the books when all that is protected was last seen there
    _read: tuple[date, Data] | None = None  # read once for each newest bar

    def look(self, desk: Desk) -> Snapshot:
        """Ask the broker for all that a look sees, and hold the journal against it."""
        broker, book = desk.broker, desk.journal.book
        told = reconcile(desk.journal, broker, desk.outbox, max_cash=desk.limits().max_cash_difference)
        positions = {one.symbol: one.quantity for one in broker.positions() if one.quantity}
        self._doubt(desk, told, positions)
        now, account = broker.now(), broker.account()
        if self._read is None or self._read[0] != desk.newest(now):
            self._read = desk.newest(now), desk.data(now)
        data = self._read[1]
        wanted = {symbol for seat in desk.seats for symbol in seat.strategy.symbols}
        quotes = broker.quotes(sorted({*positions, *wanted}))
        closes = data.bars.last_close().iloc[-1]
        moves = {
            name: quote.mid / float(closes[name]) - 1.0
            for name, quote in quotes.items()
            if quote.mid is not None and name in closes and closes[name] > 0
        }
        begun = book.past.session == desk.session  # until then, the books have the open of another day
        opened = (book.past.equity_at_open if begun else None) or account.equity
        gap = book.past.gap_at_open if begun else None
        return Snapshot(
            now=now, trading=TradingState.HALTED if desk.journal.halted else book.state, seen_at=now, account=account,
            day=Day(opened, account.equity - opened),
            peak_equity=max(book.past.peak_equity, account.equity - told.paid_in), missing_cash=told.missing_cash,
            paid_in=told.paid_in, gap_at_open=gap, gap_at_peak=book.past.gap_at_peak,
            positions=positions, quotes=quotes, sectors=data.bars.sectors, moves=moves,
            reconciled_at=told.at, differences=tuple(one.text for one in told.unexplained),
            data_age_sessions=self.calendar.age(data.bars.index[-1], now), bad_rows=data.bad_rows, hours=desk.hours,
        )  # fmt: skip

    def _doubt(self, desk: Desk, told: Reconciled, positions: Mapping[str, int]) -> None:
        """See to orders that are in doubt at two looks running: at one, what explains them may be on its way to us.

        That shares are gone is believed where trades or cash say so, too: an answer may lack them.
        """
        unseen, sold = told.unseen, {one.symbol for one in told.differences if one.of is Of.POSITION and not one.ours}
        pointless = protection.pointless(desk.journal.book, positions, desk.clock())
        left = tuple(one for one in pointless if one.order.symbol not in sold)
        paid = bool(left) and self._paid(desk, told, positions, left)
        if not pointless and told.gap is not None:
            self._gap = told.gap
        beside_nothing = {one.order.key for one in pointless if paid or one.order.symbol in sold}
        again, self._doubted = (unseen | beside_nothing) & self._doubted, unseen | beside_nothing
        if again & unseen:
            found = recover(desk.journal, desk.broker, desk.outbox, permit=None)
            until_close = desk.hours.closes - desk.clock()
            tell_ends(desk.journal, desk.outbox, (one.key for one in found), until_close)
        for key in sorted(again & beside_nothing - unseen):
            with suppress(OrderRejected):  # it has just ended
                cancel(desk.journal, desk.broker, key, "the broker holds nothing that it protects")

    def _paid(self, desk: Desk, told: Reconciled, positions: Mapping[str, int], left: Iterable[Tracked]) -> bool:
        """Whether the cash is nearer to what these shares are worth than to nothing: a dividend is no sale.

        It is looked at whole, and by what it moved since they were last seen: other money may have come or gone before.
        """
        if told.gap is None:  # something fills
            return False
        prices = dict[str, float]()
        with suppress(WorkbenchError):  # else by their own: they lie near enough to it
            prices = prices_of(desk, {one.order.symbol for one in left})
        worth = dict[str, float]()
        for one in left:
            symbol = one.order.symbol
            by_others = sum(
                each.broker for each in told.unexplained if each.of is Of.EXECUTION and each.symbol == symbol
            )
            held = positions.get(symbol, 0) - desk.journal.book.against(symbol)
            lacks = desk.journal.book.positions.get(symbol, 0) - held + by_others
            worth[symbol] = lacks * prices.get(symbol, one.order.stop or one.order.limit or 0.0)
        total, gross = sum(worth.values()), sum(map(abs, worth.values()))
        if abs(total) <= LEAST_OF_BOTH_SIDES * gross:
            return not gross
        moved = [told.gap] if self._gap is None else [told.gap, told.gap - self._gap]
        return any(abs(total - one) <= abs(one) for one in moved)
