import json

import pytest

from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused
from workbench.search.bar import NoBar
from workbench.search.study import distributions, space_size, stages
from workbench.search.sweep import Request, sweep

WIDE = ("fast=2:20:1", "slow=6:60:3")


def test_distributions_follow_the_grid():
    found = distributions({"a": [5, 10, 15], "b": [10, 20, 50], "c": [0.2, 0.9], "d": [None, 0.4], "e": ["x", "y"]})
    assert json.loads(json.dumps({name: str(one) for name, one in found.items()})) == {
        "a": "IntDistribution(high=15, log=False, low=5, step=5)",
        "b": "IntDistribution(high=50, log=False, low=10, step=1)",
        "c": "FloatDistribution(high=0.9, log=False, low=0.2, step=None)",
        "d": "CategoricalDistribution(choices=(None, 0.4))",
        "e": "CategoricalDistribution(choices=('x', 'y'))",
    }


@pytest.mark.parametrize(
    ("grid", "size"),
    [
        # 2, 3 to 8 and 6, 7 to 24: an axis in uneven steps is whole numbers between its ends.
        ({"fast": [2, 4, 8], "slow": [6, 12, 24]}, 7 * 19),
        ({"fast": [5, 10, 15], "slow": [50, 100]}, 3 * 51),
        ({"a": [0.1, 0.2, 0.3], "b": [None, "x"], "c": [4]}, 3 * 2),
        ({"a": [0.2, 0.9], "b": [1, 2]}, None),
    ],
)
def test_trials_choose_among_whole_numbers_between_the_ends_and_not_among_the_grids_cells(grid, size):
    assert space_size(grid) == size


def test_what_is_said_of_trials_is_true_of_what_they_try(desk):
    said: list[str] = []
    found = desk.sweep(trials=40, seed=1, say=said.append)
    assert found.cells > 9  # more than the grid of three by three has
    told = "40 trials of up to 133 cells between the ends of the grid by tpe, seed 1, pruned on the training windows"
    assert told in said


def test_trials_are_judged_after_a_quarter_a_half_and_all_of_the_windows():
    assert stages(11) == (3, 6, 11)
    assert stages(4) == (1, 2, 4)
    assert stages(1) == (1,)


def test_trials_with_a_seed_are_the_same_each_time_and_all_are_counted(desk, tmp_path):
    found = desk.sweep(*WIDE, trials=24, seed=3)
    assert len(found.trials) == 24
    assert set(found.trials["status"]) == {"done", "pruned"}
    pruned = found.trials[found.trials["status"] == "pruned"]
    assert (pruned["folds"] < 4).all()
    ledger = Ledger(desk.paths.trials).trials(Question(desk.params.question, "sample"))
    assert len(ledger) == found.trials["cell"].nunique()
    assert set(ledger["source"]) == {"optuna"}
    # What was pruned was never measured on a test window.
    assert found.table[found.table["status"] == "pruned"]["test_score"].isna().all()
    again = desk.sweep(*WIDE, trials=24, seed=3, fresh=True)
    assert again.trials.equals(found.trials)
    assert again.run_id != found.run_id
    assert not desk.sweep(*WIDE, trials=24, seed=4).trials.equals(found.trials)


def test_interrupted_trials_go_on_as_if_nothing_had_happened(desk):
    class Impatient(NoBar):
        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.sweep(*WIDE, trials=16, seed=3, bar=Impatient())
    resumed = desk.sweep(*WIDE, trials=16, seed=3)
    whole = desk.sweep(*WIDE, trials=16, seed=3, fresh=True)
    assert 0 < resumed.measured < whole.measured
    assert resumed.trials.equals(whole.trials)
    assert resumed.table.equals(whole.table)


def counted(desk):
    rows = Ledger(desk.paths.trials).trials(Question(desk.params.question, "sample"))
    return rows.assign(cell=rows["params"])


def test_a_finished_trial_is_counted_with_the_returns_of_its_tests_and_a_pruned_one_with_what_it_was_judged_on(desk):
    found = desk.sweep(*WIDE, trials=24, seed=3)
    rows, tested = counted(desk).set_index("cell"), len(desk.bars.between(*found.tested))
    for trial in found.trials.itertuples():
        # training windows of 160 sessions, each 80 later
        assert rows.loc[trial.cell, "n"] == (tested if trial.status == "done" else 160 + 80 * (trial.folds - 1))
    done = found.table[found.table["status"] == "done"]
    for row in done.itertuples():
        kept = rows.loc[json.dumps({"fast": row.fast, "slow": row.slow}), "sharpe"]
        assert kept * 252**0.5 == pytest.approx(row.test_score, abs=1e-9)
    assert {"done", "pruned"} == set(found.trials["status"])


def test_a_cell_that_was_pruned_and_is_measured_whole_later_is_another_trial(desk):
    found = desk.sweep(*WIDE, trials=24, seed=3)
    pruned = json.loads(found.trials[found.trials["status"] == "pruned"]["cell"].iloc[0])
    before = counted(desk)
    desk.sweep(f"fast=[{pruned['fast']}]", f"slow=[{pruned['slow']},61]")  # 61 was not asked before
    both = counted(desk)
    assert len(both) == len(before) + 2
    assert both[both["cell"] == json.dumps(pruned)]["n"].nunique() == 2


def test_a_stopped_search_counts_what_it_has_seen_and_counts_nothing_again_when_it_goes_on(desk):
    class Impatient(NoBar):
        def advance(self, count: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.sweep(*WIDE, trials=16, seed=3, bar=Impatient())
    stopped = counted(desk)
    assert set(stopped["n"]) == {160}  # one round, judged on the first of four windows
    whole = desk.sweep(*WIDE, trials=16, seed=3)
    resumed = counted(desk)
    assert len(stopped) == whole.trials.head(8)["cell"].nunique()
    judged_more = whole.trials.head(8).query("folds > 1")["cell"].nunique()
    assert len(resumed) == whole.trials["cell"].nunique() + judged_more
    ledger = Ledger(desk.paths.trials)
    batches, head = ledger.verify().batches, whole.head
    again = desk.sweep(*WIDE, trials=16, seed=3)
    assert again.measured == 0
    assert (ledger.verify().batches, again.head) == (batches, head)


def test_an_unknown_sampler_names_the_known(desk):
    request = Request("sma_cross", (), 5, "tpee")
    with pytest.raises(InputRefused, match=r"--sampler tpee: no such sampler\. Did you mean 'tpe'\?"):
        sweep(request, desk.params, desk.bars, desk.settings, desk.paths, made_by={})


def test_a_grid_that_the_strategy_nearly_always_refuses_is_named(desk):
    with pytest.raises(InputRefused, match="trials make no sense, the last: sma_cross: fast"):
        desk.sweep("fast=50:1000:1", "slow=2:51:1", trials=8)
