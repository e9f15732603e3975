"""Layers as Equinox modules; needs equinox (``rnnlab[equinox]``)."""

from typing import TYPE_CHECKING, Any

import jax
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import UserError, install
from rnnlab.interop.modules import check_features, run
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, as_layer
from rnnlab.nn.params import PyTree

if TYPE_CHECKING:
    import equinox
    from equinox import Module
else:
    try:
        import equinox
        from equinox import Module
    except ImportError:  # the module can still be read and documented
        equinox, Module = None, object

Array = jax.Array


def _static() -> Any:
    return None if equinox is None else equinox.field(static=True)


class Recurrent(Module):
    """A cell or layer as an Equinox module.

    Its arrays are the parameters that ``layer.init(key, input_size)`` draws, named as there:
    ``module.params.W_xi`` of an LSTM. Noise (zoneout, dropout) is drawn from the key of a call,
    unless ``equinox.nn.inference_mode(module)`` has turned it off.

    Args:
        layer: a cell, wrapped or registered ones too, a bidirectional layer, a stack, or a layer of
            your own.
        input_size: D.
        key: of the parameters.
        inference: whether noise is off.
    Raises:
        UserError: equinox is not installed. TypeError: neither a cell nor a layer.
        ValueError: a cell that breaks the contract, or an invalid input size.
    """

    params: PyTree
    inference: bool
    layer: Layer = _static()
    input_size: int = _static()

    def __init__(
        self, layer: Cell | Layer, input_size: int, *, key: Array, inference: bool = False
    ) -> None:
        if equinox is None:
            raise UserError(f"equinox is not installed: {install('equinox')}")
        self.layer = as_layer(layer)
        self.input_size = validate.whole("input_size", input_size)
        self.params = self.layer.init(key, self.input_size)
        self.inference = validate.flag("inference", inference)

    def __call__(
        self,
        xs: Array,
        *,
        lengths: ArrayLike | None = None,
        initial_state: PyTree = None,
        key: Array | None = None,
        inference: bool | None = None,
        return_state: bool = False,
        **options: Any,
    ) -> PyTree:
        """Run the layer over one sequence xs (T, D), or over a batch (B, T, D).

        Args:
            xs, lengths, initial_state: as of :func:`rnnlab.unroll`; of one sequence, lengths is one
                number.
            key: of the noise.
            inference: True turns noise off; None: as ``self.inference`` says.
            return_state: whether to return the final state too.
            options: the other options of :func:`rnnlab.unroll`: resets, reverse, engine, taps.
        Returns:
            ys (T, H) or (B, T, H); with ``return_state`` (ys, final state), and taps if asked for.
        Raises:
            TypeError, ValueError: as :func:`rnnlab.unroll`; inputs of another size; noise without a
                key.
        """
        check_features(xs, self.input_size)
        quiet = self.inference if inference is None else inference
        return run(
            self.layer,
            self.params,
            xs,
            key=None if quiet else key,
            deterministic=quiet,
            give_key="pass key=…, or equinox.nn.inference_mode(module) for none",
            return_state=return_state,
            lengths=lengths,
            initial_state=initial_state,
            **options,
        )
