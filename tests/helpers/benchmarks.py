"""Benchmarks without their processes, for tests: every side is made and called in this one."""

import contextlib
import os
import sys

from rnnlab.lab import benchmark, benchmark_process, benchmark_worker


def in_process(monkeypatch, module=None):
    """Answer the requests of a benchmark here, by a module, or the one that was loaded last."""
    modules = []
    real = benchmark.load.codes_of

    def codes_of(name):
        modules.append(module or sys.modules[name])
        return real(name)

    class Process:
        group = -1

        def __init__(self, request, env):
            self.worker, self.env = benchmark_worker.Worker(modules[-1], request), env

        def ask(self, task, **details):
            self.send(task, **details)
            return self.answer

        def send(self, task, **details):
            with contextlib.ExitStack() as stack:
                for name, value in self.env.items():
                    stack.callback(_restore, name, os.environ.get(name))
                    os.environ[name] = value
                self.answer = self.worker.answer({"task": task, **details})

        def receive(self):
            return self.answer

        def close(self):
            pass

    monkeypatch.setattr(benchmark.load, "codes_of", codes_of)
    monkeypatch.setattr(benchmark, "Process", Process)
    monkeypatch.setattr(benchmark_process, "wait", lambda processes: next(iter(processes)))
    monkeypatch.setattr(benchmark, "PAUSE", 0.0)
    monkeypatch.setattr(benchmark, "SETTLE", 0.0)


def _restore(name, value):
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def result(ms, *, rounds=5, others_cpu=0.0, **more):
    """Return a member's results with the same time of a side in every round, or a list of them.

    Args:
        ms: {pass: {side: milliseconds, or one number per round}}.
        others_cpu: the share of the CPU that other processes used.
        more: further results.
    """
    by_pass = {
        name: {side: v if isinstance(v, list) else [float(v)] * rounds for side, v in sides.items()}
        for name, sides in ms.items()
    }
    machine = {"processor": "a processor", "cores": 2, "governor": None, "load": 0.1}
    known = {"others_cpu": others_cpu, "left_out": {}, "unsteady": 0, "machine": machine}
    return {"ms": by_pass, "once": {}} | known | more
