"""What is made under simulated time is believed there and nowhere else; each test tries a way around."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.registry.conftest import NOW, Project
from tests.registry.loader.conftest import STAGES, Runner, complete
from workbench.clock import read_clock, simulate
from workbench.errors import DataRefused, InputRefused, PackRefused, PromotionRefused
from workbench.registry.gates.case import Case
from workbench.registry.gates.track_record import TrackRecord, read_track_record
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import choose, evaluate
from workbench.registry.lifecycle.promote import approve, propose, rule
from workbench.registry.loader import AccountMode
from workbench.registry.making.packing import judged_pack
from workbench.registry.packs.canonical import canonical, read_canonical
from workbench.registry.packs.pack import MANIFEST, Pack, make_pack, pack_from

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
LATER = NOW + timedelta(days=1)
CLOCK = "data/state/clock.json"


@pytest.fixture
def simulated(staffed: Project) -> Project:
    """A project on simulated time, with two people who may sign."""
    simulate("sample", staffed.paths, NOW)
    return staffed


@pytest.fixture
def runner(simulated: Project) -> Runner:
    return Runner(simulated)


def stand(runner: Runner, to: str = "production") -> Pack:
    """Approve a candidate of simulated time up to a stage."""
    pack = runner.project.candidate("sma_cross", market="sample", spoil=complete, simulated=True)
    version = runner.project.desk().state("strategy", "sma_cross").with_pack(pack.digest).version
    for number, (before, stage) in enumerate(zip(("backtest", *STAGES), STAGES, strict=False)):
        runner.step(pack, version, before, stage, NOW + timedelta(minutes=10 * number))
        if stage == to:
            break
    return pack


def desk_of(project: Project) -> Desk:
    return Desk.open(project.settings, project.paths)


def test_a_desk_of_simulated_time_has_its_moment_and_signs_its_record_with_it(simulated):
    desk = desk_of(simulated)
    assert (desk.now, desk.simulated) == (NOW, True)
    assert desk.who.endswith(" (simulated time)")
    simulated.candidate("sma_cross", simulated=True)
    desk.state("strategy", "sma_cross")
    (registered,) = desk.record.transitions()
    assert registered.who.endswith(" (simulated time)")
    assert registered.at == NOW


def test_a_pack_says_that_its_time_was_simulated_and_only_then(simulated, tmp_path):
    files = {"payload/limits.yaml": b"max_gross: 1.2\n", "reason.json": b'{"reason":"a tighter house"}'}
    made = judged_pack("risk", "house", "sample", files, simulated.paths, NOW).pack
    assert made.simulated
    assert read_canonical(made.manifest(), "it")["time"] == "simulated"
    (simulated.root / CLOCK).unlink()
    real = judged_pack("risk", "house", "sample", files, simulated.paths, NOW).pack
    assert not real.simulated
    assert "time" not in read_canonical(real.manifest(), "it")
    assert made.digest != real.digest


def test_a_pack_of_the_real_market_is_never_of_simulated_time():
    facts = {"kind": "risk", "name": "house", "made_by": "ann", "made_at": NOW, "expires_at": LATER, "policy": ""}
    with pytest.raises(InputRefused, match="for the sample market alone, this pack is of 'real'"):
        make_pack(**facts, market="real", files={}, simulated=True)
    made = make_pack(**facts, market="sample", files={}, simulated=True)
    told = read_canonical(made.manifest(), "it")
    for changed in ({"market": "real"}, {"time": "real"}, {"time": True}, {"time": None}):
        with pytest.raises(PackRefused, match=r"manifest.json: .* is missing or of another form"):
            pack_from({MANIFEST: canonical(told | changed)}, "house")
    assert pack_from({MANIFEST: made.manifest()}, "house").simulated


def test_in_simulated_time_it_stands_in_the_embedded_account_and_at_a_gateway_of_paper(runner):
    pack = stand(runner)
    for account in (AccountMode.EMBEDDED, AccountMode.PAPER):
        loaded = runner.load("production", account, market="sample")
        assert (loaded.pack.digest, loaded.stage) == (pack.digest, "production")


@pytest.mark.parametrize("stage", ["staged_live", "production"])
def test_no_account_with_money_is_traded_in_simulated_time(runner, stage):
    stand(runner, stage)
    refused = runner.refusal(stage=stage, account=AccountMode.LIVE, market="sample")
    assert "time is simulated here, so nothing of the sample market is traded in a live account" in refused


@pytest.mark.parametrize("account", list(AccountMode))
@pytest.mark.parametrize("stage", STAGES)
def test_whoever_takes_the_clock_away_has_evidence_that_nothing_believes(runner, stage, account):
    stand(runner, stage)
    (runner.project.root / CLOCK).unlink()
    refused = runner.refusal(stage=stage, account=account, market="sample")
    assert "its evidence is of simulated time, this project is on real time, where it counts for nothing" in refused


def test_evidence_of_real_time_is_not_traded_in_simulated_time(staffed):
    runner = Runner(staffed)
    runner.stand(market="sample")
    simulate("sample", staffed.paths, NOW)
    refused = runner.refusal(account=AccountMode.EMBEDDED, market="sample")
    assert "its evidence is of real time, this project is on simulated time" in refused


def test_the_mark_cut_out_of_the_manifest_makes_another_pack_than_was_approved(runner):
    pack = stand(runner)
    manifest = runner.project.run_folder(pack) / "pack" / "manifest.json"
    told = json.loads(manifest.read_bytes())
    del told["time"]
    manifest.write_bytes(canonical(told))
    (runner.project.root / CLOCK).unlink()
    refused = runner.refusal(stage="production", account=AccountMode.EMBEDDED, market="sample")
    assert "it was exchanged" in refused


def test_the_clock_set_back_by_hand_is_seen_by_the_loader(runner):
    stand(runner)
    clock = read_clock("sample", runner.project.paths)
    clock.advance(LATER)
    runner.load("production", AccountMode.EMBEDDED, now=clock.now(), market="sample")
    file = runner.project.root / CLOCK
    file.write_text(file.read_text().replace("2026-03-03", "2026-03-02"))
    with pytest.raises(DataRefused, match=r"clock: it is 2026-03-02T15:00:00Z, and at 2026-03-03T15:00:00Z something"):
        runner.load("production", AccountMode.EMBEDDED, now=clock.now(), market="sample")


@pytest.mark.parametrize("of_time", [True, False])
def test_a_pack_of_the_other_time_is_neither_signed_nor_moved(staffed, of_time):
    staffed.candidate("sma_cross", simulated=of_time)
    if not of_time:
        simulate("sample", staffed.paths, NOW)
        desk = desk_of(staffed)
    else:
        desk = staffed.desk()
    state = desk.state("strategy", "sma_cross")
    found = evaluate(desk, state, choose(state, None))
    kinds = ("simulated", "real") if of_time else ("real", "simulated")
    assert found.voids[0].startswith(f"the pack is of {kinds[0]} time, this project is on {kinds[1]} time")
    assert "refused: the pack is of" in rule(found).refusal
    with pytest.raises(PromotionRefused, match=f"nothing to approve: the pack is of {kinds[0]} time"):
        approve(desk, found, "alice", "", "")
    propose(desk, rule(found))  # even beside a stored proposal
    with pytest.raises(PromotionRefused, match=f"the pack is of {kinds[0]} time"):
        approve(desk, evaluate(desk, state, 1), "alice", "", "")


def record_of(pack: Pack, project: Project, **changes: object) -> TrackRecord:
    project.track(pack, 1, "paper", **changes)
    file = project.paths.state / "records/strategy/sma_cross/1/paper.json"
    return read_track_record(file.read_bytes(), "paper.json", NOW)


@pytest.mark.parametrize(("of_pack", "of_record"), [(False, True), (True, False)])
def test_a_record_of_the_other_time_proves_nothing(staffed, of_pack, of_record):
    pack = staffed.candidate("sma_cross", simulated=of_pack)
    record = record_of(pack, staffed, simulated=of_record)
    case = Case(pack=pack, version=1, to_stage="staged_live", now=NOW, record=record)
    words = {True: "simulated", False: "real"}
    with pytest.raises(Exception, match=f"the record is of time {words[of_record]}, this is {words[of_pack]}"):
        case.require_record()
    assert replace(case, record=record_of(pack, staffed, simulated=of_pack)).require_record().simulated is of_pack


def test_a_simulated_gateway_rehearses_staged_live_in_simulated_time_alone(staffed):
    for simulated in (True, False):
        pack = staffed.candidate("sma_cross", simulated=simulated)
        staffed.track(pack, 1, "staged_live", simulated=simulated, account_mode="paper")
        file = staffed.paths.state / "records/strategy/sma_cross/1/staged_live.json"
        record = read_track_record(file.read_bytes(), "it", NOW)
        case = Case(pack=pack, version=1, to_stage="production", now=NOW, record=record)
        if simulated:
            assert case.require_record() == record
        else:
            with pytest.raises(Exception, match="the record's account is paper, staged_live asks for live or embedded"):
                case.require_record()


def test_a_record_marks_simulated_time_and_is_refused_on_the_real_market(staffed):
    pack = staffed.candidate("sma_cross", simulated=True)
    assert b'"simulated":true' in record_of(pack, staffed, simulated=True).bytes()
    assert b"simulated" not in record_of(pack, staffed).bytes()
    with pytest.raises(DataRefused, match="simulated is True on the real market"):
        record_of(pack, staffed, simulated=True, market="real")
    content = json.loads(record_of(pack, staffed, simulated=True).bytes()) | {"simulated": "yes"}
    with pytest.raises(DataRefused, match="simulated is 'yes'"):
        read_track_record(canonical(content), "it", NOW)
