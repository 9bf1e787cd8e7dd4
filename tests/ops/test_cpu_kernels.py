"""Compiled once: the cache on disk, and other CPUs than this one through Numba's settings."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

ROOT = Path(__file__).parents[2]
ONE_KERNEL = "from minivit.ops.gelu.cpu import gelu; import numpy as np; print(gelu(np.ones(3), 'erf')[0])"
GOLDENS = """
from pathlib import Path
from minivit import check
from minivit.ops.simd.target import TALL, W
print("tile", W, TALL)
for case in sorted(Path("tests/golden").glob("*/case.json")):
    family, name = case.parent.name.split("__")
    if family in ("vit", "hf", "timm", "real") and name != "vit_l16":
        verdicts = check.run(case.parent, tier="cpu")
        print(family, name, len(verdicts), [v.name for v in verdicts if not v.ok])
"""


def run(code, cache, **settings):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": "1", **settings}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def cache(tmp_path):
    run(ONE_KERNEL, tmp_path)
    return tmp_path


def test_the_first_run_says_that_it_compiles_and_the_second_does_not(tmp_path):
    first = run(ONE_KERNEL, tmp_path)
    assert first.stderr.count("compiling kernels") == 1 and str(tmp_path) in first.stderr
    second = run(ONE_KERNEL, tmp_path)
    assert second.stderr == "" and second.stdout == first.stdout


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_a_damaged_cache_is_built_again_with_a_warning(cache, damage):
    file = next(cache.rglob("gelu_kernel.o"))
    content = bytearray(file.read_bytes())
    if damage == "removed":
        file.unlink()
    else:
        content[len(content) // 2] ^= 255
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    again = run(ONE_KERNEL, cache)
    assert "is damaged" in again.stderr and "compiling kernels" in again.stderr
    assert run(ONE_KERNEL, cache).stderr == ""


def test_a_sealed_file_of_another_kernel_is_built_again_too(cache):
    file = next(cache.rglob("gelu_kernel.o"))
    file.write_bytes(file.with_name("linger_kernel.o").read_bytes())
    seal = file.with_name("seal.json")
    seal.write_text(json.dumps({**json.loads(seal.read_text()), file.name: sha256(file.read_bytes()).hexdigest()}))
    again = run(ONE_KERNEL, cache)
    assert "there is no gelu_kernel in it" in again.stderr and "compiling kernels" in again.stderr


def test_every_kernel_has_a_name_of_its_own():
    code = "from minivit import tiers; tiers.load('cpu', training=True)\nfrom minivit.ops.simd.kernel import KERNELS\n"
    names = run(code + "print(*(one.name for one in KERNELS))", "").stdout.split()
    assert len(names) == len(set(names)) > 15


def test_a_folder_that_cannot_be_written_is_passed_over(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = run(ONE_KERNEL, blocked, XDG_CACHE_HOME=str(tmp_path / "home"))
    assert str(tmp_path / "home") in done.stderr


def test_without_numba_the_tier_says_what_to_install(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('No module named numba')")
    code = "from minivit import tiers\ntry: tiers.load('cpu')\nexcept tiers.InputError as e: print(e)"
    assert "pip install numba" in run(code, tmp_path, PYTHONPATH=str(tmp_path)).stdout


def test_numba_is_not_imported_before_tier_cpu_is_asked_for(tmp_path):
    code = "import sys, minivit; minivit.tiers.load('ref'); print('numba' in sys.modules)"
    assert run(code, tmp_path).stdout == "False\n"


AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt"


@pytest.mark.parametrize(
    ("cpu", "features", "tile"), [("haswell", AVX2, "tile 8 6"), ("x86-64", "+sse,+sse2", "tile 4 6")]
)
def test_other_cpus_agree_with_the_goldens_too_up_to_real_sizes(cpu, features, tile, tmp_path_factory):
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the settings are those of x86")
    cache = tmp_path_factory.getbasetemp().parent / "minivit-kernels"
    lines = run(GOLDENS, cache, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features).stdout.splitlines()
    assert lines[0] == tile and len(lines) == 21
    assert [line for line in lines[1:] if not line.endswith(" []")] == []
