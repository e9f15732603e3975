"""Benchmarks without their processes, for tests: every side is made and called in this one."""

import contextlib
import os
import sys

from rnnlab.lab import benchmark, benchmark_process, benchmark_worker


def in_process(monkeypatch):
    """Answer the requests of a benchmark here, with the experiment's module as it is loaded."""
    modules = []
    real = benchmark.load.codes_of

    def codes_of(name):
        modules.append(sys.modules[name])
        return real(name)

    def ask(request, env):
        with contextlib.ExitStack() as stack:
            for name, value in env.items():
                stack.callback(_restore, name, os.environ.get(name))
                os.environ[name] = value
            return benchmark_worker.answer(modules[-1], request)

    monkeypatch.setattr(benchmark.load, "codes_of", codes_of)
    monkeypatch.setattr(benchmark_process, "ask", ask)
    monkeypatch.setattr(benchmark, "PAUSE", 0.0)


def _restore(name, value):
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
