"""What a rollback says of open positions, carried out: from the record over the real loader to the paper broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import yaml

from tests.live.test_runner import FREE, WIDE
from tests.registry.conftest import NOW
from tests.registry.loader.conftest import SIZING, Runner, complete
from workbench.cli import promotion
from workbench.cli.trading import seats_here
from workbench.errors import InputRefused, NoData, PackRefused
from workbench.live.operator import watch_limits
from workbench.live.rehearsal import Rehearsal
from workbench.live.report import SessionReport
from workbench.live.session import Data
from workbench.params import LiveParams, PortfolioParams
from workbench.registry.lifecycle.demote import demote
from workbench.registry.lifecycle.rollback import plan_rollback, retire, roll_back
from workbench.registry.lifecycle.shares import unproven_shares
from workbench.strategies.classes import build
from workbench.types import Bars

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
SYMBOLS = ["AAA00", "AAA01"]


class Now:
    """The time of the test."""

    simulated = False

    def now(self):
        return NOW + timedelta(days=1)


@pytest.fixture
def bars(bars_of: Callable[..., Bars]) -> Bars:
    """200 sessions in which both rise, one faster, so that the strategy holds both; it never changes its mind."""
    step = np.arange(200)
    close = np.column_stack([50.0 + 0.10 * step + 0.2 * (step % 3), 80.0 + 0.15 * step + 0.3 * (step % 4)])
    return bars_of(close, SYMBOLS, start="2024-01-02", sectors={"AAA00": "Alpha", "AAA01": "Beta"})


class Desk:
    """One embedded account, on which whatever stands at paper trades the next session."""

    def __init__(self, runner: Runner, bars: Bars) -> None:
        self.runner, self.bars = runner, bars
        self.settings = runner.project.settings.model_copy(
            update={"market": "real", "portfolio": PortfolioParams(cash=100_000.0), "costs": FREE}
        )

    def trade(self, row: int) -> SessionReport:
        seats = seats_here(self.settings, self.runner.project.paths, Now())
        known = Data(self.bars.until(self.bars.index[row]))
        rehearsal = Rehearsal.open(self.settings, self.runner.project.paths, seats, known, 1, WIDE)
        try:
            (session,) = rehearsal.sessions
            return rehearsal.trade(session)
        finally:
            rehearsal.close()

    def roll_back(self, positions: str) -> None:
        desk = self.runner.project.desk(NOW + timedelta(hours=3))
        plan = plan_rollback(desk, desk.state("strategy", "sma_cross"), "paper", positions)
        roll_back(desk, plan, "version 2 trades too much")


@pytest.fixture
def desk(runner: Runner, bars: Bars) -> Desk:
    for _ in range(2):  # version 2 takes the place of version 1
        runner.stand("paper", spoil=whole)
    return Desk(runner, bars)


def whole(parts: dict[str, Any]) -> None:
    complete(parts, portfolio={"rebalance": "on_change"}, costs={"spread_bps": 0.0})


def held(report: SessionReport) -> dict[str, int]:
    return dict(report.results[0].held)


def test_flatten_closes_everything_at_the_next_session_and_then_it_starts_from_cash(desk):
    first = desk.trade(190)
    assert (first.results[0].version, set(held(first))) == (2, set(SYMBOLS))
    desk.roll_back("flatten")
    second = desk.trade(191)
    assert second.results[0].version == 1
    assert {order.symbol: order.signed for order in second.orders} == {name: -n for name, n in held(first).items()}
    assert [order.status for order in second.orders] == ["filled", "filled"]
    assert (held(second), second.denied, second.differences) == ({}, (), ())
    assert second.results[0].equal  # it is what was asked for, not a difference from research
    third = desk.trade(192)
    assert set(held(third)) == set(SYMBOLS)
    assert all(order.signed > 0 for order in third.orders)
    assert desk.trade(193).orders == ()  # once, and not again


def test_reduce_only_opens_nothing_after_the_rollback_and_sells_nothing_either(desk):
    first = desk.trade(190)
    desk.roll_back("reduce_only")
    second = desk.trade(191)
    assert (second.orders, held(second)) == ((), held(first))


@pytest.mark.slow
def test_keep_goes_on_with_what_is_held(desk):
    first = desk.trade(190)
    desk.roll_back("keep")
    second = desk.trade(191)
    assert (second.results[0].version, second.orders, held(second)) == (1, (), held(first))


def test_what_a_retired_version_holds_is_closed_where_that_was_asked_for(desk):
    first = desk.trade(190)
    record = desk.runner.project.desk(NOW + timedelta(hours=3))
    retire(record, record.state("strategy", "sma_cross"), 2, "the question is answered", "flatten")
    second = desk.trade(191)
    assert {order.symbol: order.signed for order in second.orders} == {name: -n for name, n in held(first).items()}
    assert (held(second), second.denied, second.results[0].stage) == ({}, (), "retired")
    with pytest.raises(NoData, match="nothing stands at paper"):
        desk.trade(192)


@pytest.mark.slow
def test_what_a_retired_version_holds_is_kept_where_nothing_else_was_asked_for(desk):
    desk.trade(190)
    record = desk.runner.project.desk(NOW + timedelta(hours=3))
    retire(record, record.state("strategy", "sma_cross"), 2, "the question is answered", "keep")
    with pytest.raises(NoData, match="nothing stands at paper"):
        desk.trade(191)


@pytest.mark.slow
def test_what_could_not_be_closed_is_closed_at_the_session_after(desk):
    first = desk.trade(190)
    desk.roll_back("flatten")
    desk.bars, whole = without_price(desk.bars, "AAA01", 191), desk.bars
    second = desk.trade(191)
    assert set(held(second)) == {"AAA01"}
    desk.bars = whole
    third = desk.trade(192)
    assert {order.symbol: order.signed for order in third.orders} == {"AAA01": -held(first)["AAA01"]}
    assert held(third) == {}
    assert set(held(desk.trade(193))) == set(SYMBOLS)


def without_price(bars: Bars, symbol: str, row: int) -> Bars:
    """Return bars in which a symbol is not traded in one session: it has no price then."""
    frames = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume", "traded_close")}
    for name, frame in frames.items():
        frame.loc[bars.index[row], symbol] = 0.0 if name == "volume" else np.nan
    return replace(bars, **frames)


def with_weights(desk: Desk, name: str, **facts: Any) -> None:
    """Let weights stand at paper; that their strategies stand there is for the promotion to ask."""
    pack = desk.runner.project.candidate(name, "weights", **{"market": "real", **facts})
    desk.runner.project.desk().state("weights", name)  # registers it
    desk.runner.step(pack, 1, "backtest", "paper", NOW + timedelta(minutes=30))


def test_a_strategy_without_a_share_gets_no_seat_and_stops_nobody_else_unless_it_holds_something(desk, capsys):
    project = desk.runner.project
    desk.runner.stand("paper", name="mean_reversion", spoil=reverting)
    with_weights(desk, "house", spoil=lambda parts: parts["payload/weights.json"]["weights"].pop("mean_reversion"))
    (seat,) = seats_here(desk.settings, project.paths, Now())
    assert (seat.name, seat.share) == ("sma_cross", 0.4)
    assert "! mean_reversion stands at paper, and the weights that stand here have no share of it" in (
        capsys.readouterr().out
    )
    with pytest.raises(InputRefused, match=r"promoted as weights has no share of 'mean_reversion', which stands here"):
        seats_here(desk.settings, project.paths, Now(), {"mean_reversion": {"AAA00": 10}})
    record = project.desk(NOW + timedelta(hours=3))
    retire(record, record.state("strategy", "sma_cross"), 2, "the question is answered")
    with pytest.raises(InputRefused, match=r"promoted as weights has no share of 'mean_reversion', which stands here"):
        seats_here(desk.settings, project.paths, Now())


def test_demoted_weights_let_nothing_grow_and_say_what_lifts_them(desk, capsys):
    with_weights(desk, "house", expires_at=NOW + timedelta(hours=2))
    project = desk.runner.project
    with pytest.raises(PackRefused, match=r"house version 1 at paper: its evidence expired") as refused:
        seats_here(desk.settings, project.paths, Now())
    assert "to unwind it: workbench demote house --version 1 --kind weights --reason …" in str(refused.value)
    assert str(refused.value).endswith('to go on: workbench pack make house --kind weights --file FILE --reason "…"')
    record = project.desk(NOW + timedelta(hours=3))
    demote(record, record.state("weights", "house"), 1, "its evidence expired")
    (seat,) = seats_here(desk.settings, project.paths, Now())
    assert (seat.name, seat.share, seat.reduce_only) == ("sma_cross", 0.4, True)
    told = capsys.readouterr().out
    assert "! weights house version 1 may only reduce, and so may all that trades by them" in told
    assert "workbench promote house --version 1 --kind weights" in told


def test_demoted_risk_limits_allow_no_loosening(runner):
    project, wide = runner.project, WIDE.model_dump(mode="json")
    parts = {"payload/sample.yaml": wide, "reason.json": {"reason": "wider, after the review of January"}}
    pack = project.candidate("sample", "risk", market="real", parts=parts)
    project.desk().state("risk", "sample")
    runner.step(pack, 1, "backtest", "paper", NOW)
    file = project.root / "params" / "risk" / "sample.yaml"
    file.parent.mkdir()
    tight = {**wide, "max_orders_per_day": 1}

    def loosened() -> str:
        file.write_text(yaml.safe_dump(tight))
        watch.poll()
        file.write_text(yaml.safe_dump(wide))
        return watch.poll().refused

    file.write_text(yaml.safe_dump(tight))
    settings = project.settings.model_copy(update={"market": "real"})
    watch = watch_limits(None, settings, project.paths, Now().now)  # type: ignore[arg-type]
    assert loosened() == ""
    record = project.desk(NOW + timedelta(hours=3))
    demote(record, record.state("risk", "sample"), 1, "they were too wide in January")
    assert "(sample version 1 was demoted, so its limits count as none)" in loosened()


def test_what_undoes_limits_says_so_where_no_account_asks_for_them_and_what_the_embedded_one_does(
    runner, monkeypatch, capsys
):
    project, wide = runner.project, WIDE.model_dump(mode="json")

    def stand(name: str, version: int, *stages: str) -> None:
        reason = {"reason": f"number {version} of the limits"}
        parts = {f"payload/{name}.yaml": {**wide, "max_positions": 4 + version}, "reason.json": reason}
        pack = project.candidate(name, "risk", market="real", parts=parts)
        project.desk().state("risk", name)
        for number, (before, stage) in enumerate(zip(("backtest", *stages), stages, strict=False)):
            runner.step(pack, version, before, stage, NOW + timedelta(minutes=10 * version + number))

    def undone(verb: Callable[..., None], name: str, **words: Any) -> str:
        verb(name, kind="risk", reason="they were too wide in January", **words)
        return capsys.readouterr().out

    monkeypatch.setattr(promotion, "_desk", lambda _: project.desk(NOW + timedelta(hours=2)))
    for version in (1, 2):
        stand("default", version, "paper", "staged_live")
        stand("sample", version, "paper")
    stand("house", 1, "paper")
    out = undone(promotion.rollback, "default", stage="staged_live", yes=True)
    assert "No account asks for limits at staged_live, so what is in force stays as it is: paper accounts ask" in out
    assert "'default' at paper and live accounts ask 'default' at production.\nSee what is in force: workb" in out
    assert "From the next session on" not in out
    out = undone(promotion.rollback, "sample", stage="paper", yes=True)
    assert (
        "The embedded account begins at what params/risk/sample.yaml says, and nothing looser than version 1, the next "
        "time that it trades."
    ) in out
    assert "begins at what params/risk/sample.yaml says, the next time that it" in undone(promotion.demote, "sample")
    assert (
        "No account asks for limits named 'house', so these bind none: embedded ones 'sample', paper ones 'default', "
        "live ones 'default'."
    ) in undone(promotion.demote, "house")


def test_a_new_version_beside_the_old_one_trades_in_an_account_of_its_own(runner, capsys):
    for stage in ("production", "staged_live"):
        runner.stand(stage, spoil=whole)

    def seats(mode: str = "live", account: str = "U1", **live: Any) -> list[tuple[int, str]]:
        live |= {"mode": mode, "account": account}
        settings = runner.project.settings.model_copy(update={"market": "real", "live": LiveParams(**live)})
        return [(seat.version, seat.stage) for seat in seats_here(settings, runner.project.paths, Now())]

    assert seats() == [(1, "production")]
    assert "! sma_cross version 2 stands at staged_live, and is not traded in this account" in capsys.readouterr().out
    assert seats(account="U2", stages=("staged_live",)) == [(2, "staged_live")]
    assert "! sma_cross version 1 stands at production, and is not traded in this" in capsys.readouterr().out
    with pytest.raises(
        InputRefused, match=r"live.stages: staged_live is not traded in a paper account; there is paper"
    ):
        seats("paper", "DU1", stages=("staged_live",))


def test_what_a_version_that_moved_up_left_in_its_account_may_only_shrink_there_and_is_told(runner, capsys):
    runner.stand("production", spoil=whole)
    second = runner.stand("staged_live", spoil=whole)
    runner.stand("staged_live", name="mean_reversion", spoil=reverting)

    def seats(
        books: dict[str, dict[str, int]], account: str = "U2", stage: str = "staged_live", **shares: float
    ) -> list[object]:
        live = LiveParams(mode="live", account=account, stages=(stage,), shares=shares)
        settings = runner.project.settings.model_copy(update={"market": "real", "live": live})
        found = seats_here(settings, runner.project.paths, Now(), books)
        return [(seat.name, seat.version, seat.stage, seat.mode, seat.share) for seat in found]

    holds = {"sma_cross": {"AAA00": 100, "AAA01": -5}, "mean_reversion": {}}
    other = ("mean_reversion", 1, "staged_live", "active")
    assert seats(holds) == [(*other, 0.5), ("sma_cross", 2, "staged_live", "active", 0.5)]
    runner.step(second, 2, "staged_live", "production", NOW + timedelta(minutes=40))
    capsys.readouterr()
    assert seats(holds) == [(*other, 0.5), ("sma_cross", 2, "no stage here", "reduce_only", 0.5)]
    assert (
        "! sma_cross version 2 stands at production, which this account does not trade, and +100 AAA00, -5 AAA01 of it "
        "are still held here: it may only reduce them; to close them now, with all that the account holds: workbench "
        'kill --reason "…"\n'
    ) in capsys.readouterr().out
    leftover = ("sma_cross", 2, "no stage here", "reduce_only", 1.0)  # by the whole equity, nothing of it is too much
    assert seats(holds, mean_reversion=1.0) == [(*other, 1.0), leftover]
    assert seats({}, "U1", "production") == [("sma_cross", 2, "production", "active", 1.0)]
    assert seats({"sma_cross": {}}) == [(*other, 1.0)]  # closed by now
    third = runner.stand("staged_live", spoil=whole)
    assert third.digest != second.digest
    desk = runner.project.desk(NOW + timedelta(hours=3))
    retire(desk, desk.record.state("strategy", "sma_cross"), 3, "the question is answered", "keep")
    assert seats(holds) == [(*other, 1.0)]  # it was said that nothing trades them


def test_evidence_elsewhere_that_does_not_verify_keeps_nobody_from_the_desk_of_the_account_it_left(runner, capsys):
    runner.stand("production", spoil=whole)
    second = runner.stand("staged_live", spoil=whole)
    runner.stand("staged_live", name="mean_reversion", spoil=reverting)
    runner.step(second, 2, "staged_live", "production", NOW + timedelta(minutes=40))
    (params,) = (file for file in runner.files(second) if file.name == "params.json")
    params.write_bytes(params.read_bytes().replace(b"20", b"21"))

    def seats(stage: str, **books: dict[str, int]) -> list[tuple[str, float]]:
        live = LiveParams(mode="live", account="U2", stages=(stage,))
        settings = runner.project.settings.model_copy(update={"market": "real", "live": live})
        return [(seat.name, seat.share) for seat in seats_here(settings, runner.project.paths, Now(), books)]

    capsys.readouterr()
    assert [name for name, _ in seats("staged_live", sma_cross={"AAA00": 100})] == ["mean_reversion"]
    told = capsys.readouterr().out
    assert "params.json: was changed" in told
    assert "nobody sees to what is still held here of sma_cross\n" in told
    with pytest.raises(PackRefused, match=r"params\.json: was changed"):  # where it stands, nothing is traded
        seats("production", sma_cross={"AAA00": 100})


def reverting(parts: dict[str, Any]) -> None:
    whole(parts)
    made = build("mean_reversion", ("AAA00", "AAA01"), SIZING, {})
    parts["params.json"] |= {"params": {}, "lookback": made.lookback}
    parts["lookahead.json"]["reports"][0]["params"] = {}


def test_weights_of_production_name_what_stands_at_staged_live_and_are_judged_by_the_version_that_is_traded(runner):
    first = runner.stand("staged_live", spoil=whole)
    mix = runner.project.candidate("house", "weights", market="real", spoil=only_sma_cross)
    assert unproven_shares(runner.project.desk(), mix, "production", "", restores=True) == []
    (why,) = unproven_shares(runner.project.desk(), mix, "production", "make others")
    assert why == (
        "the weights better nothing at production: by the strategies' returns out of sample it is +0.00 of Sharpe "
        "ratio over equal ones; others, then: make others"
    )
    runner.step(first, 1, "staged_live", "production", NOW + timedelta(minutes=30))
    runner.stand("staged_live", spoil=lambda parts: parts["statistics.json"]["out_of_sample"].update(sharpe=0.2))
    for stage in ("staged_live", "production"):
        found = unproven_shares(runner.project.desk(), mix, stage, "", restores=True)
        assert found == []  # one account: version 1 is traded there
    runner.stand("paper", spoil=lambda parts: parts["statistics.json"]["out_of_sample"].update(sharpe=None))
    assert unproven_shares(runner.project.desk(), mix, "paper", "make others") == [
        "the weights give 'sma_cross' money, whose evidence at paper shows no Sharpe ratio or trades (statistics.json: "
        "out_of_sample.sharpe is null, it must be a number); leave sma_cross out, then: make others"
    ]


def only_sma_cross(parts: dict[str, Any]) -> None:
    facts = {"weights": {"sma_cross": 0.4}, "strategies": {"sma_cross": {"signals": 34, "sharpe": 1.8}}}
    facts |= {"expected_improvement": 0.0}
    parts["payload/weights.json"] |= facts


def test_promoted_weights_share_out_the_equity_and_nothing_else_does(desk):
    project = desk.runner.project
    (alone,) = seats_here(desk.settings, project.paths, Now())
    assert alone.share == 1.0
    with_weights(desk, "house")
    (seat,) = seats_here(desk.settings, project.paths, Now())
    assert (seat.name, seat.share) == ("sma_cross", 0.4)
    written = desk.settings.model_copy(update={"live": LiveParams(shares={"sma_cross": 0.9})})
    with pytest.raises(InputRefused, match=r"live.shares is written, and weights house version 1 stand here"):
        seats_here(written, project.paths, Now())
    with_weights(desk, "garden")
    with pytest.raises(
        InputRefused, match=r"weights garden, house stand here at once; keep one: workbench retire NAME"
    ):
        seats_here(desk.settings, project.paths, Now())


def test_promoted_limits_bind_the_embedded_account_by_the_clock_of_the_project_or_it_is_told(desk, monkeypatch):
    project, wide = desk.runner.project, WIDE.model_dump(mode="json")
    file = project.root / "params" / "risk" / "sample.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump({**wide, "max_positions": 70}))
    parts = {"payload/sample.yaml": {**wide, "max_positions": 1}, "reason.json": {"reason": "one position from now on"}}
    pack = project.candidate("sample", "risk", market="real", parts=parts)
    project.desk().state("risk", "sample")
    desk.runner.step(pack, 1, "backtest", "paper", NOW)
    monkeypatch.setattr("workbench.clock.MachineClock.now", lambda _: NOW + timedelta(days=1))
    seats = seats_here(desk.settings, project.paths, Now())
    known = Data(desk.bars.until(desk.bars.index[190]))  # of 2024, before anything was signed

    def begun() -> Rehearsal:
        rehearsal = Rehearsal.open(desk.settings, project.paths, seats, known, 1)
        rehearsal.close()
        return rehearsal

    desk.runner.away()
    blind = begun()
    assert blind.limits.max_positions == 70
    assert [one.text for one in blind.outbox.pending() if one.kind == "limits"] == list(blind.told)
    assert "risk profile sample: what was promoted cannot be asked, what was in force stays:" in blind.told[0]
    (project.root / "mlruns.gone").rename(project.root / "mlruns")
    bound = begun()
    assert (bound.limits.max_positions, bound.told) == (
        1, ("limits in force, by the promoted ones: max_positions 70 → 1",),
    )  # fmt: skip
