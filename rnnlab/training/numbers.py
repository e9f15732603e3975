"""Numbers of an optimizer or a schedule that differ from member to member of one program.

optax's functions take Python floats. Here they take :class:`Number`, a traced float32 in the place
of a constant, so that one compiled program serves every value.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any  # options of a call: numbers, strings, None, and tuples, lists and dicts of these

_STAND_IN = 0.5  # of a number that no branch of optax's code depends on


@jax.tree_util.register_pytree_node_class
class Number:
    """A traced number x that takes part in arithmetic as a Python float does.

    ``1 − x`` is its own float32, rounded once: of a decay rate near 1, a difference of float32
    would keep few digits (1 − 0.999 with an error of 5e-5), and other bits than optax's constant.

    A comparison with 0 or 1, on which optax's code branches, is answered from a stand-in: a
    constant of the program (see :func:`stand_in`).

    Args:
        pair: x and 1 − x, as :func:`pair` makes them.
        path: names the number.
        sample: the stand-in.
        compared: receives the path when the number is compared; None: it must not be.
    """

    def __init__(
        self, pair: jax.Array | np.ndarray, path: str, sample: float, compared: set[str] | None
    ) -> None:
        self._pair, self._path, self._sample, self._compared = pair, path, sample, compared

    def tree_flatten(self) -> tuple[tuple[Any], Any]:
        """Return (children, the static rest), for jax.tree_util."""
        return (self._pair,), (self._path, self._sample, self._compared is not None)

    @classmethod
    def tree_unflatten(cls, rest: tuple[str, float, bool], children: Sequence[Any]) -> "Number":
        """Return the number of :meth:`tree_flatten`."""
        path, sample, may_compare = rest
        return cls(children[0], path, sample, set() if may_compare else None)

    @property
    def value(self) -> jax.Array:
        """The number itself."""
        return jnp.asarray(self._pair[..., 0])

    @property
    def dtype(self) -> np.dtype:
        """As of an array."""
        return self._pair.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return ()

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 0

    def __jax_array__(self) -> jax.Array:
        return self.value

    def __neg__(self) -> jax.Array:
        return -self.value

    def __rsub__(self, other: Any) -> jax.Array:
        one = isinstance(other, int | float) and other == 1
        return jnp.asarray(self._pair[..., 1]) if one else other - self.value

    def _is(self, compare: Callable[[Any, Any], bool], other: object) -> bool:
        if not isinstance(other, int | float) or other not in (0, 1):
            raise TypeError(f"{self._path} is compared with {other!r}: it must be static")
        if self._compared is None:
            raise TypeError(f"{self._path} is compared in an update: it must be static")
        self._compared.add(self._path)
        return compare(self._sample, other)

    def __eq__(self, other: object) -> bool:
        return self._is(operator.eq, other)

    def __ne__(self, other: object) -> bool:
        return self._is(operator.ne, other)

    def __lt__(self, other: object) -> bool:
        return self._is(operator.lt, other)

    def __le__(self, other: object) -> bool:
        return self._is(operator.le, other)

    def __gt__(self, other: object) -> bool:
        return self._is(operator.gt, other)

    def __ge__(self, other: object) -> bool:
        return self._is(operator.ge, other)

    def __bool__(self) -> bool:
        return self._is(operator.ne, 0)

    __hash__ = None  # type: ignore[assignment]


def _forward(name: str, *, reflected: bool) -> None:
    apply = getattr(operator, name)
    if reflected:
        setattr(Number, f"__r{name}__", lambda self, other: apply(other, self.value))
    else:
        setattr(Number, f"__{name}__", lambda self, other: apply(self.value, _plain(other)))


def _plain(other: Any) -> Any:
    return other.value if isinstance(other, Number) else other


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _forward(_name, reflected=False)
    if _name != "sub":  # which __rsub__ has
        _forward(_name, reflected=True)


def pair(x: float) -> np.ndarray:
    """Return (x, 1 − x) in float32, each rounded once; (2,).

    >>> pair(0.999).tolist()
    [0.9990000128746033, 0.0010000000474974513]
    """
    return np.array([x, 1.0 - x], np.float32)


def stand_in(x: float, *, compared: bool) -> float:
    """Return a constant that stands for a number: equal for those that one program serves.

    Args:
        x: the number.
        compared: whether a branch depends on how it compares with 0 and 1.

    >>> [stand_in(x, compared=True) for x in (-3, 0, 0.1, 0.9, 1, 7)]
    [-1.0, 0.0, 0.5, 0.5, 1.0, 2.0]
    >>> stand_in(7, compared=False)
    0.5
    """
    if not compared:
        return _STAND_IN
    if x in (0, 1):
        return float(x)
    return -1.0 if x < 0 else _STAND_IN if x < 1 else 2.0


def numbers(options: PyTree) -> dict[str, float]:
    """Return the floats among a call's options, by their path.

    >>> numbers({"init_value": 1.0, "boundaries_and_scales": {500: 0.1}, "nesterov": True})
    {'boundaries_and_scales.500': 0.1, 'init_value': 1.0}
    """
    leaves = jax.tree_util.tree_leaves_with_path(options)
    return {_path(place): leaf for place, leaf in leaves if isinstance(leaf, float)}


def replaced(options: PyTree, by: Callable[[str, float], Any]) -> PyTree:
    """Return the options with each float replaced.

    Args:
        by: from a number's path and value.
    """
    return jax.tree_util.tree_map_with_path(
        lambda place, leaf: by(_path(place), leaf) if isinstance(leaf, float) else leaf, options
    )


def _path(place: Any) -> str:
    return jax.tree_util.keystr(place, simple=True, separator=".")
