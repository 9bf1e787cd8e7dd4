"""A process that finds its kernels in the cache imports neither Numba nor LLVM, and still knows this CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from numba import njit

from minivit.errors import InputError
from minivit.ops.linear import panels
from minivit.ops.linear.cpu import loops_v1
from minivit.ops.simd import host, linker, team
from minivit.ops.simd.lanes import filled, fma, sum_of
from minivit.ops.simd.target import W

ROOT = Path(__file__).parents[2]
HEAVY = "import sys; print([name for name in ('numba', 'llvmlite.binding') if name in sys.modules])"
ONE_KERNEL = f"from minivit.ops.gelu.cpu import gelu; import numpy as np; print(gelu(np.ones(3), 'erf')[0]); {HEAVY}"
needs_linker = pytest.mark.skipif(not linker.HERE, reason="LLVM loads the kernels of this system")
needs_facts = pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="this system does not describe its CPU")


def run(code, cache, **settings):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **settings}
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Questions that LLVM was asked, in a cache of its own; each answer is another one."""
    asked = []
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(host, "_ask", lambda: asked.append(1) or ["x86_64", f"cpu {len(asked)}", "+sse2"])
    return asked


@needs_linker
def test_a_model_runs_without_them_when_its_kernels_are_there(tmp_path):
    np.save(tmp_path / "pixels.npy", np.random.default_rng(0).standard_normal((32, 32, 3)).astype(np.float32))
    arguments = ["classify", str(tmp_path / "pixels.npy"), "--tier", "cpu", "--dtype", "int8"]
    code = f"from minivit.cli import main; code = main({arguments}); {HEAVY}"
    usual = os.environ.get("NUMBA_CACHE_DIR", "")
    run(code, usual)
    done = run(code, usual)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.splitlines()[-1] == "[]"


@needs_linker
def test_the_first_run_needs_them_and_the_second_does_not(tmp_path):
    first = run(ONE_KERNEL, tmp_path)
    assert "compiling kernels" in first.stderr and "['numba', 'llvmlite.binding']" in first.stdout
    second = run(ONE_KERNEL, tmp_path)
    assert second.stderr == "" and second.stdout.splitlines() == [first.stdout.splitlines()[0], "[]"]


@needs_facts
def test_where_llvm_loads_the_kernels_numba_is_not_needed_either(tmp_path):
    code = f"from minivit.ops.simd import linker; linker.HERE = False; {ONE_KERNEL}"
    first, second = run(code, tmp_path), run(code, tmp_path)
    assert second.stderr == "" and second.stdout.splitlines() == [first.stdout.splitlines()[0], "['llvmlite.binding']"]


@needs_facts
def test_llvm_is_asked_once(answers):
    assert host.answer() == host.answer() == ["x86_64", "cpu 1", "+sse2"]
    assert len(answers) == 1


@needs_facts
@pytest.mark.parametrize("setting", host.SETTINGS)
def test_it_is_asked_again_for_other_settings(answers, setting, monkeypatch):
    host.answer()
    monkeypatch.setenv(setting, "1")
    assert host.answer()[1] == "cpu 2" and host.answer()[1] == "cpu 2"
    monkeypatch.delenv(setting)
    assert host.answer()[1] == "cpu 1"


@needs_facts
@pytest.mark.parametrize(
    ("before", "after"), [("flags", "flags: sse2"), ("model name", "model name: another"), ("cpu MHz", None)]
)
def test_it_is_asked_again_on_another_cpu(answers, before, after, monkeypatch):
    text = "model name: one\ncpu MHz: 1000\nflags: sse2 avx2\n"
    monkeypatch.setattr(host.Path, "read_text", lambda path, **how: text if "cpuinfo" in str(path) else "version")
    host.answer()
    text = "\n".join((after or "cpu MHz: 2000") if line.startswith(before) else line for line in text.splitlines())
    assert host.answer()[1] == ("cpu 2" if after else "cpu 1")  # how fast it runs at the moment is nothing to ask about


@needs_facts
def test_it_is_asked_again_after_an_update_of_numba(answers, monkeypatch):
    host.answer()
    monkeypatch.setattr(host, "versions", lambda: ["0.99", "0.99"])
    assert host.answer()[1] == "cpu 2"


@needs_facts
@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"answer": ["x86_64", "cpu 1", "+avx2"], "checksum": "1"}', "\0"])
def test_a_damaged_answer_is_replaced_with_a_warning(answers, damage, tmp_path):
    host.answer()
    (file,) = tmp_path.glob("cpu-*.json")
    file.write_text(damage)
    with pytest.warns(UserWarning, match="is damaged"):
        assert host.answer()[1] == "cpu 2"
    assert host.answer()[1] == "cpu 2" and json.loads(file.read_text())["answer"][1] == "cpu 2"


def test_where_the_system_does_not_describe_its_cpu_llvm_is_always_asked(answers, monkeypatch):
    monkeypatch.setattr(host, "_facts", lambda: None)
    assert [host.answer()[1], host.answer()[1]] == ["cpu 1", "cpu 2"]


def test_a_number_of_threads_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "all")
    with pytest.raises(InputError, match="NUMBA_NUM_THREADS=all: expected a number"):
        team.usual_threads()


def test_a_function_of_numba_can_use_the_vectors_and_the_functions_of_kernels():
    @njit
    def mine(kind):
        return sum_of(fma(filled(2.0), filled(3.0), 1.0) / 7.0), panels.tall_of(kind)

    assert mine(0) == (W, panels.tall_of(0))


def test_python_calls_the_loops_of_a_ladder_compiled_or_as_written():
    x, w, b = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32), np.zeros(4, np.float32)
    compiled, written = np.empty((2, 4), np.float32), np.empty((2, 4), np.float32)
    loops_v1(x, w, b, compiled)
    loops_v1.py_func(x, w, b, written)
    assert (compiled == 3).all() and (written == 3).all() and loops_v1.__name__ == "loops_v1"
