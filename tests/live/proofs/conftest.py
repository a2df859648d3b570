"""What the proofs share: a folder that is quick, and the gateway and the market of the service's tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.test_service import bars, sim

__all__ = ["bars", "sim"]
MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: a killed process loses nothing that it wrote, synced or not.

    That rows are synced before orders leave is for test_synced and for the logs that are cut.
    """
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True) as name:
        yield Path(name)
