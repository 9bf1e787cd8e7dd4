"""Numba's settings may ask for instructions that this CPU does not have: refused, instead of killed by one of them."""

import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")
if platform.machine() not in ("x86_64", "AMD64"):
    pytest.skip("the settings are those of x86", allow_module_level=True)

#: the last CPU with XOP was made in 2016; LLVM would compute with it wherever it may
XOP = {"NUMBA_CPU_FEATURES": "+sse2,+xop"}
BY_NAME = {"NUMBA_CPU_NAME": "bdver4", "NUMBA_CPU_FEATURES": "+sse2"}


def minivit(*arguments, **settings):
    command = [sys.executable, "-m", "minivit", *arguments]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)


@pytest.mark.parametrize("settings", [XOP, BY_NAME], ids=["by feature", "by name"])
def test_instructions_that_this_cpu_lacks_are_refused_in_one_line(settings):
    done = minivit("warmup", **settings)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "xop" in done.stderr and "unset them" in done.stderr


def test_doctor_says_that_the_tier_cannot_work_and_why():
    done = minivit("doctor", **XOP)
    assert done.returncode == 0 and "cpu: not available: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES ask for" in done.stdout


def test_a_name_alone_is_no_reason_because_numba_switches_off_what_the_host_lacks():
    done = minivit("doctor", NUMBA_CPU_NAME="bdver4")
    assert done.returncode == 0 and "compiled for: bdver4" in done.stdout
