"""The parts of a trading process put together: evidence, limits, data, journal, broker, all closed again at the end."""

from __future__ import annotations

import copy
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from workbench.alerts.outbox import Outbox
from workbench.clock import Clock, read_clock
from workbench.data.lake import Lake, open_lake
from workbench.errors import InputRefused, NoData, WorkbenchError
from workbench.live import feed
from workbench.live.broker import Broker
from workbench.live.connect import StandingMarket, account_of, embedded_file, for_the_stop
from workbench.live.journal.journal import Journal
from workbench.live.kill import Stopped, emergency_stop
from workbench.live.lease import Lease
from workbench.live.operator import profile_of, watch_limits
from workbench.live.paper import PaperBroker
from workbench.live.rehearsal import Rehearsal
from workbench.live.seats import WEIGHTS, leaving_seat, load_seat, promoted_shares, shares_of
from workbench.live.service import Service
from workbench.live.session import Seat
from workbench.params import DataParams, Paths, Settings
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.lifecycle.stages import FLATTEN, REDUCE_ONLY, RETIRE
from workbench.registry.lifecycle.state import Standing, State
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.storing import STRATEGY
from workbench.sessions import Calendar
from workbench.state.store import Store

STAGES = {"embedded": ("paper",), "paper": ("paper",), "live": ("production", "staged_live")}
REHEARSED = ("production", "staged_live", "paper")  # in simulated time, where no account is anybody's money
NO_STAGE = "no stage here"  # of a seat from which only what is held may shrink: what it does is no record of a stage


Books = Mapping[str, Mapping[str, int]]  # strategy -> symbol -> shares


def seats_here(
    settings: Settings, paths: Paths, clock: Clock | None = None, books: Books | None = None
) -> tuple[Seat, ...]:
    """Return what stands at the stages of this kind of account, verified; the higher stage of a name goes first.

    Who still holds something by the account's ``books`` sits there too: where it was retired with ``--positions
    flatten``, and, reduce-only, where it stands at a stage by now that this account does not trade.
    """
    clock = clock or read_clock(settings.market, paths)
    allowed = REHEARSED if clock.simulated else STAGES[settings.live.mode]
    stages = _of_this_account(settings, allowed)
    beside: list[str] = []
    standing: dict[str, tuple[str, Standing]] = {}
    weights, record = {}, Lifecycle.open(settings, paths)
    states, steps = record.states(), record.transitions()
    if len(stages) < len(allowed) and books is None:
        books = _books(settings, paths)
    moved = _moved_away(states, steps, stages, allowed, books or {})
    for (kind, name), state in sorted(states.items()):
        found = next(
            (stage for stage in stages if stage in state.standing), moved.get(name) if kind == STRATEGY else None
        )
        if kind == STRATEGY:
            beside += [
                f"{name} version {state.standing[stage].version} stands at {stage}, and is not traded in this account; "
                f"for one of its own: live.account, with live.stages: [{stage}]"
                for stage in allowed
                if stage in state.standing and stage != found
            ]
        if kind == STRATEGY and name in moved:
            beside.append(_closing_line(name, moved[name], state.standing[moved[name]].version, (books or {})[name]))
        if kind == STRATEGY and found:
            standing[name] = found, state.standing[found]
        if kind == WEIGHTS and found:
            weights[name] = found
    retired = {one.name: one for one in steps if one.kind == STRATEGY and one.action == RETIRE}
    left = [one for one in retired.values() if one.name not in standing and one.positions == FLATTEN]
    if left and books is None:
        books = _books(settings, paths)
    leaving = [
        leaving_seat(one.name, one.version, one.pack, one.number, held)
        for one in left
        if (held := (books or {}).get(one.name))
    ]
    if not (standing or leaving):
        raise NoData(
            f"nothing stands at {' or '.join(stages)}, so nothing is traded: make evidence STRATEGY=xs_momentum, then "
            "make promote STRATEGY=xs_momentum"
        )
    promoted = promoted_shares(weights, settings, paths, clock.now())
    told = (*promoted.told, *beside)
    if promoted.shares is not None:
        told += _take_out_unnamed(standing, promoted.shares, _books(settings, paths) if books is None else books)
    shares, seats = shares_of(tuple(standing), settings.live, promoted.shares, moved), []
    for warning in told:
        print(f"! {warning}")
    for name, (stage, step) in standing.items():
        try:
            seat, warnings = load_seat(name, stage, shares[name], settings, paths, clock.now())
        except WorkbenchError as error:
            if name not in moved or len(standing) == 1:
                raise
            # What stands elsewhere keeps nobody here from the desk; its stops and targets stay as they are.
            print(f"! {error}; nobody sees to what is still held here of {name}")
            continue
        mode = REDUCE_ONLY if promoted.reduce_only or name in moved else seat.mode
        seat = replace(seat, mode=mode, flatten=step.number if step.positions == FLATTEN else 0)
        seats.append(replace(seat, stage=NO_STAGE) if name in moved else seat)
        for warning in warnings:
            print(f"! {warning}")
    return (*seats, *leaving)


def _moved_away(
    states: Mapping[tuple[str, str], State],
    steps: Sequence[Transition],
    stages: Sequence[str],
    allowed: Sequence[str],
    books: Books,
) -> dict[str, str]:
    """Return where the strategies stand now that this account holds something of and has no stage for, by name.

    Who was retired from here is none of them: what becomes of what it held, was said then.
    """
    left = {one.name: one.action for one in steps if one.kind == STRATEGY and one.from_stage in stages}
    found = {}
    for (kind, name), state in states.items():
        here = any(stage in state.standing for stage in stages)
        elsewhere = next((stage for stage in allowed if stage in state.standing), None)
        if kind == STRATEGY and books.get(name) and not here and elsewhere and left.get(name) != RETIRE:
            found[name] = elsewhere
    return found


def _closing_line(name: str, stage: str, version: int, held: Mapping[str, int]) -> str:
    """Say what is still held here of a strategy that stands at a stage which this account does not trade."""
    shares = ", ".join(f"{count:+,} {symbol}" for symbol, count in sorted(held.items())[:3])
    return (
        f"{name} version {version} stands at {stage}, which this account does not trade, and {shares} of it "
        f"{'is' if len(held) == 1 else 'are'} still held here: it may only reduce them; to close them now, with all "
        'that the account holds: workbench kill --reason "…"'
    )


def _of_this_account(settings: Settings, allowed: Sequence[str]) -> Sequence[str]:
    """Return the stages that this account trades, the higher first; what its kind may not trade is refused."""
    named = settings.live.stages or allowed
    if wrong := [stage for stage in named if stage not in allowed]:
        raise InputRefused(
            f"live.stages: {', '.join(wrong)} is not traded in a {settings.live.mode} account; there is "
            f"{', '.join(allowed)}"
        )
    return [stage for stage in allowed if stage in named]


def _take_out_unnamed(
    standing: dict[str, tuple[str, Standing]], promoted: Mapping[str, float], books: Books
) -> tuple[str, ...]:
    """Give no seat to what the weights do not name, and say so; what holds something is left, to be refused by name."""
    unnamed = [name for name in standing if name not in promoted and not books.get(name)]
    if len(unnamed) == len(standing):
        return ()
    return tuple(
        f"{name} stands at {standing.pop(name)[0]}, and the weights that stand here have no share of it, so it is not "
        "traded; promote weights that name it"
        for name in unnamed
    )


def _books(settings: Settings, paths: Paths) -> Books:
    """Return whose the shares of the account are, as far as the settings name it."""
    account = account_of(settings)
    if not account:
        return {}
    journal = Journal.open(settings, paths, account)
    journal.close()
    return journal.book.books


@contextmanager
def open_rehearsal(settings: Settings, paths: Paths, count: int, *, copied: bool) -> Iterator[Rehearsal]:
    """Give the embedded account; ``copied``: a copy of it that is thrown away."""
    clock = read_clock(settings.market, paths)
    seats = seats_here(settings, paths, clock)
    data = feed.history(open_lake(settings, paths), seats, tape_of(settings, clock))
    ahead = clock.now() if clock.simulated else None
    with tempfile.TemporaryDirectory(prefix="workbench-dry-run-") as folder:
        here = _copy(settings, paths, Path(folder)) if copied else paths
        rehearsal = Rehearsal.open(settings, here, seats, data, count, after=ahead, project=paths)
        try:
            for line in rehearsal.told:
                print(f"! {line}")
            yield rehearsal
        finally:
            rehearsal.close()


def tape_of(settings: Settings, clock: Clock) -> DataParams:
    """Return which bars an embedded account trades: in simulated time those that lie ahead of the clock, too.

    What a decision sees of them ends with the last session that had closed.
    """
    return settings.data.model_copy(update={"as_of": None}) if clock.simulated else settings.data


@contextmanager
def open_service(settings: Settings, paths: Paths) -> Iterator[Service]:
    """Give the process that trades an account at Interactive Brokers, connected."""
    from workbench.live.ib import IBBroker

    clock = read_clock(settings.market, paths)
    refused: Exception | None = None
    seats: tuple[Seat, ...] = ()
    try:
        seats = _side_by_side(seats_here(settings, paths, clock))
    except Exception as error:
        if not _may_hold(settings, paths):
            raise  # before anything is connected
        refused = error
    broker, calendar = IBBroker(settings.live), Calendar()

    def verified() -> tuple[Seat, ...]:
        _follow(clock, broker)
        return _side_by_side(seats_here(settings, paths, clock, service.journal.book.books))

    with ExitStack() as stack:
        try:
            journal, lease = stack.enter_context(hold(settings, paths, broker, "runner", clock))
        except WorkbenchError:
            if refused is not None:
                raise refused from None
            raise
        held = _held(journal)
        if refused is not None and not held:
            raise refused
        lake = open_lake(settings, paths)
        if not seats:  # sits nowhere: its prices are read for who watches
            seats = (leaving_seat("nobody", 0, "", 0, _priced(lake, held, settings.data.benchmark)),)
        service = Service(
            settings.live, profile_of(settings), broker, journal, Outbox.open(settings, paths), lease,
            watch_limits(journal, settings, paths, clock.now), verified,
            lambda moment: feed.known(lake, service.seated or seats, calendar, moment),
            lambda moment: feed.newest(calendar, moment, feed.dataset_of(service.seated or seats)),
            lambda reason: stop_by_itself(settings, paths, reason, journal.account), clock.now, calendar,
            refused=refused,
        )  # fmt: skip
        yield service


def _may_hold(settings: Settings, paths: Paths) -> bool:
    """Whether the account may hold something, as far as its books say so before the broker is asked which it is."""
    file = Store.named(settings, paths).file
    if file is not None and not file.exists():
        return False
    if not (account := account_of(settings)):
        return True
    journal = Journal.open(settings, paths, account)
    journal.close()
    return bool(_held(journal))


def _held(journal: Journal) -> dict[str, int]:
    """Return what the books have of an account, and what may have filled since."""
    return {one.order.symbol: 0 for one in journal.book.open_orders} | journal.book.positions


def _side_by_side(seats: tuple[Seat, ...]) -> tuple[Seat, ...]:
    """Return these seats, or refuse those that cannot trade side by side: nobody sits there then."""
    feed.dataset_of(seats)
    return seats


def _priced(lake: Lake, held: Mapping[str, int], benchmark: str) -> dict[str, int]:
    """Return of what is held that of which the lake has prices; of nothing, the benchmark: a look needs some bars."""
    found = {}
    for symbol, shares in held.items():
        with suppress(NoData):
            lake.read(feed.DAILY, [symbol])
            found[symbol] = shares
    return found or {benchmark: 0}


def stop_by_itself(settings: Settings, paths: Paths, reason: str, account: str = "") -> Stopped:
    """Stop the account for the runner's monitor, and leave the stop's client id to the person who stops it next.

    That is the monitor's own ``account``, which the settings need not name.
    """
    broker = for_the_stop(settings, paths)
    try:
        return emergency_stop(settings, paths, broker, reason=reason, who="the monitor", account=account)
    finally:
        broker.close()


@contextmanager
def at_desk(settings: Settings, paths: Paths, holder: str) -> Iterator[tuple[Journal, Broker, Outbox]]:
    """Give a person's hold on the account, for as long as a command takes.

    Where a runner trades it at a gateway, the hold stays with the runner: the journal has no lease then, and takes
    only what a person says.
    """
    if settings.live.mode != "embedded":
        from workbench.live.ib import IBBroker

        beside = IBBroker(settings.live, settings.live.desk_client_id)
        try:
            beside.connect()
            clock = read_clock(settings.market, paths)
            _follow(clock, beside)
            if Lease.holder_of(settings, paths, beside.account_id):
                journal = Journal.open(settings, paths, beside.account_id, clock=clock.now)
                try:
                    yield journal, beside, Outbox.open(settings, paths)
                finally:
                    journal.close()
                return
        finally:
            beside.close()
        broker: Broker = IBBroker(settings.live)
    elif not embedded_file(settings, paths).exists():
        raise NoData(f"account {account_of(settings)}: nothing was traded yet; make paper opens it")
    else:
        market = StandingMarket(settings, paths)
        file, client_id = embedded_file(settings, paths), settings.live.client_id
        broker = PaperBroker(file, market, account=account_of(settings), client_id=client_id)
    with hold(settings, paths, broker, holder, read_clock(settings.market, paths)) as (journal, _):
        journal.begin(by=holder)
        yield journal, broker, Outbox.open(settings, paths)


@contextmanager
def hold(
    settings: Settings, paths: Paths, broker: Broker, holder: str, clock: Clock
) -> Iterator[tuple[Journal, Lease]]:
    """Connect, and hold the account's lease and journal; the account is known once connected."""
    broker.connect()
    try:
        _follow(clock, broker)
        lease = Lease.acquire(settings, paths, broker.account_id, holder)
        try:
            now = broker.now if broker.embedded else clock.now  # an embedded account has a time of its own
            journal = Journal.open(settings, paths, broker.account_id, lease=lease, clock=now)
            try:
                yield journal, lease
            finally:
                journal.close()
                clock.advance(clock.now())
        finally:
            lease.release()
    finally:
        broker.close()


def _follow(clock: Clock, broker: Broker) -> None:
    """Let simulated time be that of the gateway, which proves by it that no real one is traded at."""
    if clock.simulated and not broker.embedded:
        clock.follow(broker.now())


def _copy(settings: Settings, paths: Paths, folder: Path) -> Paths:
    """Copy the account's state into a folder of its own, and return the paths that lead there."""
    there = copy.copy(paths)
    there.state = folder
    for file in (Store.named(settings, paths).file, embedded_file(settings, paths)):
        if file is not None and file.exists():
            read = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
            with closing(read) as source, closing(sqlite3.connect(folder / file.name)) as target:
                source.backup(target)
    return there
