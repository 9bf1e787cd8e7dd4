"""The linker: kernels run as LLVM's own loader runs them, and what it does not know or cannot trust is not run."""

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit import gradients, params, tiers
from minivit.config import HybridConfig, MixerConfig, Stem, ViTConfig
from minivit.model import Model
from minivit.ops.gelu import cpu as gelu
from minivit.ops.simd import kernel, linker, mcjit

if not linker.HERE:
    pytest.skip("LLVM loads the kernels of this system", allow_module_level=True)

CONFIGS = {
    "vit": ViTConfig("small", 4, 48, 2, 3, 70, classes=5, image=(40, 52)),
    "hybrid": HybridConfig("small", 1, 12, 2, 3, 20, classes=5, image=(48, 32), stem=Stem((2, 1), width=8, groups=4)),
    "mixer": MixerConfig("small", 3, 37, 2, 13, 41, classes=5, image=(15, 9)),
}
#: name, type, flags, address, first byte, size, …
SECTION = struct.Struct("<IIQQQQIIQQ")


@pytest.fixture
def loaded_by(monkeypatch):
    def use(load):
        monkeypatch.setattr(kernel, "load", load)
        for one in kernel.KERNELS:
            monkeypatch.setattr(one, "_compiled", None)

    return use


@pytest.fixture(scope="module")
def code():
    """The object file of a kernel with constants, tables and calls."""
    gelu.gelu_kernel.ready()
    return (kernel.cache_folder() / "gelu_kernel.o").read_bytes()


def results(config, dtype):
    images = np.random.default_rng(0).standard_normal((3, *config.image, 3)).astype(np.float32)
    found = [Model(config, params.seeded(config), tiers.load("cpu", dtype)).run(images)]
    ops = tiers.load("cpu", dtype)
    x = images.reshape(3, -1, config.image[1])
    return [*found, ops.gelu(x, "tanh"), ops.softmax(x), ops.mix(ops.softmax(ops.scores(x[None], x[None])), x[None])]


def learned(config):
    ops = tiers.load("cpu", training=True)
    images = np.random.default_rng(0).standard_normal((2, *config.image, 3)).astype(np.float32)
    targets = gradients.as_targets([0, 1], config, images)
    loss, _, tree = gradients.loss_and_gradients(ops.prepare(params.seeded(config)), images, targets, config, ops)
    return [np.array(loss), *params.flatten(tree).values()]


@pytest.mark.parametrize("dtype", tiers.TIERS["cpu"])
@pytest.mark.parametrize("family", CONFIGS)
def test_kernels_give_the_bits_that_they_give_when_llvm_loads_them(family, dtype, loaded_by):
    loaded_by(linker.load)
    mine = results(CONFIGS[family], dtype)
    loaded_by(mcjit.load)
    for own, llvms in zip(mine, results(CONFIGS[family], dtype), strict=True):
        np.testing.assert_array_equal(own, llvms)


def test_so_do_the_kernels_for_learning(loaded_by):
    loaded_by(linker.load)
    mine = learned(CONFIGS["vit"])
    loaded_by(mcjit.load)
    for own, llvms in zip(mine, learned(CONFIGS["vit"]), strict=True):
        np.testing.assert_array_equal(own, llvms)


def test_every_kept_kernel_is_linked_and_none_is_left_to_llvm():
    tiers.load("cpu", training=True)
    kernel.warmup()
    for one in kernel.KERNELS:
        address, memory = linker.load((kernel.cache_folder() / f"{one.name}.o").read_bytes(), one.name)
        assert address and memory


def test_its_memory_can_be_run_and_not_written(code):
    address, _ = linker.load(code, "gelu_kernel")
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < stop:
            assert line.split()[1] == "r-xp"
            return
    pytest.fail("the kernel is nowhere in memory")


def test_a_function_that_is_not_there_has_no_address(code):
    assert linker.load(code, "another_kernel")[0] == 0


def changed(code, wanted, change):
    """The file after change(code, place of the header, its numbers) for its first section of that type with content."""
    code = bytearray(code)
    start, count = struct.unpack_from("<Q", code, 40)[0], struct.unpack_from("<H", code, 60)[0]
    for i in range(count):
        numbers = SECTION.unpack_from(code, start + 64 * i)
        if numbers[1] == wanted and numbers[5]:
            change(code, start + 64 * i, numbers)
            return bytes(code)
    raise AssertionError("there is no such section")


def unknown_relocation(code, at, numbers):
    struct.pack_into("<I", code, numbers[4] + 8, 2)  # the address relative to its place, in 4 bytes


def variables(code, at, numbers):
    struct.pack_into("<Q", code, at + 8, numbers[2] | linker.WRITABLE)


def outside(code, at, numbers):
    struct.pack_into("<Q", code, numbers[4], 1 << 40)


def test_a_relocation_that_it_does_not_know_is_left_to_llvm(code, monkeypatch):
    other = changed(code, linker.RELOCATIONS, unknown_relocation)
    with pytest.raises(linker.Unknown, match="type 2"):
        linker.load(other, "gelu_kernel")
    monkeypatch.setattr(mcjit, "load", lambda code, name: (code, name))
    assert kernel.load(other, "gelu_kernel") == (other, "gelu_kernel")


def test_so_are_variables(code):
    with pytest.raises(linker.Unknown, match="variables"):
        linker.load(changed(code, 1, variables), "gelu_kernel")


@pytest.mark.parametrize("size", [0, 3, 50, 64, 1000, -64, -1])
def test_a_file_that_was_cut_is_refused(code, size):
    with pytest.raises(RuntimeError, match="object file"):
        linker.load(code[:size], "gelu_kernel")


def test_an_address_outside_its_section_is_refused(code):
    with pytest.raises(RuntimeError, match="outside its section"):
        linker.load(changed(code, linker.RELOCATIONS, outside), "gelu_kernel")


def test_code_of_another_machine_is_refused(code):
    with pytest.raises(RuntimeError, match="of this machine"):
        linker.load(code[:18] + struct.pack("<H", 183) + code[20:], "gelu_kernel")  # aarch64


def test_a_function_that_the_system_lacks_is_named(code):
    assert b"sched_yield\0" in code
    with pytest.raises(RuntimeError, match="it calls sched_yaeld, which this system does not have"):
        linker.load(code.replace(b"sched_yield\0", b"sched_yaeld\0"), "gelu_kernel")
