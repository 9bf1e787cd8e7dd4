"""LLVM's code generator, and its own way to load what it made, where linker.py does not know how.  No Numba here."""

from functools import cache

from llvmlite import binding as llvm

from .target import CPU, FEATURE_STRING, TRIPLE


@cache
def _ready():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def machine():
    """LLVM's code generator for this CPU; one per use, because an engine takes it over."""
    _ready()
    settings = {"opt": 3, "reloc": "default", "codemodel": "jitdefault", "jit": True}
    return llvm.Target.from_triple(TRIPLE).create_target_machine(cpu=CPU, features=FEATURE_STRING, **settings)


def load(code, name):
    """An object file -> the address of its function of that name (0: there is none), and what keeps the code alive."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(name), engine
