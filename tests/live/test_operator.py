"""Only a person with a reason brings trading back; a large order passes once somebody confirmed it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from workbench.errors import InputRefused, NoData, TradingHalted
from workbench.live.gate import Asked, Decision, Outcome
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Reading
from workbench.live.operator import (
    confirm,
    denied,
    keep_limits,
    limits_in_force,
    profile_of,
    reduce_only,
    resume,
    waiting,
    watch_limits,
)
from workbench.live.trading_state import TradingState
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Order, Side

NOW = datetime(2024, 7, 2, 15, tzinfo=UTC)
REASON = "the feed is back, checked by hand"
ASKED = Asked(
    Order("k1", "AAA", Side.BUY, 200), shares={"trend": 200}, packs={"trend": "a"}, decision="d1", planned=200
)
WAITS = Decision(Outcome.WAITS, ("WAITS_FOR_CONFIRMATION: confirm_above=10,000, notional=20,000",))


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def project(tmp_path):
    """A root of its own with the shipped profiles."""
    repo = Paths()
    (tmp_path / "params").mkdir()
    shutil.copy(repo.params / "base.yaml", tmp_path / "params")
    shutil.copy(repo.params / "approvers.yaml", tmp_path / "params")
    shutil.copytree(repo.params / "risk", tmp_path / "params" / "risk")
    return Settings(), Paths(tmp_path)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(project, clock):
    """The journal of the account's runner."""
    settings, paths = project
    lease = Lease.acquire(settings, paths, "DU1")
    made = Journal.open(settings, paths, "DU1", lease=lease, clock=clock)
    made.begin()
    yield made
    made.close()
    lease.release()


def halt_of(project):
    return HaltFile(project[1], "DU1")


def test_resuming_keeps_who_and_why_and_what_the_stop_could_not_journal(project, journal):
    halt = halt_of(project)
    halt.write("drill", "ada", NOW)
    halt.note({"emergency": "stopped", "flat": True})
    journal.set_state(TradingState.HALTED, "drill")
    assert resume(journal, halt, who="bob", reason=REASON) == "halted (drill)"
    assert (journal.book.state, journal.book.because) == (TradingState.ACTIVE, REASON)
    last = [event for event in journal.events() if event.kind in (Kind.OPERATOR, Kind.STATE)]
    assert last[-2].data == {"noted": {"emergency": "stopped", "flat": True}}
    assert (last[-1].data["who"], last[-1].data["state"]) == ("bob", "active")
    assert halt.reason == ""
    halt.require_none()


DRAWDOWN = "DRAWDOWN_REACHED: max_drawdown=0.1, drawdown=0.107, peak=1,120,000, equity=1,000,000"


@pytest.mark.parametrize(("halted", "peak"), [(DRAWDOWN, 1_000_000.0), ("quotes are silent", 1_120_000.0)])
def test_who_resumes_after_a_drawdown_begins_a_new_highest_equity_and_nobody_else_does(project, journal, halted, peak):
    journal.begin(date="2024-07-01", equity=1_120_000.0)
    journal.set_state(TradingState.HALTED, halted, "the monitor")
    resume(journal, halt_of(project), who="bob", reason=REASON)
    journal.begin(date="2024-07-02", equity=1_000_000.0)
    assert journal.book.past.peak_equity == peak


def test_a_drawdown_stop_is_resumed_as_one_also_after_everything_was_closed_by_hand(project, journal):
    journal.begin(date="2024-07-01", equity=1_120_000.0)
    journal.set_state(TradingState.HALTED, DRAWDOWN, "the monitor")
    journal.set_state(TradingState.HALTED, "everything is closed by hand", "ada")
    said = "halted (everything is closed by hand), for a drawdown: the highest equity begins anew"
    assert resume(journal, halt_of(project), who="bob", reason=REASON) == said
    assert (journal.book.past.peak_equity, journal.book.past.halts) == (0.0, [])
    journal.begin(date="2024-07-02", equity=1_100_000.0)
    journal.set_state(TradingState.HALTED, "quotes are silent", "the monitor")
    assert resume(journal, halt_of(project), who="bob", reason=REASON) == "halted (quotes are silent)"
    assert journal.book.past.peak_equity == 1_100_000.0


@pytest.mark.parametrize("closed", [False, True])
def test_a_drawdown_stop_that_the_journal_did_not_take_is_resumed_as_one(project, journal, closed):
    halt = halt_of(project)
    journal.begin(date="2024-07-01", equity=1_120_000.0)
    journal.set_state(TradingState.REDUCING, "quotes are silent")
    resume(journal, halt, who="bob", reason=REASON)
    halt.write(DRAWDOWN, "the monitor", NOW)
    halt.note({"emergency": "stopped", "reason": DRAWDOWN, "flat": False})
    if closed:
        halt.write("everything is closed by hand", "ada", NOW)
    why = "everything is closed by hand, by ada" if closed else f"{DRAWDOWN}, by the monitor"
    said = resume(journal, halt, who="eve", reason=REASON)
    assert said == f"active ({why}), for a drawdown: the highest equity begins anew"
    assert journal.book.past.peak_equity == 0.0


def test_a_drawdown_that_only_cash_may_explain_and_one_of_another_account_leave_the_highest_equity(project, journal):
    journal.begin(date="2024-07-01", equity=1_120_000.0)
    journal.set_state(TradingState.REDUCING, f"{DRAWDOWN}, missing_cash=40,000", "the monitor")
    assert resume(journal, halt_of(project), who="bob", reason=REASON).startswith("reducing (DRAWDOWN")
    HaltFile(project[1]).write(DRAWDOWN, "a monitor that could not ask which account", NOW)
    resume(journal, halt_of(project), who="bob", reason=REASON)
    assert journal.book.past.peak_equity == 1_120_000.0


def test_a_halt_that_only_the_file_knows_is_resumed_too(project, journal):
    halt = halt_of(project)
    halt.write("drill", "ada", NOW)
    assert resume(journal, halt, who="bob", reason=REASON) == "active (drill, by ada)"
    halt.require_none()


@pytest.mark.parametrize(
    ("who", "reason", "told"),
    [("", REASON, "resume: nobody does it"), ("bob", "ok", "resume: the reason has 2 letters, it needs 10")],
)
def test_without_name_or_reason_nothing_resumes(project, journal, who, reason, told):
    journal.set_state(TradingState.HALTED, "drill")
    with pytest.raises(InputRefused, match=told):
        resume(journal, halt_of(project), who=who, reason=reason)
    assert journal.sync().state is TradingState.HALTED


def test_what_is_active_is_not_resumed(project, journal):
    with pytest.raises(InputRefused, match="account DU1 is active"):
        resume(journal, halt_of(project), who="bob", reason=REASON)


def test_the_state_survives_a_restart_and_no_program_loosens_it(project, journal, clock):
    journal.set_state(TradingState.REDUCING, "data is stale")
    settings, paths = project
    again = Journal.open(settings, paths, "DU1", clock=clock)
    assert again.book.state is TradingState.REDUCING
    again.close()
    with pytest.raises(TradingHalted, match="only a person loosens it"):
        journal.set_state(TradingState.ACTIVE, "looks fine again")
    journal.set_state(TradingState.HALTED, "worse")
    reduce_only(journal, who="bob", reason="let the positions run out")
    assert journal.book.state is TradingState.REDUCING


def test_an_order_that_waits_is_kept_whole_until_it_is_confirmed_and_sent(journal):
    journal.append(denied(ASKED, WAITS))
    assert waiting(journal, NOW) == {"k1": (ASKED, False)}
    assert confirm(journal, "k1", who="bob", now=NOW) == ASKED
    confirm(journal, "k1", who="eve", now=NOW)  # who was first stays
    assert waiting(journal, NOW) == {"k1": (ASKED, True)}
    assert [event.data["who"] for event in journal.events() if event.kind is Kind.OPERATOR] == ["bob"]
    journal.intend([ASKED], 1)
    assert waiting(journal, NOW) == {}


def test_an_order_that_was_denied_or_waited_too_long_cannot_be_confirmed(journal):
    journal.append(denied(replace(ASKED, order=replace(ASKED.order, key="k2")), Decision(Outcome.DENIED, ("X: a=1",))))
    journal.append(denied(ASKED, WAITS))
    with pytest.raises(NoData, match="no order 'k2' waits"):
        confirm(journal, "k2", who="bob", now=NOW)
    assert set(waiting(journal, NOW + timedelta(minutes=30))) == {"k1"}
    with pytest.raises(NoData, match="waited for more than 30 minutes"):
        confirm(journal, "k1", who="bob", now=NOW + timedelta(minutes=31))
    with pytest.raises(InputRefused, match="nobody confirms it"):
        confirm(journal, "k1", who=" ", now=NOW)


def broker_account(settings):
    return settings.model_copy(update={"live": LiveParams(mode="paper")})


def test_limits_that_were_tightened_hold_after_a_restart(project, journal, clock):
    settings, paths = project
    settings = broker_account(settings)
    watch = watch_limits(journal, settings, paths, clock)
    file = paths.params / "risk" / "default.yaml"
    file.write_text(file.read_text().replace("max_positions: 5", "max_positions: 2"))
    keep_limits(journal, watch.poll(), "default")
    assert limits_in_force(journal).max_positions == 2
    file.write_text(file.read_text().replace("max_positions: 2", "max_positions: 5"))
    reading = watch_limits(journal, settings, paths, clock).poll()
    assert reading.limits.max_positions == 2
    assert "loosens max_positions 2 → 5" in reading.refused
    assert "nothing stands at paper" in reading.refused


def test_writing_limits_down_does_not_undo_a_halt(project, journal):
    journal.set_state(TradingState.HALTED, "drill")
    settings, paths = project
    reading: Reading = watch_limits(journal, settings, paths, lambda: NOW).poll()
    keep_limits(journal, reading, "sample")
    assert journal.sync().state is TradingState.HALTED


def test_each_account_has_its_profile():
    assert profile_of(Settings()) == "sample"
    assert profile_of(broker_account(Settings())) == "default"


def test_a_cut_denial_of_another_kind_is_no_order(journal):
    journal.append(Draft(Kind.OPERATOR, {"confirmed": True, "who": "bob"}, "k9"))
    assert waiting(journal, NOW) == {}
