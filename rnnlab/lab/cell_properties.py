"""Properties that every cell and layer has, ours and registered ones.

They run op by op (``jax.disable_jit``), where nothing is compiled; two of them compare that with
the compiled program. Gradients are compared with central differences in float64.

Shapes: B batch, T time, D input, H hidden.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.lab.properties import (
    Broken,
    Property,
    Skipped,
    expect_equal,
    expect_finite,
    identical,
    leaves,
)
from rnnlab.nn import contract
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines import fused, newton
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.layers import Layer, as_layer
from rnnlab.nn.protocols import Stochastic
from rnnlab.nn.unroll import unroll

Array = jax.Array
PyTree = Any

B, T, D, H = 3, 3, 3, 4
LENGTHS = np.array([3, 1, 2])
CLOSE = 1e-5  # relative, in float32
CLOSE_64 = 1e-10
_STEP = 1e-6  # of central differences in float64
_CLOSE_GRADIENT = 1e-5
_WRONG = (  # property, what it means, the words of the contract's message
    ("gates", "The gates of a step are a NamedTuple, a dict or None.", ".step must return gates"),
    (
        "output size",
        "The output is (..., output_size), as output_size says.",
        "an output of floats",
    ),
    ("keys", "A step runs without a key too.", "must run without a key"),
    ("step", "A step returns a state of the same structure, shapes and dtypes.", ""),
)


class Make(Protocol):
    """Makes a cell or a layer of a registered name."""

    def __call__(self, hidden_size: int, init: InitScheme) -> Cell | Layer: ...


@contextmanager
def _double() -> Iterator[None]:
    with jax.enable_x64(True), jax.disable_jit():
        yield


def _cast(tree: PyTree, dtype: Any) -> PyTree:
    def cast(leaf: Array) -> Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(lambda leaf: cast(jnp.asarray(leaf)), tree)


def _random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def of_cell(make: Make) -> list[Property]:
    """Return the properties of a cell, in order.

    Args:
        make: makes it from hidden_size and init, with other options at their defaults.
    """
    made = make(H, InitScheme())
    if isinstance(made, Layer) and not hasattr(made, "step"):
        return of_layer(make)
    cell = made
    of = _Cell(make, cell)
    return [
        Property("hashable", "It is hashable: @dataclass(frozen=True).", of.hashable, basic=True),
        Property(
            "equal by value", "Two cells of the same options are equal.", of.equal, basic=True
        ),
        Property(
            "members",
            "It has all members, with the arguments they are called with.",
            of.members,
            basic=True,
        ),
        Property(
            "initial state",
            "s_0 is a NamedTuple of arrays with the batch axes in front.",
            of.initial_state,
            basic=True,
        ),
        *(
            Property(name, meaning, partial(of.step, words), basic=True)
            for name, meaning, words in _WRONG
        ),
        Property("parameters", "init_params depends on its key alone.", of.parameters),
        Property("init", "The schemes of init reach the parameters.", of.init),
        Property("randomness", "Nothing is drawn but from the key.", of.randomness),
        Property("batch", "An example's result does not depend on the others.", of.batch),
        Property("shapes", "Any batch axes give the same numbers.", of.shapes),
        Property("dtype", "float32 stays float32, and float64 float64.", of.dtype),
        Property("lengths", "Padding has no effect, not even NaN.", of.lengths),
        Property("resets", "Nothing crosses a reset.", of.resets),
        Property("reverse", "Reading in reverse is reading what is turned round.", of.reverse),
        Property("empty", "No steps and no examples work.", of.empty),
        Property("engines", "Every engine that runs it agrees with its steps.", of.engines),
        Property("jit and vmap", "A compiled and a mapped step agree with it.", of.transformed),
        Property("gradient", "Gradients agree with central differences.", of.gradient),
        Property("perturb", "Its cotangent is the total derivative by the state.", of.perturb),
    ]


class _Cell:
    """One cell, with parameters and inputs to check it on."""

    def __init__(self, make: Make, cell: Any) -> None:
        self.make, self.cell = make, cell
        self.key = jax.random.key(7)
        self.xs = _random(0, B, T, D)

    @cached_property
    def params(self) -> PyTree:
        return self.cell.init_params(self.key, D)

    def run(self, xs: Any = None, params: PyTree = None, **options: Any) -> tuple[PyTree, ...]:
        """Unroll the cell op by op, by the engine that defines it."""
        with jax.disable_jit():
            return unroll(
                self.cell,
                self.params if params is None else params,
                self.xs if xs is None else xs,
                **{"engine": "scan", **options},
            )

    def hashable(self) -> None:
        try:
            hash(self.cell)
        except TypeError as error:
            raise Broken(
                f"{error}: write @dataclass(frozen=True), with fields of plain values"
            ) from None

    def equal(self) -> None:
        other = self.make(H, InitScheme())
        if self.cell != other or hash(self.cell) != hash(other):
            raise Broken(
                "two cells of the same options are not equal, so that each of them compiles anew: "
                "write @dataclass(frozen=True), with fields of plain values"
            )
        if self.cell == self.make(H + 1, InitScheme()):
            raise Broken("cells of different hidden_size are equal: hidden_size must be a field")

    def members(self) -> None:
        contract.check_cell(self.cell)
        if self.cell.hidden_size != H:
            raise Broken(f"hidden_size is {self.cell.hidden_size} in a cell made with {H}")

    def initial_state(self) -> None:
        for batch in ((), (B,), (2, B)):
            state = contract.first_state(self.cell, self.params, batch)
            contract.check_batched(self.cell, state, batch, "lengths and layers need")

    def step(self, words: str) -> None:
        state = contract.first_state(self.cell, self.params, (B,))
        try:
            contract.check_step(self.cell, self.params, state, jnp.asarray(self.xs[:, 0]))
        except Exception as error:
            known = [other for _, _, other in _WRONG if other and other in str(error)]
            if words in known or (not words and not known):
                raise

    def parameters(self) -> None:
        again = self.cell.init_params(self.key, D)
        expect_equal(again, self.params, "init_params gives others for the same key")
        other = self.cell.init_params(jax.random.key(8), D)
        if identical(self.params, other):
            raise Broken("init_params gives the same for another key: draw from the key")
        expect_finite(self.params, "init_params")
        for size in (1, D + 2):
            self.run(xs=_random(1, B, T, size), params=self.cell.init_params(self.key, size))

    def init(self) -> None:
        scheme = InitScheme(w_x="0.125", w_h="0.125", b="0.125")
        constant: Any = self.make(H, scheme)
        if identical(self.params, constant.init_params(self.key, D)):
            raise Broken(
                "other schemes give the same parameters: draw with make(self.init.w_h, H)(key, "
                "shape) of rnnlab.nn.initializers, so that --sweep.init.w_h has an effect"
            )

    def shapes(self) -> None:
        ys, state = self.run()
        expect_finite((ys, state), "outputs or states")
        alone = self.run(xs=self.xs[0])
        expect_equal(
            alone, jax.tree.map(lambda a: a[0], (ys, state)), "no batch axis against one", CLOSE
        )
        twice = np.stack([self.xs, self.xs[::-1]])
        both = self.run(xs=twice)
        first = jax.tree.map(lambda a: a[0], both)
        expect_equal(first, (ys, state), "two batch axes against one", CLOSE)

    def dtype(self) -> None:
        self._expect_dtype(self.run(), np.float32)
        with _double():
            params = _cast(self.params, jnp.float64)
            self._expect_dtype(self.run(self.xs.astype(np.float64), params), np.float64)

    @staticmethod
    def _expect_dtype(results: PyTree, dtype: Any) -> None:
        for name, leaf in leaves(results):
            if np.issubdtype(leaf.dtype, np.floating) and leaf.dtype != dtype:
                raise Broken(
                    f"{name or 'the output'} is {leaf.dtype} with parameters of "
                    f"{np.dtype(dtype).name}: derive every array from params and x"
                )

    def randomness(self) -> None:
        params, x = self.params, jnp.asarray(self.xs[:, 0])
        state = self.cell.initial_state(params, (B,))
        with jax.disable_jit():
            steps = [self.cell.step(params, state, x)[:2] for _ in range(2)]
            again = "a step gives another result when it is run again, without a key"
            expect_equal(steps[0], steps[1], again)
            keys = [jax.random.key(0), jax.random.key(0), jax.random.key(1)]
            drawn = [self.cell.step(params, state, x, key=key)[:2] for key in keys]
        expect_equal(drawn[0], drawn[1], "a step with the same key gives another result")
        stochastic = isinstance(self.cell, Stochastic) and self.cell.stochastic
        differs = not identical(drawn[0], drawn[2])
        if differs and not stochastic:
            raise Broken(
                "a step draws from its key, but stochastic is not True: without it no key is given"
            )
        if stochastic and not differs:
            raise Broken("stochastic is True, but a step with another key gives the same result")

    def batch(self) -> None:
        ys, state = self.run()
        for place in range(B):
            alone = self.run(xs=self.xs[place : place + 1])
            among = jax.tree.map(lambda a, n=place: a[n : n + 1], (ys, state))
            expect_equal(
                alone,
                among,
                "an example alone against the same among others: a step mixes "
                "examples, over the batch axes",
                CLOSE,
            )

    def lengths(self) -> None:
        dirty = self.xs.copy()
        for row, length in zip(dirty, LENGTHS, strict=True):
            row[length:] = np.nan
        ys, state = self.run(xs=dirty, lengths=LENGTHS)
        for place, length in enumerate(LENGTHS):
            alone = self.run(xs=self.xs[place : place + 1, :length])
            ours = (
                ys[place : place + 1, :length],
                jax.tree.map(lambda a, n=place: a[n : n + 1], state),
            )
            expect_equal(ours, alone, "a padded sequence against the same without padding", CLOSE)
        if np.asarray(ys)[1, LENGTHS[1] :].any():
            raise Broken("outputs past a sequence's length are not zero")

    def resets(self) -> None:
        at = 1
        resets = np.zeros((B, T), bool)
        resets[:, at] = True
        ys, state = self.run(resets=resets)
        first, second = self.run(xs=self.xs[:, :at]), self.run(xs=self.xs[:, at:])
        expected = (np.concatenate([first[0], second[0]], axis=1), second[1])
        expect_equal((ys, state), expected, "two episodes in a row against each alone", CLOSE)

    def reverse(self) -> None:
        ys, state = self.run(reverse=True)
        turned, last = self.run(xs=self.xs[:, ::-1])
        expect_equal((ys, state), (turned[:, ::-1], last), "reverse=True", CLOSE)

    def empty(self) -> None:
        def shapes(batch: int, steps: int) -> tuple[PyTree, ...]:
            xs = jax.ShapeDtypeStruct((batch, steps, D), jnp.float32)
            return jax.eval_shape(partial(unroll, self.cell, engine="scan"), self.params, xs)

        for batch, steps in ((B, 0), (0, T)):
            got, expected = shapes(batch, steps)[0].shape, (batch, steps, self.cell.output_size)
            if got != expected:
                raise Broken(f"{batch} sequences of {steps} steps give outputs {got}")

    def engines(self) -> None:
        params = self.params
        taps = tuple(self._gates())
        expected = self._by_steps(params, taps)
        compiled = jax.jit(
            lambda p, xs: unroll(self.cell, p, xs, engine="scan", taps=taps)
        )  # as users run it
        got = compiled(params, jnp.asarray(self.xs))
        expect_equal(got, expected, "engine 'scan', compiled, against step by step", CLOSE)
        for name, runs in (("fused", fused.supports), ("newton", newton.supports)):
            if runs(self.cell):
                ours = unroll(self.cell, params, self.xs, engine=name)
                expect_equal(ours, expected[:2], f"engine {name!r} against step by step", CLOSE)

    def _gates(self) -> dict[str, PyTree]:
        state = contract.first_state(self.cell, self.params, (B,))
        stepped = contract.check_step(self.cell, self.params, state, jnp.asarray(self.xs[:, 0]))
        return {n: g for n, g in stepped.gates.items() if isinstance(g, jax.ShapeDtypeStruct)}

    def _by_steps(self, params: PyTree, taps: tuple[str, ...]) -> tuple[PyTree, ...]:
        state = contract.first_state(self.cell, params, (B,))
        outputs, tapped = [], []
        with jax.disable_jit():
            for t in range(T):
                state, y, gates = self.cell.step(params, state, jnp.asarray(self.xs[:, t]))
                outputs.append(y)
                tapped.append(contract.gate_values(gates))
        values = {tap: jnp.stack([g[tap] for g in tapped], axis=1) for tap in taps}
        ys = jnp.stack(outputs, axis=1)
        return (ys, state, values) if taps else (ys, state)

    def transformed(self) -> None:
        params, x = self.params, jnp.asarray(self.xs[:, 0])
        state = contract.first_state(self.cell, params, (B,))
        with jax.disable_jit():
            expected = self.cell.step(params, state, x)[:2]
        step = jax.jit(lambda p, s, x: self.cell.step(p, s, x)[:2])
        expect_equal(step(params, state, x), expected, "jax.jit of a step", CLOSE)
        mapped = jax.vmap(step, (None, 0, 0))(params, state, x)
        expect_equal(mapped, expected, "jax.vmap of a step over the batch", CLOSE)

    def gradient(self) -> None:
        with _double():
            start = (_cast(self.params, jnp.float64), jnp.asarray(self.xs, jnp.float64))

            def loss(arguments: tuple[PyTree, Array]) -> Array:
                params, xs = arguments
                ys, state = unroll(self.cell, params, xs, engine="scan")
                return _weighted((ys, *contract.floats(state)))

            _expect_gradient(loss, start, "the gradient of a weighted sum of outputs and states")

    def perturb(self) -> None:
        cell = self.cell
        if not contract.takes(cell, "perturb"):
            raise Skipped(
                "step takes no perturb: the probes of gradients cannot run it; write "
                "`perturb=None` and add its parts to the new state's"
            )
        with _double():
            params = _cast(self.params, jnp.float64)
            x = jnp.asarray(self.xs[:, 0], jnp.float64)
            state = _random_state(contract.first_state(cell, params, (B,)))
            plain, y, _ = cell.step(params, state, x)
            zero = jax.tree.map(jnp.zeros_like, plain)
            expect_equal(
                cell.step(params, state, x, perturb=zero)[:2],
                (plain, y),
                "perturb of zeros changes a step",
                CLOSE_64,
            )
            names = contract.float_names(plain)
            for place, name in enumerate(names):
                push = 0.1 * _random(20 + place, *contract.floats(plain)[place].shape)
                pushed = [jnp.zeros_like(leaf) for leaf in contract.floats(plain)]
                pushed[place] = jnp.asarray(push, jnp.float64)
                perturb = contract.with_floats(zero, pushed)
                new, out, _ = cell.step(params, state, x, perturb=perturb)
                moved = contract.floats(new)[place] - contract.floats(plain)[place]
                expect_equal(
                    moved,
                    pushed[place],
                    f"perturb.{name} is to be added to the new {name} and to nothing before it",
                    CLOSE_64,
                )
                before, after = contract.floats(plain)[place], contract.floats(new)[place]
                same = before.shape == y.shape and np.array_equal(before, y)
                if same and not np.allclose(after, out, atol=CLOSE_64):
                    raise Broken(
                        f"the output is the new {name}, but without perturb.{name}: return the "
                        "perturbed one, so that its cotangent is the total derivative"
                    )

            def loss(perturb: PyTree) -> Array:
                new, out, _ = cell.step(
                    params, state, x, perturb=contract.with_floats(zero, perturb)
                )
                return _weighted((out, *contract.floats(new)))

            _expect_gradient(loss, contract.floats(zero), "the adjoint by perturb")


def of_layer(make: Make) -> list[Property]:
    """Return the properties of a layer, in order.

    Args:
        make: as of :func:`of_cell`.
    """
    layer = as_layer(make(H, InitScheme()))
    of = _Layer(make, layer)
    return [
        Property("hashable", "It is hashable: @dataclass(frozen=True).", of.hashable, basic=True),
        Property("equal by value", "Two layers of the same options are equal.", of.equal),
        Property("output size", "Outputs are (B, T, output_size).", of.output_size, basic=True),
        Property("parameters", "init depends on its key alone.", of.parameters),
        Property("batch", "An example's result does not depend on the others.", of.batch),
        Property("lengths", "Padding has no effect, not even NaN.", of.lengths),
        Property("jit", "The compiled layer agrees with it.", of.compiled),
        Property("gradient", "Gradients agree with central differences.", of.gradient),
    ]


class _Layer:
    """One layer, with parameters and inputs to check it on."""

    def __init__(self, make: Make, layer: Layer) -> None:
        self.make, self.layer = make, layer
        self.xs = _random(0, B, T, D)
        self.key = jax.random.key(7)

    @cached_property
    def params(self) -> PyTree:
        return self.layer.init(self.key, D)

    def run(self, xs: Any, **options: Any) -> tuple[PyTree, ...]:
        with jax.disable_jit():
            return self.layer.apply(self.params, jnp.asarray(xs), **options)

    def hashable(self) -> None:
        hash(self.layer)

    def equal(self) -> None:
        if self.layer != as_layer(self.make(H, InitScheme())):
            raise Broken("two layers of the same options are not equal: @dataclass(frozen=True)")

    def output_size(self) -> None:
        ys = self.run(self.xs)[0]
        if ys.shape != (B, T, self.layer.output_size):
            expected = (B, T, self.layer.output_size)
            raise Broken(f"outputs have shape {ys.shape}, expected {expected}")

    def parameters(self) -> None:
        again = self.layer.init(self.key, D)
        expect_equal(again, self.params, "init gives others for the same key")
        expect_finite(self.params, "init")

    def batch(self) -> None:
        among = self.run(self.xs)[0]
        alone = self.run(self.xs[1:2])[0]
        expect_equal(alone, among[1:2], "an example alone against the same among others", CLOSE)

    def lengths(self) -> None:
        dirty = self.xs.copy()
        for row, length in zip(dirty, LENGTHS, strict=True):
            row[length:] = np.nan
        ys = self.run(dirty, lengths=LENGTHS)[0]
        for place, length in enumerate(LENGTHS):
            alone = self.run(self.xs[place : place + 1, :length])[0]
            ours = ys[place : place + 1, :length]
            expect_equal(ours, alone, "a padded sequence against the same without padding", CLOSE)

    def compiled(self) -> None:
        got = jax.jit(lambda p, xs: self.layer.apply(p, xs)[0])(self.params, jnp.asarray(self.xs))
        expect_equal(got, self.run(self.xs)[0], "jax.jit", CLOSE)

    def gradient(self) -> None:
        with _double():
            start = (_cast(self.params, jnp.float64), jnp.asarray(self.xs, jnp.float64))

            def loss(arguments: tuple[PyTree, Array]) -> Array:
                return _weighted((self.layer.apply(*arguments, engine="scan")[0],))

            _expect_gradient(loss, start, "the gradient of a weighted sum of outputs")


def _random_state(state: PyTree) -> PyTree:
    """Return a state with random floats, of the same shapes."""
    values = [
        jnp.asarray(0.5 * _random(10 + n, *leaf.shape), leaf.dtype)
        for n, leaf in enumerate(contract.floats(state))
    ]
    return contract.with_floats(state, values)


def _weighted(parts: tuple[Array, ...]) -> Array:
    """Return the sum of arrays with random weights: every entry has a gradient of its own."""
    weights = [jnp.asarray(_random(30 + n, *a.shape), a.dtype) for n, a in enumerate(parts)]
    return sum(((w * a).sum() for w, a in zip(weights, parts, strict=True)), jnp.zeros(()))


def _expect_gradient(loss: Callable[[Any], Array], start: PyTree, what: str) -> None:
    """Compare the gradient at ``start`` with central differences, along a direction per leaf."""
    gradient = jax.grad(loss, allow_int=True)(start)
    flat, structure = jax.tree.flatten(start)
    named = jax.tree_util.tree_leaves_with_path(gradient)
    for place, (path, g) in enumerate(named):
        if not contract.is_float(flat[place]):
            continue
        direction = jnp.asarray(_random(40 + place, *flat[place].shape), flat[place].dtype)
        sides = []
        for sign in (1, -1):
            moved = [a + sign * _STEP * direction if n == place else a for n, a in enumerate(flat)]
            sides.append(float(loss(structure.unflatten(moved))))
        numeric = (sides[0] - sides[1]) / (2 * _STEP)
        exact = float((g * direction).sum())
        scale = max(float(jnp.abs(g * direction).sum()), abs(numeric), 1e-3)
        if not abs(numeric - exact) <= _CLOSE_GRADIENT * scale:
            name = jax.tree_util.keystr(path)
            raise Broken(
                f"{what} by {name} is {exact:.4g} along a random direction, central differences "
                f"give {numeric:.4g}: a custom_vjp, a stop_gradient or a rounded value is wrong"
            )
