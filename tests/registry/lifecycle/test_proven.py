"""Which pack a step takes where no version is named, and that `workbench pack path` names the same one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.registry.conftest import NOW
from workbench.errors import InputRefused, NoData, PackRefused, StrategyRefused
from workbench.registry.lifecycle.proven import choose_proven, proven
from workbench.registry.lifecycle.rollback import retire
from workbench.registry.packs.code import installed_code
from workbench.registry.storing import confirm_pack

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = ("strategy", "sma_cross")
DIRTY = installed_code("sma_cross", "a" * 40, ("src/workbench/strategies/sma_cross.py",))


def both(project):
    """What promote takes and what `pack path` names, which must be one."""
    desk = project.desk()
    chosen, named = choose_proven(desk, desk.state(*NAME), None), proven(desk, *NAME)
    assert named.version == chosen
    return named


def test_the_newest_evidence_is_taken(staffed):
    first, second = staffed.candidate(), staffed.candidate()
    named = both(staffed)
    assert (named.version, named.wrong) == (2, ())
    assert named.folder == staffed.run_folder(second) != staffed.run_folder(first)


def test_evidence_of_a_dirty_tree_is_named_with_why_promote_refuses_it(staffed):
    staffed.candidate()
    staffed.candidate(code=DIRTY)
    named = both(staffed)
    assert named.version == 2
    (why,) = named.wrong
    assert why.startswith(
        "sma_cross version 2: promote refuses it: the evidence was made from a working tree with changes "
        "(src/workbench/strategies/sma_cross.py) on commit aaaaaaaaaaaa; commit them, then: make evidence"
    )


def test_evidence_found_true_again_once_the_tree_is_clean_is_taken_before_the_newer_of_a_dirty_one(staffed):
    clean = staffed.candidate()
    staffed.candidate(code=DIRTY)
    desk = staffed.desk()
    desk.state(*NAME)
    confirm_pack(desk.models.connection, clean, clean.run_id, NOW)  # what make evidence does with the same evidence
    named = both(staffed)
    assert (named.version, named.wrong, named.folder) == (1, (), staffed.run_folder(clean))
    assert choose_proven(desk, desk.state(*NAME), 2) == 2  # the one that is asked for


def test_a_retired_version_is_not_taken_and_where_all_are_it_is_said(staffed):
    first, second = staffed.candidate(), staffed.candidate()
    desk = staffed.desk()
    retire(desk, desk.state(*NAME), 2, "the idea was given up", "keep")
    assert both(staffed).folder == staffed.run_folder(first)
    confirm_pack(desk.models.connection, second, second.run_id, NOW + timedelta(days=1))
    assert both(staffed).version == 1
    retire(desk, desk.state(*NAME), 1, "the idea was given up", "keep")
    with pytest.raises(
        InputRefused, match="all 2 versions are retired; make new evidence: workbench evidence sma_cross --fresh"
    ):
        proven(desk, *NAME)


def test_a_pack_that_is_no_version_yet_is_named_and_nothing_is_written(staffed):
    made = staffed.candidate()
    desk = staffed.desk()
    named = proven(desk, *NAME)
    assert (named.folder, named.version) == (staffed.run_folder(made), 0)
    assert "is no version yet; promote makes it one" in named.wrong[0]
    assert desk.record.transitions() == []


def test_a_pack_that_was_changed_is_named_with_what_is_wrong(staffed):
    made = staffed.candidate()
    both(staffed)
    (staffed.run_folder(made) / "pack" / "parts" / "params.json").write_text("{}")
    assert "params.json: has 2 bytes instead of" in proven(staffed.desk(), *NAME).wrong[0]


def test_packs_that_are_gone_and_names_that_are_not_there_are_one_line(staffed):
    with pytest.raises(NoData, match="sma_cross: no pack of evidence yet; make it: make evidence STRATEGY=sma_cross"):
        proven(staffed.desk(), *NAME)
    with pytest.raises(StrategyRefused, match="Did you mean 'sma_cross'"):
        proven(staffed.desk(), "strategy", "sma_croz")
    made = staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    desk.models.connection.client().delete_run(made.run_id)
    with pytest.raises(PackRefused, match="sma_cross: the packs of its versions are gone from MLflow; restore"):
        proven(desk, *NAME)
