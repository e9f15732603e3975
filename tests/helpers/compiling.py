"""How JAX compiles in tests: set before it is imported, and for the processes that tests start.

Compiling takes most of the tests' time, so it is made cheap: without XLA's costly optimizations,
with its older, faster emitters, and each program in one piece instead of up to 32 for as many
threads, where this JAX has these flags. Exact bits are those of XLA as users have it: alone, in a
group and on several devices they may differ otherwise.
"""

import importlib.metadata

_OLD_JAX = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11)
CHEAP = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    if _OLD_JAX
    else "",
}
FOR_USERS = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
