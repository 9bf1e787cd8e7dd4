"""The machine code of the kernels of tier "gpu", compiled without a GPU: pip install 'minivit[ptx]'."""

import pytest

from minivit.errors import InputError


@pytest.fixture(scope="session")
def inspect():
    """minivit.gpu.machine_code, or a skip that says what is not installed."""
    pytest.importorskip("numba_cuda", reason="no compiler for GPUs here: pip install 'minivit[ptx]'")
    from minivit.gpu import compat, machine_code

    if compat.SIMULATED:
        pytest.skip("kernels are simulated in this process: unset NUMBA_ENABLE_CUDASIM")
    try:
        machine_code.cuobjdump()
    except InputError as error:
        pytest.skip(str(error))
    return machine_code
