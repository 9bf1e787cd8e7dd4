"""LLVM's answer to what this CPU can do, and to what Numba's settings ask for beyond that.

The settings NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override the host, so that one machine can test them all.
"""

from llvmlite import binding as llvm
from numba import __version__ as numba_version
from numba import config
from numba.core.codegen import get_host_cpu_features
from numba.core.registry import cpu_target

from ...errors import InputError

#: Sets of instructions that LLVM chooses by itself.  Others, such as `pku`, it uses only where a program says so, and
#: virtual machines often lack them
CHOSEN = (
    *("sse", "ssse", "avx", "amx", "fma", "f16c", "xop", "bmi", "tbm", "lzcnt", "popcnt", "movbe", "egpr", "ndd"),
    *("neon", "dotprod", "sve", "fullfp16", "bf16", "i8mm", "lse"),
)

#: A function that may use one set of instructions, and one compiled for some CPU that calls it
_PROBE = """
define i32 @uses.{i}(i32 %x) "target-features"="+{name}" {{
  %y = add i32 %x, {i}
  ret i32 %y
}}
define i32 @calls.{i}(i32 %x) "target-cpu"="{cpu}" "target-features"="{features}" {{
  %y = call i32 @uses.{i}(i32 %x)
  ret i32 %y
}}
"""


def ask():
    """[triple, name of the CPU, its features as "+avx2,-sse4a,…"] that Numba would compile for.

    Raises InputError if its settings ask for instructions that this CPU does not have.
    """
    if llvm.llvm_version_info < (20,):  # LLVM 15 of Numba 0.61 aborts on the vectors of vector.py
        raise ImportError(f"Numba 0.62 or newer is needed, this is {numba_version}")
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:  # otherwise Numba compiles for what is here
        _refuse_what_is_missing(triple, cpu, features)
    return [triple, cpu, features]


def instructions(triple, cpu, features, names):
    """Which of these sets of instructions LLVM may use for that CPU and those features.

    It has no list to ask for, but it inlines a function only where all that the function may use is there.
    """
    probes = (_PROBE.format(i=i, name=name, cpu=cpu, features=features) for i, name in enumerate(names))
    module, machine = llvm.parse_assembly("".join(probes)), llvm.Target.from_triple(triple).create_target_machine()
    module.triple = triple
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(module, passes)
    left = str(module)
    return {name for i, name in enumerate(names) if f"call i32 @uses.{i}(" not in left}


def _refuse_what_is_missing(triple, cpu, features):
    host = get_host_cpu_features()
    asked = {f[1:] for f in features.split(",") if f.startswith("+")}
    names = sorted(name for name in asked.union(f[1:] for f in host.split(",")) if name.startswith(CHOSEN))
    missing = instructions(triple, cpu, features, names) - instructions(triple, llvm.get_host_cpu_name(), host, names)
    if missing:
        raise InputError(
            f"NUMBA_CPU_NAME and NUMBA_CPU_FEATURES ask for {', '.join(sorted(missing))}, which this CPU "
            f"({llvm.get_host_cpu_name()}) does not have; unset them, and the kernels are compiled for what it has"
        )
