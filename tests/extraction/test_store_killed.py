"""A store whose writer is killed again and again ends as if nobody had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve()


def test_killed_at_random_moments_it_ends_bit_equal_and_rewrites_nothing(tmp_path: Path) -> None:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[2]), str(HERE.parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, str(HERE.with_name("store_killing.py")), str(tmp_path), "0", "24"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["killed"] >= 24
    assert found["inside"] >= 5  # in the middle of writing a part
    assert found["stores"] >= 1
    assert found["parts"] >= 10
    assert found["rewritten"] == []
    assert found["equal"] is True
