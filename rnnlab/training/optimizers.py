"""Optimizers: optax transforms whose numbers differ from member to member of one program.

The numbers that a config can sweep without compiling anew are those of :class:`Hyper`: the rate,
the bound of the gradient, the weight decay, and every float in the strings that name the optimizer
and its schedule (:mod:`rnnlab.training.named`). The rest is static.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from rnnlab.core import validate
from rnnlab.nn import norms
from rnnlab.training import named, numbers

Scalar = jax.Array | float
PyTree = Any  # parameters, gradients and states of optimizers
Value = Callable[[PyTree], Scalar]  # the loss of some parameters


class Hyper(NamedTuple):
    """The numbers that differ from member to member of one compiled program; scalars."""

    learning_rate: Scalar
    clip_norm: Scalar  # of the global norm; inf: no clipping
    weight_decay: Scalar
    omega: Scalar  # the weight of the regularizer, where the program has one
    # of Optimizer.numbers, each a pair; empty: the optimizer's own, as constants
    numbers: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Optimizer:
    """W ← W − α · schedule(update) · (u + λW), with u the direction for the clipped gradient.

    Args:
        name: an optimizer of optax or optax.contrib by its name there, with its options:
            "adam", "sgd(momentum=0.9)", "lion(b1=0.95)"; one of your own by
            :func:`rnnlab.training.register_optimizer`; or, from Python, a
            ``GradientTransformation``, whose update (negative, as optax's) is multiplied by
            α · schedule: with α = 1, ``optax.adam(1e-3)`` is used as it is.
        schedule: "constant", "linear" or "cosine" to zero at the end; a schedule of optax with its
            options, "exponential_decay(decay_rate=0.1)", whose values are factors of α; one of
            your own (:func:`rnnlab.training.register_schedule`); or, from Python, a function
            from the updates so far to the factor.
        warmup_steps: updates of a linear rise from 0 before the schedule.
        steps: batches in all; one update per ``accumulate_steps``.
        accumulate_steps: batches whose mean gradient makes an update (``optax.MultiSteps``).
        ema_decay: γ of the exponential moving average of the parameters (``optax.ema``, without
            bias), which is what is scored and stored; 0: the parameters themselves.
    Weight decay λ: an optimizer of optax with an argument ``weight_decay`` is given λ, in the
    place of optax's default, and a mask that spares biases and scales (arrays of fewer than two
    axes), where it takes one. For all others, and for "adam", it is decoupled (Loshchilov & Hutter
    2019) and of all arrays, as above.

    Optimizers that sum squares take gradients of a global norm above 2^60 as of that norm: with
    ν = ∞ a parameter would never move again.

    Raises:
        ValueError: an unknown name, schedule or option; a number out of its range.
    """

    name: str | optax.GradientTransformation = "adam"
    schedule: str | optax.Schedule = "constant"
    warmup_steps: int = 0
    steps: int = 1000
    accumulate_steps: int = 1
    ema_decay: float = 0.0
    stand_ins: bool = field(default=False, repr=False)  # see static()

    def __post_init__(self) -> None:
        self._set("steps", validate.whole("training.steps", self.steps, 1))
        every = validate.whole("training.accumulate_steps", self.accumulate_steps, 1)
        self._set("accumulate_steps", every)
        if self.steps % every:
            raise ValueError(
                f"training.steps must be a multiple of accumulate_steps={every}, got {self.steps}"
            )
        warmup = validate.whole("training.warmup_steps", self.warmup_steps, 0, self.updates)
        self._set("warmup_steps", warmup)
        self._set("ema_decay", validate.rate("training.ema_decay", self.ema_decay))
        if isinstance(self.name, str):
            rule = named.parse_optimizer(self.name).name
            if rule in _LOSS_OF_ONE_BATCH and every > 1:
                raise ValueError(
                    f"training.optimizer={rule!r} reads the loss of one batch: "
                    f"training.accumulate_steps must be 1, got {every}"
                )
        elif not isinstance(self.name, optax.GradientTransformation):
            raise ValueError(
                "training.optimizer must be a string or an optax GradientTransformation, "
                f"got {self.name!r}"
            )
        if isinstance(self.schedule, str):
            if self.schedule not in named.SHORT:
                named.parse_schedule(self.schedule, self.updates, warmup)
        elif not callable(self.schedule):
            raise ValueError(
                f"training.schedule must be a string or a function, got {self.schedule!r}"
            )

    def _set(self, key: str, value: float) -> None:
        object.__setattr__(self, key, value)

    @property
    def updates(self) -> int:
        """Updates of the parameters in all."""
        return self.steps // self.accumulate_steps

    @property
    def averages(self) -> bool:
        """Whether the parameters that are scored and stored are averages."""
        call = self._calls().get("optimizer")
        return bool(self.ema_decay) or (call is not None and call.name.startswith("schedule_free"))

    # ---- what is dynamic ----

    def _calls(self) -> dict[str, named.Call]:
        calls = {}
        if isinstance(self.name, str):
            calls["optimizer"] = named.parse_optimizer(self.name)
        if isinstance(self.schedule, str) and self.schedule not in named.SHORT:
            found = named.parse_schedule(self.schedule, self.updates, self.warmup_steps)
            calls["schedule"] = found[0]
        return calls

    def numbers(self) -> dict[str, Any]:
        """Return the numbers in its strings for :class:`Hyper`, by path, each a pair (2,)."""
        found = {
            f"{part}.{path}": numbers.pair(x)
            for part, call in self._calls().items()
            for path, x in call.numbers().items()
        }
        if self.ema_decay:
            found["ema_decay"] = numbers.pair(self.ema_decay)
        return found

    def static(self) -> "Optimizer":
        """Return the optimizer with a stand-in for each number: equal for those of one program.

        Its transform needs a :class:`Hyper` that has the numbers.
        """
        calls = self._calls()
        changes: dict[str, Any] = {
            key: calls[part].static_text()
            for key, part in (("name", "optimizer"), ("schedule", "schedule"))
            if part in calls
        }
        if "schedule" in calls:  # which may have taken the warm-up
            assert isinstance(self.schedule, str)
            found = named.parse_schedule(self.schedule, self.updates, self.warmup_steps)
            changes["warmup_steps"] = found[1]
        changes["stand_ins"] = bool(self.numbers())
        return replace(self, ema_decay=0.5 if self.ema_decay else 0.0, **changes)

    def check_decay(self, weight_decay: float) -> None:
        """Refuse a weight decay beside one in the optimizer's string.

        Raises:
            ValueError: both are given.
        """
        given = sorted(self._decays())
        if given and weight_decay:
            raise ValueError(
                f"the weight decay is given twice: training.optimizer={self.name!r} and "
                f"training.weight_decay={weight_decay}; leave one out"
            )

    def _decays(self) -> set[str]:
        call = self._calls().get("optimizer")
        return set(call.given & set(named.DECAYS)) if call else set()

    # ---- the transform ----

    def transform(self, hyper: Hyper) -> optax.GradientTransformationExtraArgs:
        """Return the optax transform of one member; ``hyper`` may hold traced values.

        Its update takes the keywords ``value``, the loss, and ``value_fn``, from parameters to
        the loss, for the optimizers of optax that need them.

        Raises:
            ValueError: a weight decay given twice; stand-ins, and numbers that ``hyper`` lacks.
        """
        if self.stand_ins and hyper.numbers.keys() != self.numbers().keys():
            raise ValueError(
                f"{self.name!r} stands for optimizers of any numbers: take the hyperparameters of "
                "the member (Member.hyper, training.hyper_of), which have them"
            )
        if isinstance(hyper.weight_decay, int | float):
            self.check_decay(hyper.weight_decay)
        traced: dict[str, dict[str, Any]] = {"optimizer": {}, "schedule": {}}
        for path, pair in hyper.numbers.items():
            part, _, rest = path.partition(".")
            if rest:
                traced[part][rest] = pair
        factor = self._factor(traced["schedule"])
        rule = self._rule(hyper, factor, traced["optimizer"])
        if self.ema_decay:
            rule = optax.chain(rule, _average(self._gamma(hyper)))
        inner = _clipped(rule, hyper.clip_norm, squares=self._squares(), loss=self._reads_loss())
        if self.accumulate_steps > 1:
            whole = optax.MultiSteps(inner, self.accumulate_steps).gradient_transformation()
            inner = optax.with_extra_args_support(whole)
        return _at_the_boundary(inner)

    def _gamma(self, hyper: Hyper) -> Any:
        if "ema_decay" not in hyper.numbers:
            return self.ema_decay
        return numbers.Number(hyper.numbers["ema_decay"], "ema_decay", 0.5, None)

    def _squares(self) -> bool:
        """Whether the rule sums squared gradients, or may do so."""
        return not isinstance(self.name, str) or (
            named.parse_optimizer(self.name).name not in _WITHOUT_SQUARES
        )

    def _reads_loss(self) -> tuple[str, ...]:
        if not isinstance(self.name, str):
            return _LOSS
        return _LOSS_OF_ONE_BATCH.get(named.parse_optimizer(self.name).name, _LOSS)

    def _factor(self, traced: Mapping[str, Any]) -> optax.Schedule:
        """Return schedule(update), the factor of the learning rate."""
        warmup, schedule = self.warmup_steps, self.schedule
        if not isinstance(schedule, str):
            factor = schedule
        elif schedule in _SHORT:
            factor = _SHORT[schedule](self.updates - warmup)
        else:
            call, warmup = named.parse_schedule(schedule, self.updates, warmup)
            factor = call.make(traced)
        if not warmup:
            return factor
        rise = optax.linear_schedule(0.0, 1.0, warmup)
        if schedule not in _SHORT:  # those begin at 1
            rise = _times(rise, factor(0))
        return optax.join_schedules([rise, factor], [warmup])

    def _rule(
        self, hyper: Hyper, factor: optax.Schedule, traced: Mapping[str, Any]
    ) -> optax.GradientTransformation:
        def rate(count: Any) -> Any:
            return hyper.learning_rate * factor(count)

        if not isinstance(self.name, str):
            scaled = optax.chain(self.name, optax.scale_by_schedule(rate))
            return optax.chain(scaled, _decoupled(rate, hyper.weight_decay))
        call = named.parse_optimizer(self.name)
        if call.name == "sgd" or (call.name == "rmsprop" and "momentum" not in call.options):
            # the rate comes last, after the decay
            return optax.chain(
                call.make(traced, learning_rate=-1.0),
                optax.add_decayed_weights(hyper.weight_decay),
                optax.scale_by_learning_rate(rate),
            )
        if call.name == "adam":  # whose decay is that of adamw, of all arrays
            return replace(call, factory=optax.adamw).make(
                traced, learning_rate=rate, weight_decay=hyper.weight_decay
            )
        own = next((argument for argument in named.RATES if argument in call.parameters), None)
        constant, decays = call.name in named.CONSTANT_RATE, "weight_decay" in call.parameters
        more: dict[str, Any] = {mask: _matrices for mask in named.MASKS if mask in call.parameters}
        if call.name == "sophia":  # whose own key is of the old kind
            estimator = contrib.hutchinson_estimator_diag_hessian(jax.random.key(0))
            more["hessian_diagonal_fn"] = estimator
        if own:
            more[own] = hyper.learning_rate if constant else rate
        if decays and "weight_decay" not in call.given:
            more["weight_decay"] = hyper.weight_decay
        stages = [call.make(traced, factor, **more)]
        if own is None or constant:
            stages.append(optax.scale_by_schedule(rate if own is None else factor))
        if not decays:
            stages.append(_decoupled(rate, hyper.weight_decay))
        return optax.chain(*stages)

    # ---- its state ----

    def init(self, params: PyTree, hyper: Hyper, key: Any = None) -> PyTree:
        """Return the state before the first update.

        Args:
            params: the parameters.
            hyper: the member's numbers, on which the first state of some optimizers depends.
            key: of the member, for the optimizers that draw noise.
        """
        state = self.transform(hyper).init(params)
        if key is None:
            return state
        data = jax.random.key_data(key).reshape(-1)

        def own(leaf: Any) -> Any:
            if not isinstance(leaf, _Key):
                return leaf
            noise = jax.random.wrap_key_data(leaf.data)
            for part in data:
                noise = jax.random.fold_in(noise, part)
            return _Key(jax.random.key_data(noise))

        return jax.tree.map(own, state, is_leaf=lambda leaf: isinstance(leaf, _Key))

    def evaluated(self, state: PyTree, params: PyTree) -> PyTree:
        """Return the parameters that are scored and stored: averaged where the optimizer averages.

        Args:
            state: of the optimizer. params: those that are trained.
        """
        with jax.numpy_dtype_promotion("standard"):
            for kind in (_Average, contrib.ScheduleFreeState):
                found = [s for s in jax.tree.leaves(state, is_leaf=_is(kind)) if _is(kind)(s)]
                if found:
                    averaged = _averaged(found[0], params)
                    return jax.tree.map(lambda a, p: a.astype(p.dtype), averaged, params)
        return params


def _is(kind: type) -> Callable[[object], bool]:
    return lambda part: isinstance(part, kind)


# ---- parts of a transform ----------------------------------------------------------------------

_SHORT: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda updates: optax.constant_schedule(1.0),
    "linear": lambda updates: optax.linear_schedule(1.0, 0.0, max(updates, 1)),
    "cosine": lambda updates: optax.cosine_decay_schedule(1.0, max(updates, 1)),
}

# rules of optax that sum no squares of gradients
_WITHOUT_SQUARES = ("sgd", "noisy_sgd", "sign_sgd", "signum", "lion", "rprop")
_WITHOUT_SQUARES += ("optimistic_gradient_descent",)
_LOSS = ("value", "grad", "value_fn")
# rules that read the loss, and the keywords that they take
_LOSS_OF_ONE_BATCH = {
    "lbfgs": _LOSS,
    "momo": _LOSS,
    "momo_adam": _LOSS,
    "polyak_sgd": _LOSS,
    "sophia": ("obj_fn",),
}
_LARGEST = 2.0**60  # whose square a sum in float32 can hold


def _matrices(params: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _times(factor: optax.Schedule, value: Any) -> optax.Schedule:
    return lambda count: factor(count) * value


class _Updates(NamedTuple):
    done: jax.Array  # () int32


def _decoupled(rate: optax.Schedule, weight_decay: Scalar) -> optax.GradientTransformation:
    """Return the transform u ← u − α · schedule · λW of an update u."""

    def init(params: PyTree) -> _Updates:
        del params
        return _Updates(jnp.zeros((), jnp.int32))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, _Updates]:
        share = rate(state.done) * weight_decay
        updates = jax.tree.map(lambda u, w: u - share * w, updates, params)
        return updates, _Updates(jnp.asarray(optax.safe_increment(state.done)))

    return optax.GradientTransformation(init, update)


class _Average(NamedTuple):
    decay: jax.Array  # () γ
    ema: Any  # optax.EmaState


def _average(decay: Any) -> optax.GradientTransformation:
    """Return the transform that leaves updates as they are, and averages the parameters."""
    ema = optax.ema(decay)

    def init(params: PyTree) -> _Average:
        value = jnp.asarray(decay.value if isinstance(decay, numbers.Number) else decay)
        return _Average(value.astype(jnp.float32), ema.init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, _Average]:
        after = ema.update(jax.tree.map(jnp.add, params, updates), state.ema)[1]
        return updates, _Average(state.decay, after)

    return optax.GradientTransformation(init, update)


def _averaged(state: Any, params: PyTree) -> PyTree:
    if isinstance(state, contrib.ScheduleFreeState):
        return contrib.schedule_free_eval_params(state, params)
    share = 1.0 - state.decay**state.ema.count  # 0 before the first update
    return jax.tree.map(
        lambda a, p: jnp.where(share > 0, a / jnp.where(share > 0, share, 1.0), p),
        state.ema.ema,
        params,
    )


def _clipped(
    chain: optax.GradientTransformation, most: Scalar, *, squares: bool, loss: Sequence[str]
) -> optax.GradientTransformationExtraArgs:
    """Bound the global norm of the gradient, as ``optax.clip_by_global_norm`` does, then update.

    Args:
        squares: whether the rule sums squares, which must not overflow.
        loss: the keywords about the loss that the rule takes.
    """
    bound = jnp.minimum(most, _LARGEST) if squares else most
    inner = optax.with_extra_args_support(chain)

    def update(
        updates: PyTree,
        state: PyTree,
        params: PyTree | None = None,
        *,
        value: Scalar | None = None,
        value_fn: Value | None = None,
        **_: Any,
    ) -> tuple[PyTree, PyTree]:
        grads = norms.clip(updates, bound)
        known = {"value": value, "grad": grads, "value_fn": value_fn, "obj_fn": value_fn}
        more = {} if value is None else {name: known[name] for name in loss}
        return inner.update(grads, state, params, **more)

    return optax.GradientTransformationExtraArgs(inner.init, update)


class _Key(NamedTuple):
    """The data of a random key in an optimizer's state."""

    data: jax.Array


def _at_the_boundary(
    inner: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Return the transform with updates and states of fixed types, and states of plain arrays."""

    def bare(state: PyTree) -> PyTree:
        return jax.tree.map(
            lambda a: _Key(jax.random.key_data(a)) if _is_key(a) else _strong(a), state
        )

    def keyed(state: PyTree) -> PyTree:
        return jax.tree.map(
            lambda a: jax.random.wrap_key_data(a.data) if isinstance(a, _Key) else a,
            state,
            is_leaf=_is(_Key),
        )

    def init(params: PyTree) -> PyTree:
        with jax.numpy_dtype_promotion("standard"):
            return bare(inner.init(params))

    def update(
        updates: PyTree, state: PyTree, params: PyTree | None = None, **more: Any
    ) -> tuple[PyTree, PyTree]:
        with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
            new, after = inner.update(updates, keyed(state), params, **more)
        after = jax.tree.map(lambda a, b: a.astype(b.dtype), bare(after), state)
        return jax.tree.map(lambda u, g: u.astype(g.dtype), new, updates), after

    return optax.GradientTransformationExtraArgs(init, update)


def _strong(leaf: Any) -> jax.Array:
    """Return an array that is not weakly typed, as the first state must not be."""
    array = jnp.asarray(leaf)
    return array.astype(array.dtype)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
