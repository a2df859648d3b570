"""Rules 14 and 15: whether the account can carry an order, and whether the day has lost enough."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.live.gate.facts import Asked, GateState, finite, known, positive, total, worth
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.trading import Side


def _buying_power(asked: Asked, state: GateState) -> Iterator[Denial]:
    equity, account = state.equity(), known(state.account, "account")
    # The broker's figure knows nothing of orders that are on their way.
    waiting = total((_opening(name, state) * state.mark(name) for name in state.symbols), "open orders")
    needed, power = worth(asked.order, state) + waiting, finite(account.buying_power, "buying power")
    if not needed <= power:
        yield deny("BUYING_POWER_EXCEEDED", buying_power=power, needed=needed)
    what_if = known(state.what_if, "answer of the broker's what-if")
    equity_after = finite(what_if.equity_after, "equity after the order")
    margin = finite(account.initial_margin, "initial margin") + finite(what_if.initial_change, "change of margin")
    free, least = min(equity, equity_after) - margin, state.limits.min_free_equity * equity
    if not free >= least:
        yield deny("MARGIN_EXCEEDED", min_free_equity=least, free_equity=free, margin=margin)


def _opening(symbol: str, state: GateState) -> int:
    """Return the shares that open orders may add to what is held, long and short."""
    held = state.held(symbol)
    buys, sells = state.pending(symbol, Side.BUY), state.pending(symbol, Side.SELL)
    return max(0, buys - max(0, -held)) + max(0, sells - max(0, held))


def _daily_loss(_: Asked, state: GateState) -> Iterator[Denial]:
    day = known(state.day, "result of the day")
    most = state.limits.daily_loss(positive(day.equity_at_open, "equity at the open"))
    loss = -finite(day.pnl, "result of the day")
    if not loss < most:
        yield deny("DAILY_LOSS_REACHED", max_loss=most, loss=loss)


RULES = (
    Rule(14, "BUYING_POWER", _buying_power, growing=True),
    Rule(15, "DAILY_LOSS", _daily_loss, growing=True),
)
