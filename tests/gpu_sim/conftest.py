"""The kernels of tier "gpu" in the simulator.  It needs a process of its own:

    NUMBA_ENABLE_CUDASIM=1 pytest tests/gpu_sim

In the whole suite, tests/test_gpu_in_simulator.py starts that, one process per file.
"""

import pytest

from minivit.gpu.mode import SIMULATED

collect_ignore_glob = [] if SIMULATED else ["test_*.py"]

#: schedules that every kernel must survive: in turn, and two at random
SEEDS = (None, 0, 1)


@pytest.fixture(params=SEEDS, ids=lambda seed: "in turn" if seed is None else f"seed {seed}")
def seed(request):
    """Run the test with warps and lanes taking turns in that order."""
    from minivit.gpu.sim import schedule

    with schedule(request.param):
        yield request.param
