"""rnnlab: a laboratory for recurrent networks in JAX.

Every equation is one pure function, every experiment one config file, and every plot is
checked against theory or a published result.

Names are resolved on first use (PEP 562), so that ``import rnnlab`` costs nothing beyond
``import jax``: optax, orbax, datasets, flax and matplotlib load only when they are needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> the module that defines it; a name that is missing here is a module itself
_HOME = {
    "GRU": "cells",
    "LSTM": "cells",
    "RNN": "cells",
    "gru": "cells",
    "lstm": "cells",
    "rnn": "cells",
    "Residual": "wrappers",
    "VariationalDropout": "wrappers",
    "Zoneout": "wrappers",
    "load_run": "experiment",
    "run": "experiment",
    "load_params": "outcome",
    "make_train": "training",
    "InitScheme": "initializers",
    "register_scheme": "initializers",
    "bidirectional": "recurrence",
    "layer": "recurrence",
    "stack": "recurrence",
    "unroll": "recurrence",
}

if TYPE_CHECKING:
    from rnnlab import (
        cells,
        claims,
        cluster,
        distributed,
        experiment,
        generation,
        gradients,
        initializers,
        losses,
        models,
        optimizers,
        outcome,
        plots,
        program,
        records,
        recurrence,
        report,
        runner,
        sweep,
        tasks,
        theory,
        training,
        wrappers,
    )
    from rnnlab.cells import GRU, LSTM, RNN, gru, lstm, rnn
    from rnnlab.experiment import load_run, run
    from rnnlab.initializers import InitScheme, register_scheme
    from rnnlab.outcome import load_params
    from rnnlab.recurrence import bidirectional, layer, stack, unroll
    from rnnlab.training import make_train
    from rnnlab.wrappers import Residual, VariationalDropout, Zoneout

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "InitScheme",
    "Residual",
    "VariationalDropout",
    "Zoneout",
    "bidirectional",
    "cells",
    "claims",
    "cluster",
    "distributed",
    "experiment",
    "generation",
    "gradients",
    "gru",
    "initializers",
    "layer",
    "load_params",
    "load_run",
    "losses",
    "lstm",
    "make_train",
    "models",
    "optimizers",
    "outcome",
    "plots",
    "program",
    "records",
    "recurrence",
    "register_scheme",
    "report",
    "rnn",
    "run",
    "runner",
    "stack",
    "sweep",
    "tasks",
    "theory",
    "training",
    "unroll",
    "wrappers",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"rnnlab.{_HOME[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"rnnlab.{name}")
    raise AttributeError(f"module 'rnnlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
