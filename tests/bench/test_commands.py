"""A command that gives another answer than it must is not measured."""

import sys

import pytest


def test_the_right_answer_takes_time(commands):
    assert commands.answer([sys.executable, "-c", "print('yes')"], 0, "yes") > 0


@pytest.mark.parametrize("code", ["print('no')", "print('yes'); exit(1)"])
def test_another_answer_is_refused(commands, code):
    with pytest.raises(SystemExit, match="ended with"):
        commands.answer([sys.executable, "-c", code], 0, "yes")
