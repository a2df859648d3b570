"""A pack lies with the run that it proves: made once, never overwritten, and refused for what it does not prove."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest

from workbench.backtest.trials import Ledger, Question, record
from workbench.errors import DataRefused, InputRefused, NoData, PackRefused
from workbench.params import CostParams
from workbench.registry import reading, storing
from workbench.registry.making.evidence import own_notebooks
from workbench.registry.packs.candidate import read_candidate
from workbench.registry.packs.pack import MANIFEST
from workbench.step import Done

from .conftest import NOW, ROOT, commit

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def test_a_pack_is_made_of_a_run_and_lies_with_it(proven):
    bench, made = proven
    pack = read_candidate(made.folder).pack
    assert pack.digest == made.judged.pack.digest
    assert (pack.kind, pack.name, pack.market, pack.run_id) == ("strategy", "sma_cross", "sample", bench.run_id)
    assert (pack.pipeline_run, pack.made_at) == ("20260302-backtest", NOW.replace(microsecond=0))
    assert pack.expires_at - pack.made_at == timedelta(days=180)  # params/gates.yaml: pack_valid_days
    assert pack.code.changed == ()
    assert "strategies/sma_cross.py" in pack.code.files
    parts = {part.path for part in pack.parts}
    assert parts >= {
        "params.json", "statistics.json", "validation.json", "lookahead.json", "trials.json", "data.json", "gates.json",
        "environment.lock", "tearsheet.html", "result/result.json", "result/curves.parquet", "result/robustness.json",
        "pictures/equity.png", "notebooks/walk_forward-sma_cross.ipynb",
    }  # fmt: skip
    assert pack.json("statistics.json")["out_of_sample"]["sharpe"] == 0.87
    assert pack.json("trials.json")["trials"] == 9  # the cells of the walk-forward's grid
    assert pack.json("params.json")["symbols"] == [f"AAA{number:02d}" for number in range(6)]
    tags = bench.tracking.tags(bench.run_id)
    assert (tags["pack.digest"], tags["pack.kind"], tags["pack.name"]) == (pack.digest, "strategy", "sma_cross")


def test_the_gates_of_the_first_step_judged_it_and_their_verdicts_are_in_it(proven):
    _, made = proven
    kept = made.judged.pack.json("gates.json")
    verdicts = {row["gate"]: row for row in kept["verdicts"]}
    assert (kept["stage"], kept["policy"]) == ("paper", made.judged.pack.policy)
    assert [verdict.gate for verdict in made.judged.verdicts] == [row["gate"] for row in kept["verdicts"]]
    # 0.87 / 1.29 = 0.67, and 0.8 is asked.
    assert (verdicts["out_of_sample"]["outcome"], verdicts["clean_commit"]["outcome"]) == ("fail", "pass")


def test_the_same_evidence_is_the_same_pack_whoever_asks_and_whenever(bench):
    first = bench.evidence()
    later = bench.evidence(NOW + timedelta(days=3))
    assert (first.new, later.new) == (True, False)
    assert later.judged == first.judged
    assert later.run_id == first.run_id


def test_trials_of_another_question_do_not_make_another_pack(bench):
    first = bench.evidence()
    ledger, other = Ledger(bench.paths.trials), Question("Is it another question that is asked here?", "sample")
    record(ledger, other, "sma_cross", [{"fast": 1}], bench.made.cell_returns[[0]], source="notebook")
    assert bench.evidence().judged.pack.digest == first.judged.pack.digest


def test_another_trial_of_the_question_makes_another_pack_in_a_run_of_its_own(bench):
    first = bench.evidence()
    ledger, question = Ledger(bench.paths.trials), Question(bench.made.question, "sample")
    record(ledger, question, "sma_cross", [{"fast": 7, "slow": 77}], bench.made.cell_returns[[3]], source="notebook")
    second = bench.evidence()
    assert second.run_id != first.run_id
    assert second.judged.pack.json("trials.json")["trials"] == 10
    assert read_candidate(first.folder).pack.digest == first.judged.pack.digest  # never overwritten
    assert ledger.count(question) == 10  # recording it again tried nothing
    third = bench.evidence()
    assert (third.new, third.run_id, third.judged.pack.digest) == (False, second.run_id, second.judged.pack.digest)


def test_a_changed_policy_makes_another_pack(bench):
    first = bench.evidence()
    bench.edit("params/gates.yaml", "min_share: 0.8      # of the in-sample", "min_share: 0.5      # of the in-sample")
    second = bench.evidence()
    assert second.judged.pack.policy != first.judged.pack.policy
    verdict = {verdict.gate: verdict.outcome for verdict in second.judged.verdicts}["out_of_sample"]
    assert verdict == "pass"  # 0.67 of it, and 0.5 is asked now


def test_an_expired_pack_is_made_anew(bench):
    first = bench.evidence()
    second = bench.evidence(NOW + timedelta(days=180))
    assert second.new
    assert second.run_id != first.run_id


def test_a_working_tree_with_changes_is_said_in_the_pack(bench):
    (bench.paths.root / "params" / "base.yaml").write_text("market: sample\n")
    made = bench.evidence()
    assert made.judged.pack.code.changed == ("params/base.yaml",)
    assert {verdict.gate: verdict.outcome for verdict in made.judged.verdicts}["clean_commit"] == "fail"


def test_code_that_decides_and_is_in_no_commit_is_said_in_the_pack(bench):
    """The package that was imported lies elsewhere: what the project's commit has of it counts."""
    (bench.paths.root / "src" / "workbench" / "strategies" / "sma_cross.py").unlink()
    (bench.paths.root / "src" / "workbench" / "types.py").write_text("# another one\n")
    commit(bench.paths.root)
    made = bench.evidence()
    assert made.judged.pack.code.changed == (
        "src/workbench/strategies/sma_cross.py",
        "src/workbench/types.py",
    )
    verdict = next(one for one in made.judged.verdicts if one.gate == "clean_commit")
    assert (verdict.outcome, verdict.why) == (
        "fail",
        "not committed: src/workbench/strategies/sma_cross.py, src/workbench/types.py",
    )


def test_a_policy_that_git_was_told_to_overlook_is_said_in_the_pack(bench):
    file = bench.paths.root / "params" / "gates.yaml"
    file.write_text(file.read_text().replace("min: 0.95 ", "min: 0.51 "))
    subprocess.run(
        ["git", "-C", str(bench.paths.root), "update-index", "--assume-unchanged", "params/gates.yaml"], check=True
    )
    made = bench.evidence()
    assert made.judged.pack.code.changed == ("params/gates.yaml",)


def test_a_step_notebook_or_pipeline_that_git_was_told_to_overlook_is_said_in_the_pack(bench):
    root = bench.paths.root
    for name in ("notebooks/steps/walk_forward.ipynb", "pipelines/evidence.yaml"):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, root / name)
    commit(root)
    assert bench.evidence().judged.pack.code.changed == ()
    file = root / "notebooks" / "steps" / "walk_forward.ipynb"
    subprocess.run(["git", "-C", str(root), "update-index", "--assume-unchanged", str(file)], check=True)
    file.write_text(file.read_text().replace("bars, settings, progress", "bars, cheap(settings), progress"))
    (root / ".git" / "info" / "exclude").write_text("cheap.ipynb\n")
    (root / "notebooks" / "steps" / "cheap.ipynb").write_text("{}")
    made = bench.evidence()
    assert made.judged.pack.code.changed == ("notebooks/steps/cheap.ipynb", "notebooks/steps/walk_forward.ipynb")
    verdict = next(one for one in made.judged.verdicts if one.gate == "clean_commit")
    assert (verdict.outcome, verdict.why) == (
        "fail", "not committed: notebooks/steps/cheap.ipynb, notebooks/steps/walk_forward.ipynb",
    )  # fmt: skip


def test_a_walk_forward_that_paid_less_than_the_pack_would_say_is_refused(bench):
    bench.settings = bench.settings.model_copy(update={"costs": CostParams(spread_bps=40.0)})
    with pytest.raises(
        DataRefused, match=r"sma_cross: the walk-forward paid \$.* its orders pay .* at costs.spread_bps 40"
    ):
        bench.evidence()


def test_what_was_set_beside_the_files_is_in_the_pack_and_in_a_verdict(bench):
    bench.settings = bench.settings.model_copy(update={"costs": CostParams(schedule="none", spread_bps=0.0)})
    made = bench.evidence().judged
    assert made.pack.json("params.json")["set"] == {
        "costs.schedule": "none instead of ib_fixed", "costs.spread_bps": "0.0 instead of 2.0",
    }  # fmt: skip
    verdicts = {verdict.gate: verdict for verdict in made.verdicts}
    assert (verdicts["costs"].outcome, verdicts["clean_commit"].outcome) == ("fail", "review")
    assert "costs.spread_bps 0.0 instead of 2.0" in verdicts["clean_commit"].why


def test_a_ledger_that_was_given_up_as_lost_asks_for_a_written_reason(bench):
    Ledger(bench.paths.trials).give_up("the disk died", {"gone": "e" * 64})
    verdict = next(one for one in bench.evidence().judged.verdicts if one.gate == "ledger")
    assert verdict.outcome == "review"
    assert "lost and not counted: at least 1 trial of 1 run" in verdict.measured
    assert verdict.measured.endswith("the disk died)")


def test_half_a_pack_is_left_alone_and_the_next_one_gets_a_run_of_its_own(bench):
    first = bench.evidence()
    (first.folder / "pack" / MANIFEST).unlink()
    with pytest.raises(PackRefused, match=r"manifest\.json"):
        storing.stored_pack(bench.tracking, bench.run_id)
    second = bench.evidence()
    assert second.new
    assert second.run_id != first.run_id
    assert read_candidate(second.folder).pack.digest == second.judged.pack.digest


def test_a_run_of_other_data_is_refused(bench):
    other = {**bench.found.pins, "prices_daily": {"version": 4, "digest": "ffff"}}
    with pytest.raises(DataRefused, match=r"data\.prices_daily is version 3, digest 9f86d081, .* --fresh"):
        bench.evidence(pins=other)
    assert not storing.has_folder(bench.tracking, bench.run_id)


def test_a_run_that_was_deleted_is_refused(bench):
    bench.tracking.client().delete_run(bench.run_id)
    with pytest.raises(NoData, match="was deleted in the MLflow UI; restore it there, or make it anew with --fresh"):
        bench.evidence()


def test_a_notebook_that_is_gone_is_refused_before_anything_is_stored(bench):
    gone = bench.paths.runs / "r" / "gone.ipynb"
    with pytest.raises(
        NoData, match=r"data/runs/r/gone\.ipynb is gone, and the pack keeps it as notebooks/gone\.ipynb"
    ):
        bench.evidence(notebooks={"gone.ipynb": gone})
    assert not storing.has_folder(bench.tracking, bench.run_id)


def test_a_ledger_that_was_cut_short_makes_no_pack(bench):
    bench.paths.trials.unlink()
    with pytest.raises(DataRefused, match="is gone, the last of 0 is none"):
        bench.evidence()


def test_the_newest_pack_is_the_one_that_was_true_last(bench):
    first = bench.evidence()
    bench.edit("params/gates.yaml", "pack_valid_days: &valid 180", "pack_valid_days: &valid 90")
    second = bench.evidence(NOW + timedelta(days=1))
    runs = [str(run.info.run_id) for run in storing.pack_runs(bench.tracking, "strategy", "sma_cross")]
    assert runs == [second.run_id, first.run_id]


def test_where_there_is_no_pack_a_person_reads_nothing(bench):
    assert reading.newest_pack(bench.tracking) is None
    assert reading.verdicts(None).empty
    assert reading.provenance(None, "out_of_sample.sharpe").empty
    assert reading.cells(None, "walk_forward") == ""


def test_a_person_reads_a_pack_from_the_number_to_the_cell(proven):
    bench, made = proven
    pack = reading.newest_pack(bench.tracking, "sma_cross")
    assert pack.digest == made.judged.pack.digest
    rows = reading.provenance(pack, "out_of_sample.sharpe").set_index("what")["which"]
    assert rows["out_of_sample.sharpe"] == "0.87"
    assert rows["notebook"] == "notebooks/walk_forward-sma_cross.ipynb"
    assert (rows["MLflow run"], rows["table prices_daily"]) == (bench.run_id, "version 3")
    assert rows["commit"] == pack.code.commit
    cell = reading.cells(pack, "walk_forward", "walk_forward(strategy")
    assert cell == ("walk_forward-sma_cross.ipynb [3]\n    result = walk_forward(strategy)\n\n→ 9 cells × 8 folds\n")
    assert reading.result(pack).out_of_sample == bench.made.out_of_sample
    assert list(reading.drawdown_band(pack).index) == [20, 60, 250]
    assert reading.verdicts(pack)["gate"].tolist() == [verdict.gate for verdict in made.judged.verdicts]


def test_a_number_or_a_step_that_is_not_there_is_said(proven):
    bench, _ = proven
    pack = reading.newest_pack(bench.tracking)
    with pytest.raises(InputRefused, match=r"has no 'out_of_sample\.sharp'\. Did you mean 'sharpe'\?"):
        reading.provenance(pack, "out_of_sample.sharp")
    with pytest.raises(InputRefused, match="no notebook of a step 'walkforward'"):
        reading.cells(pack, "walkforward")


def test_notebooks_of_other_strategies_are_not_in_a_pack(tmp_path):
    done = [Done(step, {}, tmp_path / step) for step in ("validate", "walk_forward-sma_cross", "walk_forward-other")]
    assert own_notebooks(done, "sma_cross") == {
        "validate.ipynb": tmp_path / "validate" / "notebook.ipynb",
        "walk_forward-sma_cross.ipynb": tmp_path / "walk_forward-sma_cross" / "notebook.ipynb",
    }


def test_a_store_that_gives_back_other_bytes_is_refused(bench):
    made = bench.evidence()
    other = replace(made.judged.pack, name="other")
    again = bench.tracking.log_walk_forward(bench.made)
    (made.folder.parent.parent.parent / again / "artifacts" / "promotion" / "pack" / "parts").mkdir(parents=True)
    (made.folder.parent.parent.parent / again / "artifacts" / "promotion" / "pack" / "parts" / "x.json").write_text(
        "{}"
    )
    with pytest.raises(PackRefused, match="was added"):
        storing.keep_pack(bench.tracking, other, again)
