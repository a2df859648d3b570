"""What numba compiles while a subject is watched: not slowed by the watch, and nothing is missed after it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from numba.core import event, types
from numba.extending import overload

from workbench.backtest.lookahead.compiling import COMPILES, unheard
from workbench.backtest.lookahead.opened import opened


def compiled_now(heard: list[Any]) -> Callable[[np.ndarray], float]:
    """Return a function that numba has yet to compile; who hears its compiler's calls is added meanwhile."""

    def inner(values):
        raise NotImplementedError

    @overload(inner)
    def typed(values):
        assert isinstance(values, types.Array)
        heard.append(sys.getprofile())
        return lambda values: values.sum()

    @numba.njit
    def helper(values):
        return inner(values) + 1.0

    @numba.njit
    def outer(values):
        return helper(values) + helper(values)

    return outer


def test_nobody_hears_the_compiler_and_whoever_listened_does_so_again() -> None:
    heard: list[Any] = []
    with opened():
        before = sys.getprofile()
        assert compiled_now(heard)(np.ones(3)) == 8.0
        assert before is not None
        assert sys.getprofile() is before
    assert heard
    assert set(heard) == {None}
    assert sys.getprofile() is None


def test_one_watch_within_another_hears_again_too() -> None:
    heard: list[Any] = []
    with opened(), opened():
        before = sys.getprofile()
        compiled_now(heard)(np.ones(3))
        assert before is not None
        assert sys.getprofile() is before
    assert set(heard) == {None}


def test_a_function_that_does_not_compile_leaves_the_watch_as_it_was() -> None:
    @numba.njit
    def broken(values):
        return values.no_such_thing

    with opened():
        before = sys.getprofile()
        with pytest.raises(numba.TypingError):
            broken(np.ones(3))
        assert sys.getprofile() is before


def test_a_table_read_after_the_compiler_was_at_work_is_told(tmp_path: Path) -> None:
    pd.DataFrame({"sign": [1.0, -1.0]}).to_parquet(tmp_path / "signs.parquet")
    with opened() as seen:
        compiled_now([])(np.ones(3))
        pd.read_parquet(tmp_path / "signs.parquet")
    assert seen == {str(tmp_path / "signs.parquet")}


def test_what_the_compiler_itself_is_made_to_open_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "signs.txt"
    secret.write_text("1 -1")

    def tomorrow(values):
        raise NotImplementedError

    @overload(tomorrow)
    def typed(values):
        known = float(secret.read_text().split()[0])
        return lambda values: known

    @numba.njit
    def signal(values):
        return tomorrow(values)

    with opened() as seen:
        assert signal(np.ones(3)) == 1.0
    assert seen == {str(secret)}


def test_another_thread_is_heard_while_this_one_compiles() -> None:
    calls: list[str] = []

    def listen(frame: FrameType, kind: str, _: Any) -> None:
        if kind == "call":
            calls.append(frame.f_code.co_name)

    def said_elsewhere() -> None: ...

    def elsewhere() -> None:
        sys.setprofile(listen)
        said_elsewhere()
        sys.setprofile(None)

    with unheard(), event.trigger_event(COMPILES):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "said_elsewhere" in calls
