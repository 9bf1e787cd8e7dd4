"""Everything that tier "gpu" is built on, and nothing that another tier imports.

compat.py       the one place that knows about numba-cuda and its versions
sim.py          a GPU in Python: every thread a greenlet, warps, barriers, random schedules; sim_cuda.py: its `cuda`
intrinsics.py   tensor cores, asynchronous copies, 128-bit access: PTX (ptx.py), or NumPy in the simulator (twins.py)
formats.py      float32, float16 and bfloat16 as kernels read and write them
warps.py        sums and maxima over the lanes of a warp
launch.py       from a Python function to a kernel that runs
arrays.py       arrays on the device, with the few operations that the models use; elementwise.py: their kernels
tiles.py        what the kernels of matrix products share
tier.py         the tier itself; parameters.py, graph.py: how it keeps a model, and runs it
machine.py      what this machine has, and why the tier cannot run there
machine_code.py the kernels compiled without a GPU: registers, spills, instructions; linking.py: by which tools

An op's gpu.py holds its ladder: kernels made for one format by cached functions, `LADDER` with a function of the op's
signature per rung (it takes device arrays, and NumPy arrays too), and `KERNELS`, whose machine code is inspected.
"""
