"""Whether kernels run on a GPU or in the simulator: decided once per process, by the environment."""

import os

#: NUMBA_ENABLE_CUDASIM=1: kernels run as Python, one greenlet per thread
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
