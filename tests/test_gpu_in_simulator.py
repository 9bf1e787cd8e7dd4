"""Start the simulator's tests (tests/gpu_sim): whether kernels are simulated is decided once per process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parent / "gpu_sim").glob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_kernels_agree_with_ref_in_the_simulator(path):
    pytest.importorskip("greenlet", reason="the simulator needs greenlet: pip install 'minivit[sim]'")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(command, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
