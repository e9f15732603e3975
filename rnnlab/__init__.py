"""rnnlab: a laboratory for recurrent networks in JAX.

Every equation is one pure function, every experiment is one config file, and every plot is
checked against theory or a published result.

Names are resolved on first use (PEP 562), so that ``import rnnlab`` costs nothing beyond
``import jax``: optax, orbax, datasets, flax and matplotlib load only when they are needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rnnlab.core.version import __version__ as __version__
from rnnlab.tasks import registry as _tasks

# BERT stands on tasks and training, and so announces its own tasks from above
_tasks.announce("sentence_pairs", "rnnlab.bert.pretraining:SentencePairs")
_tasks.announce("review_pieces", "rnnlab.bert.finetuning:ReviewPieces")
_tasks.announce("tag_pieces", "rnnlab.bert.finetuning:TagPieces")

# public name -> the module that defines it
_HOME = {
    "Comparison": "lab.comparison",
    "GRU": "nn.cells",
    "LSTM": "nn.cells",
    "RNN": "nn.cells",
    "Residual": "nn.wrappers",
    "VariationalDropout": "nn.wrappers",
    "Zoneout": "nn.wrappers",
    "advise": "lab.advice",
    "describe": "lab.descriptions",
    "export": "lab.export",
    "load_run": "results.run_dir",
    "run": "lab.run",
    "load_params": "training.params",
    "make_train": "training.train",
    "Bidirectional": "nn.layers",
    "Stack": "nn.layers",
    "InitScheme": "nn.initializers",
    "register_cell": "nn.cells",
    "register_scheme": "nn.initializers",
    "register_task": "tasks.registry",
    "unroll": "nn.unroll",
}
_PACKAGES = [
    "bert",
    "core",
    "data",
    "embeddings",
    "gradients",
    "interop",
    "lab",
    "nn",
    "plotting",
    "report",
    "results",
    "sparse",
    "tasks",
    "text",
    "theory",
    "training",
]

if TYPE_CHECKING:
    from rnnlab import (
        bert,
        core,
        data,
        embeddings,
        gradients,
        interop,
        lab,
        nn,
        plotting,
        report,
        results,
        sparse,
        tasks,
        text,
        theory,
        training,
    )
    from rnnlab.lab.advice import advise
    from rnnlab.lab.comparison import Comparison
    from rnnlab.lab.descriptions import describe
    from rnnlab.lab.export import export
    from rnnlab.lab.run import run
    from rnnlab.nn.cells import GRU, LSTM, RNN, register_cell
    from rnnlab.nn.initializers import InitScheme, register_scheme
    from rnnlab.nn.layers import Bidirectional, Stack
    from rnnlab.nn.unroll import unroll
    from rnnlab.nn.wrappers import Residual, VariationalDropout, Zoneout
    from rnnlab.results.run_dir import load_run
    from rnnlab.tasks.registry import register_task
    from rnnlab.training.params import load_params
    from rnnlab.training.train import make_train

__all__ = [
    "Bidirectional",
    "Comparison",
    "Stack",
    "GRU",
    "LSTM",
    "RNN",
    "InitScheme",
    "Residual",
    "VariationalDropout",
    "Zoneout",
    "advise",
    "bert",
    "core",
    "data",
    "describe",
    "embeddings",
    "export",
    "gradients",
    "interop",
    "lab",
    "load_params",
    "load_run",
    "make_train",
    "nn",
    "plotting",
    "register_cell",
    "register_scheme",
    "register_task",
    "report",
    "results",
    "run",
    "sparse",
    "tasks",
    "text",
    "theory",
    "training",
    "unroll",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"rnnlab.{_HOME[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"rnnlab.{name}")
    raise AttributeError(f"module 'rnnlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
