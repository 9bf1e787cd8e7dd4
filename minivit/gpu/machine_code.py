"""Compile every kernel for a GPU that need not be there, and read what came out.

    python -m minivit.gpu.machine_code            registers, shared memory, spills and opcodes of all kernels
    python -m minivit.gpu.machine_code linear     of those whose name has "linear"

Numba makes LLVM code, nvJitLink makes machine code of it, as at a launch; cuobjdump shows that.  Extra: minivit[ptx].
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import InputError, nearest
from ..tables import Table

TARGETS = (8, 0), (9, 0)  # A100; H100 and H200
#: where KERNELS are, beside the ops
OTHERS = ("minivit.gpu.elementwise",)


@dataclass(frozen=True)
class MachineCode:
    registers: int
    spilled: int  # bytes of registers that had to go to memory, stores and loads
    shared: int  # bytes per block
    opcodes: Counter  # "HMMA.16816.F32" -> how often it stands in the code

    def has(self, opcode):
        """How many instructions start with that opcode: "LDG" counts LDG.E.128.CONSTANT too."""
        return sum(n for name, n in self.opcodes.items() if name == opcode or name.startswith(opcode + "."))


def kernels():
    """Every kernel of every op, as launch.Checked."""
    folder = Path(__file__).parent.parent / "ops"
    modules = [f"minivit.ops.{path.parent.name}.gpu" for path in sorted(folder.glob("*/gpu.py"))]
    return [kernel for name in (*modules, *OTHERS) for kernel in getattr(import_module(name), "KERNELS", ())]


def machine_code(kernel, target=(9, 0)):
    """The machine code of a launch.Kernel for a compute capability.  Raises InputError without the tools."""
    from .linking import link  # here: it raises InputError where numba-cuda is not installed

    cubin, log = link(kernel, target)
    found = re.search(r"Used (\d+) registers", log)
    if not found:
        raise InputError(f"{kernel.name}: the assembler reports no registers: {log.strip() or 'nothing'}")
    spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", log))
    shared = re.search(r"(\d+) bytes smem", log)
    return MachineCode(int(found[1]), spilled, int(shared[1]) if shared else 0, _opcodes(cubin))


def _opcodes(cubin):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        text = subprocess.run([cuobjdump(), "-sass", path], capture_output=True, text=True, check=True).stdout
    return Counter(re.findall(r"/\*[0-9a-f]{4,5}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", text))


def cuobjdump():
    from .linking import tools_path

    tool = shutil.which("cuobjdump", path=tools_path())
    if not tool:
        raise InputError("cuobjdump is missing, which shows machine code: pip install 'minivit[ptx]'")
    return tool


def table(chosen, targets=TARGETS):
    """A printable Table, a row per kernel and target; `shows` is counted, and so are accesses to spilled registers."""
    rows = []
    for checked in chosen:
        for target in targets:
            code = machine_code(checked.kernel, target)
            opcodes = ", ".join(f"{code.has(opcode)} {opcode}" for opcode in checked.shows)
            rows.append(
                {
                    "kernel": checked.name, "target": "sm_{}{}".format(*target),
                    "threads": checked.kernel.threads_in_all, "registers": code.registers, "spilled": code.spilled,
                    "shared": code.shared, "instructions": sum(code.opcodes.values()), "opcodes": opcodes,
                }
            )  # fmt: skip
    columns = ("kernel", "target", "threads", "registers", "spilled", "shared", "instructions", "opcodes")
    return Table(columns, rows)


def main(words):
    chosen = [kernel for kernel in kernels() if not words or any(word in kernel.name for word in words)]
    if not chosen:
        raise InputError(f"no kernel is called {' or '.join(words)}{nearest(words[0], [k.name for k in kernels()])}")
    print(table(chosen))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"minivit: {error}", file=sys.stderr)
        sys.exit(2)
