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


def test_every_op_of_the_vision_transformer_has_a_kernel(kernels):
    first = {name.split()[0] for name in kernels}
    assert first >= {"linear", "layernorm", "gelu", "attention", "softmax", "patch_embed", "prepend", "pool", "tanh"}


def test_the_main_loop_of_the_tensor_core_product_is_mostly_its_own_work(inspect, kernels):
    # 128×128×32 per block and step, 8 warps: 32 products each, fed by 12 reads of four matrices
    code = inspect.machine_code(kernels["linear v4 128×128 bfloat16 GELU"].kernel)
    assert code.has("HMMA.16816.F32.BF16") == 32
    assert code.has("LDSM.16.M88.4") + code.has("LDSM.16.MT88.4") == 12
    assert code.registers <= 128  # two blocks per multiprocessor


def test_a_table_has_a_row_per_kernel_and_target(inspect, kernels):
    rows = inspect.table([kernels["gelu v2 float32 tanh"]]).rows
    assert [row["target"] for row in rows] == ["sm_80", "sm_90"]
    assert rows[0]["opcodes"] == "1 LDG.E.128, 1 STG.E.128" and rows[0]["spilled"] == 0
