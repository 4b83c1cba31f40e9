"""kill9.py with a quarter of its kills; the whole of it takes about two minutes: tests/e2e/kill9.py."""

import os
import subprocess
import sys
from pathlib import Path

KILLS = 25
SECONDS_MAX = 180


def test_nothing_that_was_answered_is_lost_by_kill_9(world):
    program = Path(__file__).resolve().parent / "kill9.py"
    done = subprocess.run([sys.executable, program, "--kills", str(KILLS)], capture_output=True, text=True,
                          timeout=SECONDS_MAX, env={**os.environ, "GANTRY": str(world.gantry)})
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
