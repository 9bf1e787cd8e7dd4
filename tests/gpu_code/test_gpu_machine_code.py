"""What compilers make of the kernels: registers, shared memory, spills, and the instructions that prove the point."""

import pytest

TARGETS = (8, 0), (9, 0)
REGISTERS = 65536  # of a multiprocessor, which at least one block must fit into
SHARED = 48 * 1024  # bytes that a block may have without asking for more


def names():
    # of all kernels, without compiling them; needs no compiler, but numba-cuda
    try:
        import numba_cuda  # noqa: F401

        from minivit.gpu import machine_code
    except ImportError:
        return ["any"]
    return [checked.name for checked in machine_code.kernels()]


@pytest.fixture(scope="session")
def kernels(inspect):
    return {checked.name: checked for checked in inspect.kernels()}


@pytest.mark.parametrize("target", TARGETS, ids="sm_{0[0]}{0[1]}".format)
@pytest.mark.parametrize("name", names())
def test_the_machine_code_of_a_kernel(name, target, inspect, kernels):
    checked = kernels[name]
    code = inspect.machine_code(checked.kernel, target)
    assert code.registers * checked.kernel.threads_in_all <= REGISTERS
    assert code.shared <= SHARED
    for opcode in checked.shows:
        assert code.has(opcode), f"no {opcode} among {dict(code.opcodes)}"
    if checked.last:
        assert code.spilled == 0 and not code.has("LDL") and not code.has("STL")


def test_every_op_of_the_models_has_a_kernel(kernels):
    first = {name.split()[0] for name in kernels}
    assert first >= {"linear", "layernorm", "gelu", "attention", "softmax", "patch_embed", "prepend", "pool", "tanh"}
    assert first >= {"conv", "groupnorm", "relu", "max_pool"}


def test_the_main_loop_of_the_tensor_core_product_is_mostly_its_own_work(inspect, kernels):
    # 128×128×32 per block and step, 8 warps: 32 products each, fed by 12 reads of four matrices
    code = inspect.machine_code(kernels["linear v4 128×128 bfloat16 GELU"].kernel)
    assert code.has("HMMA.16816.F32.BF16") == 32
    assert code.has("LDSM.16.M88.4") + code.has("LDSM.16.MT88.4") == 12
    assert code.registers <= 128  # two blocks per multiprocessor


def test_a_convolution_is_the_product_of_a_linear_layer_but_for_its_reader(inspect, kernels):
    # per step of 32: as many products and reads of matrices, fed by asynchronous copies; the search for a window's
    # pixels costs instructions, and none where a window is one pixel
    product = inspect.machine_code(kernels["linear v4 128×128 bfloat16 residual"].kernel)
    points, windows = (inspect.machine_code(kernels[f"conv v3 128×128 bfloat16 {k}"].kernel) for k in ("1×1", "3×3"))
    for code in (points, windows):
        for opcode in ("HMMA.16816.F32.BF16", "LDSM.16.M88.4", "LDSM.16.MT88.4", "LDGSTS.E.BYPASS.128"):
            assert code.has(opcode) == product.has(opcode) > 0
    assert points.registers <= 128  # two blocks per multiprocessor


def test_the_last_pass_of_groupnorm_reads_and_writes_every_number_once(inspect, kernels):
    # four numbers of x, of the residual, and of mean, factor and bias; the parts are read once, and stay in registers
    last = inspect.machine_code(kernels["groupnorm v3, residual and ReLU"].kernel)
    assert last.has("LDG.E.128") == 5 and last.has("STG.E.128") == 1
    assert inspect.machine_code(kernels["groupnorm v3, parts"].kernel).has("LDG.E") == 32


def test_a_table_has_a_row_per_kernel_and_target(inspect, kernels):
    rows = inspect.table([kernels["gelu v2 float32 tanh"]]).rows
    assert [row["target"] for row in rows] == ["sm_80", "sm_90"]
    assert rows[0]["opcodes"] == "1 LDG.E.128, 1 STG.E.128" and rows[0]["spilled"] == 0
