"""Profiles are read whole or refused; they tighten at once and loosen only by a promoted pack."""

import shutil

import pytest

from workbench.errors import DataRefused, NoData, ParamsRefused
from workbench.live.limits import Limits, Reading, Watch, changed, loosened, parse_limits, read_limits, tightened
from workbench.live.monitor import EVERY_SECONDS
from workbench.params import Paths

REPO = Paths()


@pytest.fixture
def paths(tmp_path):
    """A root with the shipped profiles, and edits that touch no one else."""
    (tmp_path / "params").mkdir()
    shutil.copy(REPO.params / "base.yaml", tmp_path / "params")
    shutil.copytree(REPO.params / "risk", tmp_path / "params" / "risk")
    return Paths(tmp_path)


def edit(paths, before, after, profile="default"):
    file = paths.params / "risk" / f"{profile}.yaml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def nothing_promoted():
    raise NoData("default: nothing stands at production")


def watch(paths, promoted=nothing_promoted, embedded=False, in_force=None, profile="default"):
    return Watch(profile, paths, embedded=embedded, in_force=in_force, promoted=promoted)


def test_the_default_profile_is_the_strictest_and_says_what_the_code_says(paths):
    assert changed(Limits(), read_limits("default", paths, embedded=False)) == ()


# The requirement as it was written; where it names a range, the strictest end holds.
K2 = (
    "Limits: position (10–20 % or $), sector 30 %, daily loss 3–5 % or $, trades a day 10, positions 5, "
    "correlation 0.7, order confirmed above $10k, buying power, duplicates within 10 s, max drawdown"
)
K3 = "60-second monitor: warning at 75 % of the daily loss limit, emergency stop at 100 %"


@pytest.mark.parametrize(
    ("limit", "value", "sentence", "phrase"),
    [
        ("max_position", 0.10, K2, "position (10–20 % or $)"),
        ("max_position_value", 25_000.0, K2, "position (10–20 % or $)"),  # ours: 10 % of 250,000
        ("max_sector", 0.30, K2, "sector 30 %"),
        ("max_daily_loss", 0.03, K2, "daily loss 3–5 % or $"),
        ("max_daily_loss_value", 5_000.0, K2, "daily loss 3–5 % or $"),  # ours
        ("max_orders_per_day", 10, K2, "trades a day 10"),
        ("max_positions", 5, K2, "positions 5"),
        ("max_correlation", 0.7, K2, "correlation 0.7"),
        ("confirm_above", 10_000.0, K2, "order confirmed above $10k"),
        ("min_free_equity", 0.10, K2, "buying power"),  # ours: what no order may tie up
        ("min_duplicate_seconds", 10.0, K2, "duplicates within 10 s"),
        ("max_drawdown", 0.10, K2, "max drawdown"),  # ours
        ("warn_loss_at", 0.75, K3, "warning at 75 %"),
    ],
)
def test_the_default_profile_holds_the_strictest_number_of_every_limit_asked_for(limit, value, sentence, phrase):
    assert phrase in sentence
    assert getattr(read_limits("default", REPO, embedded=False), limit) == value


def test_every_limit_of_the_requirement_has_its_row():
    rows = test_the_default_profile_holds_the_strictest_number_of_every_limit_asked_for.pytestmark[0].args[1]
    named = {phrase for *_, sentence, phrase in rows if sentence is K2}
    left = K2.removeprefix("Limits: ")
    for phrase in sorted(named, key=len, reverse=True):
        left = left.replace(phrase, "")
    assert left.replace(", ", "") == ""


def test_the_monitor_looks_every_60_seconds():
    assert EVERY_SECONDS == 60.0
    assert K3.startswith("60-second monitor")


def test_the_sample_profile_is_for_the_embedded_account_only(paths):
    assert read_limits("sample", paths, embedded=True).max_positions == 70
    with pytest.raises(ParamsRefused, match="risk profile 'sample' is for the embedded account only"):
        read_limits("sample", paths, embedded=False)


def test_the_sample_profile_bounds_what_its_account_can_lose(paths):
    sample = read_limits("sample", paths, embedded=True)
    assert (sample.max_daily_loss, sample.max_gross, sample.max_position) == (0.05, 3.0, 0.25)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("max_sector: 0.30", "max_secter: 0.30", "unknown key 'max_secter'. Did you mean 'max_sector'?"),
        ("max_sector: 0.30", "max_sector: .nan", "max_sector is nan"),
        ("max_sector: 0.30", "max_sector: .inf", "max_sector is inf"),
        ("max_sector: 0.30", "max_sector: -0.1", "max_sector is -0.1"),
        ("max_positions: 5", "max_positions: 5.5", "max_positions is 5.5"),
        ("max_positions: 5", "max_positions: many", "max_positions is 'many'"),
        ("max_sector: 0.30", "", "'max_sector' is missing; write every limit down"),
    ],
)
def test_a_profile_with_a_slip_is_refused_by_its_line(paths, before, after, told):
    edit(paths, before, after)
    with pytest.raises(ParamsRefused) as refused:
        read_limits("default", paths, embedded=False)
    assert str(refused.value).startswith("params/risk/default.yaml: ")
    assert told in str(refused.value)


@pytest.mark.parametrize("name", ["defalt", "../base", "", "DEFAULT"])
def test_an_unknown_profile_is_refused(paths, name):
    with pytest.raises(ParamsRefused, match=f"risk profile '{name}': no params/risk/"):
        read_limits(name, paths, embedded=False)


def test_more_is_looser_except_for_what_is_a_minimum():
    old = Limits()
    new = old.model_copy(update={"max_sector": 0.2, "min_free_equity": 0.05, "min_duplicate_seconds": 20.0})
    assert [str(change) for change in tightened(old, new)] == [
        "min_duplicate_seconds 10 → 20", "max_sector 0.3 → 0.2",
    ]  # fmt: skip
    assert [str(change) for change in loosened(old, new)] == ["min_free_equity 0.1 → 0.05"]


def test_a_comment_does_not_change_the_digest_a_number_does(paths):
    before = read_limits("default", paths, embedded=False).digest
    edit(paths, "# One order", "# One order, any order")
    assert read_limits("default", paths, embedded=False).digest == before
    edit(paths, "max_positions: 5", "max_positions: 4")
    assert read_limits("default", paths, embedded=False).digest != before


def test_a_tighter_file_holds_at_the_next_look(paths):
    limits = watch(paths)
    assert limits.poll().changes == ()
    edit(paths, "max_positions: 5", "max_positions: 2")
    reading = limits.poll()
    assert (reading.limits.max_positions, reading.refused) == (2, "")
    assert [str(change) for change in reading.changes] == ["max_positions 5 → 2"]


def test_a_looser_file_is_refused_and_what_it_tightens_still_holds(paths):
    limits = watch(paths)
    edit(paths, "max_positions: 5", "max_positions: 9")
    edit(paths, "max_sector: 0.30", "max_sector: 0.25")
    reading = limits.poll()
    assert (reading.limits.max_positions, reading.limits.max_sector) == (5, 0.25)
    assert reading.refused == (
        "params/risk/default.yaml: loosens max_positions 5 → 9; the limits before stay in force until a pack of these "
        'is promoted: workbench pack make default --kind risk --file params/risk/default.yaml --reason "…" '
        "(default: nothing stands at production)"
    )


def test_a_looser_file_holds_once_a_pack_of_the_same_numbers_stands(paths):
    edit(paths, "max_positions: 5", "max_positions: 9")
    promoted = (paths.params / "risk" / "default.yaml").read_bytes()
    limits = watch(paths, lambda: parse_limits(promoted, "pack"))
    assert limits.poll().limits.max_positions == 9
    edit(paths, "max_positions: 9", "max_positions: 10")
    reading = limits.poll()
    assert reading.limits.max_positions == 9
    assert "loosens max_positions 9 → 10" in reading.refused
    assert "(promoted are " in reading.refused


def test_where_a_session_begins_nothing_looser_than_the_promoted_limits_that_stand_is_in_force(paths):
    wide = Limits().model_copy(update={"max_positions": 9, "min_free_equity": 0.05, "max_sector": 0.2})
    promoted = Limits().model_copy(update={"max_positions": 7, "max_sector": 0.25})
    edit(paths, "max_positions: 5", "max_positions: 9")
    limits = Watch("default", paths, embedded=False, in_force=wide, promoted=lambda: promoted,
                   stands=lambda: "version 1 at paper")  # fmt: skip
    assert limits.poll().limits.max_positions == 9  # within a session a record changes nothing
    assert [str(one) for one in limits.bound()[1]] == ["max_positions 9 → 7"]
    reading = limits.poll(begins=True)
    assert (reading.limits.max_positions, reading.limits.max_sector) == (7, 0.2)  # what is tighter stays
    assert [str(one) for one in reading.changes] == ["max_positions 9 → 7"]
    assert "loosens max_positions 7 → 9" in reading.refused
    edit(paths, "max_positions: 9", "max_positions: 3")
    assert limits.poll().limits.max_positions == 3
    assert limits.poll(begins=True).limits.max_positions == 3


def test_promoted_limits_that_cannot_be_read_or_do_not_stand_change_nothing_in_force(paths):
    def lost():
        raise NoData("MLflow: gone")

    wide = Limits().model_copy(update={"max_positions": 9})
    edit(paths, "max_positions: 5", "max_positions: 9")
    limits = Watch("default", paths, embedded=False, in_force=wide, promoted=lost, stands=lambda: "version 1 at paper")
    reading = limits.poll(begins=True)
    assert (reading.limits.max_positions, reading.changes) == (9, ())
    assert reading.unasked == (
        "risk profile default: what was promoted cannot be asked, what was in force stays: MLflow: gone"
    )
    nobody = Watch("default", paths, embedded=False, in_force=wide, promoted=lost)
    assert nobody.poll(begins=True) == Reading(wide)
    sample = watch(paths, embedded=True, profile="sample")
    assert sample.poll(begins=True).limits.max_positions == 70  # as committed, with nothing promoted


def test_a_file_that_breaks_does_not_keep_what_a_rollback_took_back(paths):
    promoted, wide = Limits(), Limits().model_copy(update={"max_positions": 9})
    (paths.params / "risk" / "default.yaml").write_text("max_positions: [\n")
    limits = Watch("default", paths, embedded=False, in_force=wide, promoted=lambda: promoted, stands=lambda: "it")
    reading = limits.poll(begins=True)
    assert reading.limits.max_positions == 5
    assert [str(one) for one in reading.changes] == ["max_positions 9 → 5"]


def test_a_restart_loosens_nothing(paths):
    edit(paths, "max_positions: 5", "max_positions: 9")
    assert watch(paths).poll().limits.max_positions == 5  # a first start: from the strictest
    edit(paths, "max_positions: 9", "max_positions: 5")
    tight = Limits().model_copy(update={"max_positions": 3})
    assert watch(paths, in_force=tight).poll().limits.max_positions == 3


def test_the_embedded_account_starts_as_its_file_says_and_loosens_at_no_look(paths):
    limits = watch(paths, embedded=True, profile="sample")
    assert limits.poll().limits.max_positions == 70
    edit(paths, "max_positions: 70", "max_positions: 71", "sample")
    assert limits.poll().limits.max_positions == 70


def test_a_file_that_breaks_keeps_what_was_in_force(paths):
    limits = watch(paths)
    limits.poll()
    (paths.params / "risk" / "default.yaml").write_text("max_positions: [\n")
    reading = limits.poll()
    assert reading.limits == Limits()
    assert reading.refused.startswith("params/risk/default.yaml: line ")


def test_a_payload_that_holds_no_limits_is_refused():
    with pytest.raises(DataRefused, match="pack: holds no limits"):
        parse_limits(b"- 1\n", "pack")
    with pytest.raises(DataRefused, match="pack: cannot be read"):
        parse_limits(b"\xff", "pack")


def test_of_share_and_money_the_smaller_bounds_the_day():
    assert Limits().daily_loss(100_000.0) == pytest.approx(3_000.0)
    assert Limits().daily_loss(1_000_000.0) == 5_000.0
