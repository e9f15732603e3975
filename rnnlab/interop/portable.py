"""Models that another library has the layers for, described for the scripts that rebuild them.

:func:`described` says of a model of :mod:`rnnlab.nn.models` what a script needs to know, and
refuses by name what the library does not have, with the option to type.
"""

from dataclasses import replace
from typing import NamedTuple

from rnnlab.core.errors import UserError
from rnnlab.core.validate import choice
from rnnlab.interop import blocks
from rnnlab.nn import models
from rnnlab.nn.activations import ACTIVATIONS
from rnnlab.nn.cells import GRU, LSTM, RNN, Cell, without_init
from rnnlab.nn.layers import Bidirectional, CellLayer, Layer, Stack
from rnnlab.nn.protocols import HasInner
from rnnlab.nn.wrappers import Residual, VariationalDropout, Zoneout


class Library(NamedTuple):
    """The cells of another library."""

    name: str
    projection: bool  # of an LSTM
    reset_before: bool  # a GRU's reset gate before the recurrent product
    activations: tuple[str, ...]  # of a simple RNN
    merges: tuple[str, ...]  # of two directions


LIBRARIES = {
    "torch": Library("PyTorch", True, False, ("tanh", "relu"), ("concat",)),
    "keras": Library(
        "Keras",
        False,
        True,
        ("tanh", "relu", "identity", "sigmoid"),
        ("concat", "sum", "mean", "product"),
    ),
    "flax": Library("Flax", False, False, ("tanh", "relu", "identity", "sigmoid"), ("concat",)),
}


class Parts(NamedTuple):
    """A model that can be rebuilt: symbols or features, a layer, a read-out."""

    levels: tuple[Layer, ...]  # cells and bidirectional pairs of cells, without inactive dropout
    symbols: int  # V; 0: inputs are features
    embedding_size: int  # E; 0: symbols enter one-hot
    input_size: int  # D of the lowest level
    outputs: int  # O
    activation: str  # g of the read-out
    reads: str  # "last", "mean", or "steps": the outputs that the read-out reads
    crf: bool  # whether transitions from label to label follow
    tied: bool  # whether W_hy is the embedding

    @property
    def layer(self) -> Layer:
        """All levels as one layer."""
        return self.levels[0] if len(self.levels) == 1 else Stack(self.levels)


def described(model: object, input_size: int, to: str) -> Parts:
    """Describe a model for a library.

    Args:
        model: of :mod:`rnnlab.nn.models`.
        input_size: D features of a model without symbols.
        to: one of ``LIBRARIES``.
    Raises:
        UserError: the library lacks something that the model has; what can be done instead.

    >>> described(models.ManyToOne(GRU(4, reset_after=True), 2), 3, "torch").reads
    'last'
    """
    library = LIBRARIES[choice("library", to, LIBRARIES)]
    if not isinstance(model, models.Recurrent):
        raise _refusal(library, f"no {type(model).__name__}", "")
    if model.activation not in ACTIVATIONS:
        raise _refusal(library, f"no activation {model.activation!r}", "")
    tied = isinstance(model, models.LanguageModel) and model.tie
    return Parts(
        levels=_levels(model.layer, library),
        symbols=model.symbols,
        embedding_size=model.embedding_size,
        input_size=model.embedding_size or model.symbols or input_size,
        outputs=model.outputs,
        activation=str(model.activation),
        reads=model.pooling if isinstance(model, models.ManyToOne) else "steps",
        crf=isinstance(model, models.ManyToMany) and model.crf,
        tied=tied,
    )


# the end of every script: outputs against those of example.npz
CHECK = """\
difference = np.abs(outputs - example["outputs"]).max() / np.abs(example["outputs"]).max()
print(f"largest difference from rnnlab, relative to the largest output: {difference:.1e}")
assert difference <= 1e-6
"""

# a CRF's transitions in NumPy: taken out of the weights, and added to the model's outputs
TAKE_TRANSITIONS = 'transitions = weights.pop("transitions")  # the last row: to the first label\n'
ADD_TRANSITIONS = """\
steps = np.stack([transitions[:-1]] * outputs.shape[1])
steps[0] = transitions[-1]
outputs = outputs[:, :, None] + steps
"""


def cell_of(level: Layer) -> blocks.NamedCell:
    """Return the cell of a level, the forward one of two."""
    side = level.forward if isinstance(level, Bidirectional) else level
    assert isinstance(side, CellLayer)
    assert isinstance(side.cell, RNN | LSTM | GRU)
    return side.cell


def resets_before(model: object) -> bool:
    """Return whether a model has a GRU that resets before the product, unlike PyTorch and Flax.

    >>> resets_before(models.ManyToOne(Stack([GRU(4), GRU(4)]), 2))
    True
    """
    return isinstance(model, models.Recurrent) and _has_reset_before(model.layer)


def _has_reset_before(part: object) -> bool:
    if isinstance(part, Stack):
        return any(map(_has_reset_before, part.layers))
    if isinstance(part, Bidirectional):
        return _has_reset_before(part.forward) or _has_reset_before(part.backward)
    if isinstance(part, CellLayer):
        return _has_reset_before(part.cell)
    if isinstance(part, HasInner):
        return _has_reset_before(part.inner)
    return isinstance(part, GRU) and not part.reset_after


# ---- what a library does not have --------------------------------------------------------------


def _refusal(library: Library, lack: str, instead: str) -> UserError:
    train = f"train with {instead}, or " if instead else ""
    return UserError(
        f"{library.name} has {lack}: {train}export it with --to=safetensors, which takes every "
        "member"
    )


def _levels(layer: Layer, library: Library) -> tuple[Layer, ...]:
    if isinstance(layer, Stack):
        return tuple(_level(inner, library) for inner in layer.layers)
    return (_level(layer, library),)


def _level(level: Layer, library: Library) -> Layer:
    if isinstance(level, CellLayer):
        return _cell_layer(level, library, both=False)
    sides = (level.forward, level.backward) if isinstance(level, Bidirectional) else ()
    if not isinstance(level, Bidirectional) or not all(isinstance(s, CellLayer) for s in sides):
        raise _refusal(library, f"no {type(level).__name__} as one of its layers here", "")
    if level.merge not in library.merges:
        raise _refusal(library, f"no merge={level.merge!r} of two directions", "merge='concat'")
    forward, backward = (_cell_layer(s, library, both=True) for s in sides)
    if without_init(forward) != without_init(backward):
        raise _refusal(library, "no two directions of different cells", "one cell for both")
    return replace(level, forward=forward, backward=backward)


def _cell_layer(layer: Layer, library: Library, both: bool) -> CellLayer:
    assert isinstance(layer, CellLayer)
    return CellLayer(_cell(layer.cell, library, "bi-" * both))


def _cell(cell: Cell, library: Library, both: str) -> Cell:
    while isinstance(cell, VariationalDropout):  # acts in training only
        cell = cell.inner
    if isinstance(cell, Zoneout):
        options = "--config.cell.zoneout_h=0 --config.cell.zoneout_C=0"
        raise _refusal(library, "no Zoneout, which acts after training too", options)
    if isinstance(cell, Residual):
        raise _refusal(library, "no Residual", "--config.cell.residual=False")
    if type(cell) is not RNN and type(cell) is not LSTM and type(cell) is not GRU:
        raise _refusal(library, f"no {type(cell).__name__}", "")
    if cell.norm is not None:
        lack = f"no place for norm={cell.norm!r} of the {type(cell).__name__}"
        raise _refusal(library, lack, '--config.cell.norm=""')
    if isinstance(cell, LSTM) and cell.peephole:
        raise _refusal(library, "no peepholes in its LSTM", "--config.cell.peephole=False")
    if isinstance(cell, LSTM) and cell.projection is not None and not library.projection:
        raise _refusal(library, "no projection in its LSTM", "--config.cell.projection=0")
    if isinstance(cell, GRU) and not cell.reset_after and not library.reset_before:
        lack = "a GRU that resets after the recurrent product, and this one resets before it"
        name = f"--config.cell.name={both}gru-reset-after (GRU(…, reset_after=True))"
        raise _refusal(library, lack, name)
    if isinstance(cell, RNN) and cell.activation not in library.activations:
        lack = f"no RNN of activation {cell.activation!r}"
        raise _refusal(library, lack, f"--config.cell.name={both}rnn-tanh")
    return cell
