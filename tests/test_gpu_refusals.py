"""What tier "gpu" says where it cannot run: one line, with what to install or to choose."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from minivit import cli, tiers
from minivit.errors import InputError
from minivit.gpu.machine import problem

H200 = {"driver": (13, 0), "toolkit": 13, "card": "NVIDIA H200", "capability": (9, 0)}
MACHINES = {
    "no driver": (
        {"toolkit": 13, "error": "CUDA driver library cannot be found."},
        "float32",
        "no NVIDIA driver was found: install one",
    ),
    "no GPU": (
        {"toolkit": 13, "driver": (13, 0), "error": "[100] CUDA_ERROR_NO_DEVICE"},
        "float32",
        "the driver finds no GPU .*CUDA_VISIBLE_DEVICES.*CUDA_ERROR_NO_DEVICE",
    ),
    "old driver": (
        {**H200, "driver": (12, 4)},
        "float32",
        r"the driver knows CUDA 12\.4, the packages are for CUDA 13: pip install 'minivit\[cuda12\]', or install .*580",
    ),
    "very old driver": (
        {**H200, "driver": (11, 8), "toolkit": 12},
        "float32",
        r"CUDA 11\.8, the packages are for CUDA 12: install driver 525",
    ),
    "old card": (
        {**H200, "card": "Tesla T4", "capability": (7, 5)},
        "bfloat16",
        r"Tesla T4 \(compute capability 7\.5\) has no tensor cores for bfloat16; use float32",
    ),
    "broken card": (
        {**H200, "error": "Call to cuMemGetInfo results in CUDA_ERROR_ECC"},
        "float32",
        "the GPU does not answer: Call to cuMemGetInfo",
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_that_cannot_run_it_gets_one_line(name):
    facts, dtype, expected = MACHINES[name]
    found = problem(facts, dtype)
    assert re.search(expected, found), found
    assert "\n" not in found


@pytest.mark.parametrize("dtype", tiers.TIERS["gpu"])
def test_an_h200_runs_every_dtype(dtype):
    assert problem(H200, dtype) is None


def test_a_card_without_tensor_cores_still_runs_float32():
    assert problem({**H200, "capability": (7, 5)}, "float32") is None


def test_the_command_line_says_it_in_one_line(capsys, monkeypatch, tmp_path):
    if not tiers.obstacle("gpu"):
        pytest.skip("this machine has a GPU, so nothing is refused")
    assert cli.main(["classify", "--tier", "gpu", str(tmp_path / "any.png")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("minivit: tier 'gpu'")


def test_without_numba_cuda_it_says_what_to_install():
    if importlib.util.find_spec("numba_cuda"):
        pytest.skip("numba-cuda is installed here")
    assert "pip install 'minivit[cuda]'" in tiers.obstacle("gpu")


@pytest.mark.parametrize("simulated", ["0", "1"])
def test_machine_code_without_a_compiler_is_refused_in_one_line(simulated):
    if importlib.util.find_spec("numba_cuda"):
        pytest.skip("numba-cuda is installed here")
    command = [sys.executable, "-m", "minivit.gpu.machine_code", "gelu"]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": simulated}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("minivit: ") and done.stderr.count("\n") == 1


def test_training_is_refused_before_anything_else():
    with pytest.raises(InputError, match="tier 'gpu' computes no gradients; train with tier 'cpu'"):
        tiers.load("gpu", training=True)


def test_no_other_tier_imports_anything_of_it():
    code = "import sys, minivit; minivit.load('demo'); sys.exit('minivit.gpu' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
