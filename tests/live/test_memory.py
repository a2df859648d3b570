"""Memory that a process has done with goes back to the system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from workbench.live.memory import give_back

PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back when it is asked")
def test_what_lies_free_between_things_that_stay_goes_back_to_the_system():
    many = [bytes(2_000) for _ in range(40_000)]
    stays = many[::200]
    full = resident()
    many.clear()
    give_back()
    assert full - resident() > 50  # of some 80 MB, of which a thing of 2 kB stays in every 400 kB
    assert all(each == bytes(2_000) for each in stays)


def test_a_system_that_cannot_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    give_back()
