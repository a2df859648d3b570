"""Rules 1 to 6: whether anything may be traded now, by this evidence, in this contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from workbench.live.gate.facts import Asked, GateState, Origin, Unknown, known, positive
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.live.trading_state import TradingState


def _state(_: Asked, state: GateState) -> Iterator[Denial]:
    if known(state.trading, "trading state") not in (TradingState.ACTIVE, TradingState.REDUCING):
        yield deny("TRADING_HALTED", state=state.trading, because=state.halted_because or "not told")


def _reconciled(asked: Asked, state: GateState) -> Iterator[Denial]:
    # What another symbol's difference says nothing of: a stop beside what both sides agree on.
    if known(state.reconciled, "reconciliation") is not True and asked.origin is not Origin.PROTECTION:
        yield deny("NOT_RECONCILED", symbol=asked.order.symbol)
    if asked.order.symbol in state.locked:
        yield deny("SYMBOL_LOCKED", symbol=asked.order.symbol, locked=len(state.locked))
    if asked.origin is not Origin.OPERATOR:  # who looks at the broker himself may act on what he sees there
        booked, held = state.booked_of(asked.order.symbol), state.held(asked.order.symbol)
        if booked != held:
            yield deny("POSITION_DIFFERS", symbol=asked.order.symbol, journal=booked, broker=held)
    # Against a person's own shares the account would hold fewer than are ours, and those could not be closed.
    mine = state.explained.get(asked.order.symbol, 0)
    if asked.origin in (Origin.STRATEGY, Origin.ALERT) and mine * asked.order.signed < 0:
        after = state.ours_after(asked.order)
        if mine * after < 0:
            yield deny("EXPLAINED_AGAINST", symbol=asked.order.symbol, explained=mine, after=after)


def _connected(_: Asked, state: GateState) -> Iterator[Denial]:
    if known(state.connected, "connection") is not True:
        yield deny("NOT_CONNECTED", connected=state.connected)


def _pack(asked: Asked, state: GateState) -> Iterator[Denial]:
    if asked.origin is Origin.STRATEGY and not asked.shares:
        raise Unknown("no strategy is named that wants it")
    if asked.shares and sum(asked.shares.values()) != asked.order.signed:
        raise Unknown(f"the strategies want {sum(asked.shares.values()):+d} shares, the order {asked.order.signed:+d}")
    for strategy in asked.shares:
        verified = known(state.verified, "verified packs").get(strategy, "")
        decided = asked.packs.get(strategy, "")
        if not verified or decided != verified:
            yield deny(
                "PACK_NOT_VERIFIED", strategy=strategy, verified=verified[:12] or "none", decided=decided[:12] or "none"
            )


def _contract(asked: Asked, state: GateState) -> Iterator[Denial]:
    symbol = asked.order.symbol
    # What is held can always be closed, listed or not.
    if symbol not in known(state.whitelist, "whitelist") and not state.reduces(asked):
        yield deny("SYMBOL_NOT_WHITELISTED", symbol=symbol, whitelisted=len(known(state.whitelist, "whitelist")))
    instrument = known(state.instruments, "contracts").get(symbol)
    if instrument is None or instrument.symbol != symbol or instrument.contract_id <= 0:
        yield deny("CONTRACT_NOT_QUALIFIED", symbol=symbol, contract=instrument.contract_id if instrument else "none")
    elif instrument.currency != known(state.account, "account").currency:
        yield deny("CURRENCY_DIFFERS", account=known(state.account, "account").currency, contract=instrument.currency)


def _session(_: Asked, state: GateState) -> Iterator[Denial]:
    hours, limits = known(state.hours, "session hours"), state.limits
    first = hours.opens - timedelta(minutes=limits.max_minutes_before_open)
    last = hours.closes - timedelta(minutes=limits.min_minutes_before_close)
    if not first <= state.now < last:
        yield deny("SESSION_CLOSED", first=_minute(first), last=_minute(last), now=_minute(state.now))


def _minute(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def tick_of(symbol: str, state: GateState) -> float:
    """Return the smallest step of a symbol's price."""
    instrument = known(state.instruments, "contracts").get(symbol)
    return positive(instrument.tick if instrument else None, f"tick of {symbol}")


RULES = (
    Rule(1, "TRADING_STATE", _state),
    Rule(2, "RECONCILED", _reconciled),
    Rule(3, "CONNECTED", _connected, always=True),
    Rule(4, "PACK", _pack),
    Rule(5, "CONTRACT", _contract),
    Rule(6, "SESSION", _session),
)
