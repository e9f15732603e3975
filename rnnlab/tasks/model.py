"""The model of a task that does not make its own."""

from rnnlab.nn.cells import Cell
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.layers import Layer, as_layer
from rnnlab.nn.models import LanguageModel, ManyToMany, ManyToOne, Model
from rnnlab.tasks.base import Task


def model_for_task(
    task: Task, layer: Layer | Cell, init: InitScheme, embedding_size: int = 0
) -> Model:
    """Return the model of a task.

    One target per sequence: :class:`ManyToOne`. One per step: :class:`LanguageModel` if symbols
    are predicted from symbols, else :class:`ManyToMany`. b_y starts at zero.

    Args:
        task: any :class:`rnnlab.tasks.base.Task`.
        layer: a layer, or a cell.
        init: only its ``w_y`` is used; the layer has its own scheme.
        embedding_size: E, for a task of symbols; 0: one-hot inputs.
    """
    layer = as_layer(layer)
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
