"""Every script in bench/ runs at its small size and prints figures of one shape."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SMALL = {"pipeline.py": ["--small"]}
KEYS = {"figure", "value", "unit", "peer", "peer_value", "ratio", "peak_rss_mb", "size"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", sorted(BENCH.glob("*.py")), ids=lambda file: file.name)
def test_a_bench_script_prints_one_line_a_figure(script):
    done = subprocess.run(
        [sys.executable, str(script), *SMALL.get(script.name, [])], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert bool(figures) == (script.name != "figure.py")
    for figure in figures:
        assert figure.keys() - {"target"} == KEYS
        assert figure["value"] > 0 or figure["unit"] != "s", figure
