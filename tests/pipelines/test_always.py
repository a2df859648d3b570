"""A step that always runs: what it reads is in no key."""

from __future__ import annotations

import pytest

from workbench.errors import ParamsRefused


def test_a_step_that_always_runs_is_not_reused_and_the_steps_before_it_are(project):
    project.step("first", "step.emit(x=1)")
    project.step("last", "step.emit(y=2)")
    project.pipeline({"a": {"notebook": "first"}, "b": {"notebook": "last", "needs": ["a"], "always": True}})
    assert project.statuses(project.run()) == {"a": "done", "b": "done"}
    assert project.statuses(project.run()) == {"a": "reused", "b": "done"}


def test_what_needs_it_is_reused_where_it_hands_over_the_same(project):
    project.step("first", "step.emit(x=1)")
    project.step("last", "step.emit(y=2)")
    project.pipeline({"a": {"notebook": "first", "always": True}, "b": {"notebook": "last", "needs": ["a"]}})
    project.run()
    assert project.statuses(project.run()) == {"a": "done", "b": "reused"}


def test_always_is_true_or_false(project):
    project.step("first", "step.emit(x=1)")
    project.pipeline({"a": {"notebook": "first", "always": "sometimes"}})
    with pytest.raises(ParamsRefused, match=r"'steps\.a\.always' is 'sometimes'"):
        project.run()
