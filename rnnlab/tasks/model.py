"""The model that a task asks for."""

from typing import Any

from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.models import LanguageModel, ManyToMany, ManyToOne, Model
from rnnlab.tasks.base import Task


def model_for_task(task: Task, layer: Any, init: InitScheme, embedding_size: int = 0) -> Model:
    """The model that a task asks for.

    One target a sequence: :class:`ManyToOne`. One a step: :class:`LanguageModel` where symbols
    are predicted from symbols, :class:`ManyToMany` elsewhere. b_y starts at zero.

    Args:
        task: any :class:`rnnlab.tasks.base.Task`.
        layer: a layer, or a cell.
        init: of it only ``w_y``; the layer has its own.
        embedding_size: E, for a task of symbols; 0: one-hot.
    """
    if task.symbols and not task.many_to_one and task.input_size == task.output_size:
        return LanguageModel(layer, task.input_size, embedding_size, w_y=init.w_y)
    kind = ManyToOne if task.many_to_one else ManyToMany
    return kind(
        layer,
        task.output_size,
        w_y=init.w_y,
        symbols=task.input_size if task.symbols else 0,
        embedding_size=embedding_size,
    )
