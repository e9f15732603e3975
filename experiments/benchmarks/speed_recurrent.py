"""One recurrent layer beside PyTorch, flax and Keras: time and memory of forward and backward.

    rnnlab run --config=experiments/benchmarks/speed_recurrent.py

RNN, LSTM and GRU (reset after the product, as the other libraries have it) at four shapes B x T x
D x H, float32. Each side runs alone in a process of its own, as it is fastest: rnnlab's fused
engine on one device, and on a CPU device per core with a part of the batch each ("fused_split");
flax ``nn.RNN`` over each of its cells and Keras on JAX compiled; PyTorch time-major with as many
threads as cores and with one (torch.compile leaves its recurrent layers as they are). All are given
the same weights, inputs and cotangents; outputs and gradients (of every weight and of the inputs)
must agree before anything is timed; then the processes take turns for five rounds at
forward+backward. Of PyTorch's two ways and of flax's two LSTMs, one that takes over twice as long
as the other in round 1 is measured once. About 9 minutes on 2 cores with nothing else running; one
case with ``--sweep.task.size=32x100x64x128 --sweep.cell.name=lstm`` takes 1. ":full" times forward
alone too and starts new processes each round: over an hour. Needs torch; Keras takes part if it is
installed, "fused_split" where two cores or more divide the batch.

Bounds, of forward+backward. Against PyTorch, whose faster way counts, rnnlab's faster way does too:
the shorter median over the rounds of "fused" and "fused_split", which a user chooses by name.
Against flax and Keras, and in memory, it is the default, "fused". Over the twelve cases (geometric
mean) 1.35x as fast as PyTorch, 1.25x as flax's best cell and as Keras; the LSTM's four 0.95x
PyTorch; no case under 0.8x PyTorch but the LSTM at 32x100x64x128, where XLA's products alone take
longer than PyTorch's whole pass; peak memory at 64x200x128x256 at most PyTorch's; recomputing at
T = 20,000 allocates a tenth of scan's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import host, validate
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark, layer_case
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.layer_case import Blocks, Case
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import plots, speed_bars
from rnnlab.plotting.speed_bars import Bar
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table

# JAX is imported by the sides that use it: PyTorch's processes do without

# cell: (words, how flax calls it, Keras, its gates in PyTorch's order, in Keras's)
CELLS = {
    "rnn-tanh": ("RNN", ("SimpleCell",), "SimpleRNN", "h", "h"),
    "lstm": ("LSTM", ("LSTMCell", "OptimizedLSTMCell"), "LSTM", "ifco", "ifco"),
    "gru-reset-after": ("GRU", ("GRUCell",), "GRU", "rzh", "zrh"),
}
SIZES = ("32x100x64x128", "64x200x128x256", "16x784x1x128", "128x35x512x512")
LARGE = "64x200x128x256"  # where memory is compared
HARD = ("lstm", "32x100x64x128")  # the case that no engine of XLA's can win
LONG = "2x20000x8x64"  # where recomputing is compared
PASSES = {"forward": "forward", "both": "forward + backward"}
TORCH = ("torch", "torch_1_thread")
OURS = ("fused", "fused_split")
PyTree = Any
Tree = dict[str, dict[str, np.ndarray]]  # flax's: layer, "kernel" or "bias"
SAME = 1e-5  # max|a − b| / max|b| of an array


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" everything is measured, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 0.5 if full else 0.3
    turn = 9.0 if full else 0.6  # with new processes, and twice the passes
    expected = benchmark.estimate(sides=6.3, rounds=rounds, turn=turn)
    return layer_case.layer_config(
        SIZES[0], full=full, rounds=rounds, seconds=seconds, seconds_per_member=expected
    )


def get_sweep(config: Config) -> Sweep:
    """Return every cell at every size."""
    del config
    return {"cell.name": tuple(CELLS), "task.size": SIZES}


def check(config: Config) -> None:
    """Refuse a cell that a side lacks, an invalid size, too few rounds, and a lack of PyTorch."""
    validate.choice("cell.name", config.cell.name, CELLS)
    layer_case.parse_size(config.task.size)
    benchmark.check(config, "torch")
    benchmark.check_cpu()


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Compare the results of all sides, then time them."""
    del key  # the sides draw by config.seed
    passes, renew = (None, True) if config.run.full else (("both",), False)
    result = benchmark.measure(sides, config, log, passes=passes, peaks=True, renew=renew)
    if config.task.size == LARGE:
        result |= {
            f"{engine}_long_mib": set_aside(config, engine)
            for engine in ("scan", "fused", "fused_recompute")
        }
    return result


# ---- the sides ---------------------------------------------------------------------------------


def draw(config: Config, size: str | None = None) -> Case:
    """Draw the inputs of every side."""
    gates = CELLS[config.cell.name][3]
    biases = ("b_hn",) if config.cell.name == "gru-reset-after" else ()
    return layer_case.draw(size or config.task.size, gates, config.seed, biases)


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return every side that runs this cell."""
    del folder
    _, flax_cells, keras_layer, *_ = CELLS[config.cell.name]
    parts = batch_parts(config.task.size)
    split = Side(partial(ours, config, "fused_split"), env={"JAX_NUM_CPU_DEVICES": str(parts)})
    return {
        "fused": Side(partial(ours, config)),  # in every round, for claims are of it
        **({"fused_split": split} if parts > 1 else {}),
        **{
            cell: Side(partial(flax, config, cell), packages=("flax",), way_of="flax")
            for cell in flax_cells
        },
        "keras": Side(
            partial(keras, config, keras_layer), env={"KERAS_BACKEND": "jax"}, packages=("keras",)
        ),
        **{
            side: Side(partial(torch, config, threads), packages=("torch",), way_of="PyTorch")
            for side, threads in zip(TORCH, (host.cores(), 1), strict=True)
        },
    }


def batch_parts(size: str) -> int:
    """Return the parts that the batch is split into: the most that cores and batch allow.

    >>> batch_parts("7x2x3x4") in (1, 7)
    True
    """
    batch = layer_case.parse_size(size)[0]
    return max(count for count in range(1, host.cores() + 1) if batch % count == 0)


def ours(config: Config, engine: str = "fused") -> dict[str, Timed]:
    """Make the calls of our layer by one of its engines."""
    import jax

    from rnnlab.lab import layer_passes

    case = jax.tree.map(jax.numpy.asarray, draw(config))
    cell = our_cell(config)
    arguments = (our_params(config, case), case.xs, case.weights)
    if engine == "fused_split":  # where a training loop has them after its first update
        mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("batch",))
        whole, rows = (
            jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
            for axes in ((), ("batch",))
        )
        arguments = jax.device_put(arguments, (whole, rows, rows))
    return {
        name: Timed(partial(jax.jit(program), *arguments))
        for name, program in layer_passes.passes(cell, engine).items()
    }


def our_cell(config: Config, size: str | None = None) -> Any:  # a cell, of any kind
    """Return our cell."""
    from rnnlab.nn import cells
    from rnnlab.nn.initializers import InitScheme

    H = layer_case.parse_size(size or config.task.size)[-1]
    return cells.by_name(config.cell.name, H, InitScheme())


def our_params(config: Config, case: Case) -> PyTree:
    """Put the blocks of a case into the parameters of our cell."""
    import jax

    cell = our_cell(config, "x".join(map(str, (*case.xs.shape, case.weights.shape[-1]))))
    size = case.xs.shape[-1]
    params = jax.eval_shape(lambda key: cell.init_params(key, size), jax.random.key(0))
    return params._replace(**case.blocks)


FLAX_GATES = (("f", "f"), ("i", "i"), ("c", "g"), ("o", "o"))  # ours and flax's
# flax's (layer, has a bias) for our (W_x, W_h, bias) of each gate; its GRU adds b_hn
FLAX = {
    "SimpleCell": {"h": (("i", True), ("h", False))},
    "GRUCell": {
        "r": (("ir", True), ("hr", False)),
        "z": (("iz", True), ("hz", False)),
        "h": (("in", True), ("hn", True)),
    },
    "LSTMCell": {gate: ((f"i{of}", False), (f"h{of}", True)) for gate, of in FLAX_GATES},
}
FLAX["OptimizedLSTMCell"] = FLAX["LSTMCell"]


def flax(config: Config, cell_name: str) -> dict[str, Timed]:
    """Make the calls of flax.linen.RNN over one of its cells."""
    from flax import linen

    case = draw(config)
    layer = linen.RNN(getattr(linen, cell_name)(case.weights.shape[-1]))
    return compiled(
        lambda weights, xs: layer.apply({"params": {"cell": weights}}, xs),
        to_flax(cell_name, case.blocks),
        case,
        partial(from_flax, cell_name),
    )


def compiled(
    forward: Callable[[PyTree, PyTree], PyTree],
    weights: PyTree,
    case: Case,
    to_ours: Callable[[PyTree], Blocks],
) -> dict[str, Timed]:
    """Make the calls of a layer of another library on JAX.

    Args:
        forward: of (weights, xs), returns the outputs.
        weights: in that library's layout.
        case: the inputs.
        to_ours: from gradients of the weights to blocks by our names.
    """
    import jax

    weights, xs, cotangents = jax.tree.map(jax.numpy.asarray, (weights, case.xs, case.weights))

    def loss(weights: PyTree, xs: PyTree, cotangents: PyTree) -> PyTree:
        return (forward(weights, xs) * cotangents).sum()

    return {
        "forward": Timed(partial(jax.jit(forward), weights, xs)),
        "both": Timed(
            partial(jax.jit(jax.grad(loss, (0, 1))), weights, xs, cotangents),
            outputs=lambda result: (to_ours(result[0]), result[1]),
        ),
    }


def to_flax(cell_name: str, blocks: Blocks) -> Tree:
    """Put our blocks into flax's tree."""
    tree: Tree = {}
    for gate, ((x, x_bias), (h, h_bias)) in FLAX[cell_name].items():
        tree[x], tree[h] = {"kernel": blocks[f"W_x{gate}"]}, {"kernel": blocks[f"W_h{gate}"]}
        if h_bias:
            tree[h]["bias"] = blocks["b_hn" if x_bias else f"b_{gate}"]
        if x_bias:
            tree[x]["bias"] = blocks[f"b_{gate}"]
    return tree


def from_flax(cell_name: str, tree: Tree) -> Blocks:
    """Put flax's tree into our blocks: the inverse of :func:`to_flax`."""
    blocks = {}
    for gate, ((x, x_bias), (h, h_bias)) in FLAX[cell_name].items():
        blocks[f"W_x{gate}"], blocks[f"W_h{gate}"] = tree[x]["kernel"], tree[h]["kernel"]
        if h_bias:
            blocks["b_hn" if x_bias else f"b_{gate}"] = tree[h]["bias"]
        if x_bias:
            blocks[f"b_{gate}"] = tree[x]["bias"]
    return blocks


def keras(config: Config, layer_name: str) -> dict[str, Timed]:
    """Make the calls of keras.layers.SimpleRNN, LSTM or GRU."""
    import keras as library

    case = draw(config)
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}  # they are replaced
    layer = getattr(library.layers, layer_name)(
        case.weights.shape[-1], return_sequences=True, **zeros
    )
    layer.build(case.xs.shape)
    others = [variable.value for variable in layer.non_trainable_variables]
    gates = CELLS[config.cell.name][4]
    return compiled(
        lambda weights, xs: layer.stateless_call(weights, others, xs)[0],
        to_keras(gates, case.blocks),
        case,
        partial(from_keras, gates),
    )


def to_keras(gates: str, blocks: Blocks) -> list[np.ndarray]:
    """Put our blocks into Keras's kernel, recurrent kernel and bias; a GRU's has two rows."""
    kernels = [
        np.concatenate([blocks[f"{letter}{gate}"] for gate in gates], -1)
        for letter in ("W_x", "W_h", "b_")
    ]
    if "b_hn" in blocks:
        second = np.zeros_like(kernels[2])
        second[-len(blocks["b_hn"]) :] = blocks["b_hn"]
        kernels[2] = np.stack([kernels[2], second])
    return kernels


def from_keras(gates: str, weights: Sequence[np.ndarray]) -> Blocks:
    """Put Keras's weights into our blocks: the inverse of :func:`to_keras`."""
    kernel, recurrent, bias = map(np.asarray, weights)
    parts = {"W_x": kernel, "W_h": recurrent, "b_": bias[0] if bias.ndim == 2 else bias}
    blocks = {
        f"{letter}{gate}": block
        for letter, weight in parts.items()
        for gate, block in zip(gates, np.split(weight, len(gates), -1), strict=True)
    }
    return blocks | ({"b_hn": np.split(bias[1], len(gates))[-1]} if bias.ndim == 2 else {})


def torch(config: Config, threads: int) -> dict[str, Timed]:
    """Make the calls of torch.nn.RNN, LSTM or GRU, time first."""
    import torch as library

    library.set_num_threads(threads)
    case = draw(config)
    kind, gates, H = CELLS[config.cell.name][0], CELLS[config.cell.name][3], case.weights.shape[-1]
    layer = getattr(library.nn, kind)(case.xs.shape[-1], H)
    rows = {gate: slice(place * H, (place + 1) * H) for place, gate in enumerate(gates)}
    with library.no_grad():
        layer.bias_hh_l0.zero_()
        for gate, at in rows.items():
            layer.weight_ih_l0[at] = library.tensor(case.blocks[f"W_x{gate}"].T)
            layer.weight_hh_l0[at] = library.tensor(case.blocks[f"W_h{gate}"].T)
            layer.bias_ih_l0[at] = library.tensor(case.blocks[f"b_{gate}"])
        if "b_hn" in case.blocks:
            layer.bias_hh_l0[rows["h"]] = library.tensor(case.blocks["b_hn"])
    xs = library.tensor(case.xs.swapaxes(0, 1).copy())
    trained = xs.clone().requires_grad_()
    weights = library.tensor(case.weights.swapaxes(0, 1).copy())

    def forward() -> library.Tensor:
        with library.no_grad():
            return layer(xs)[0]

    def both() -> None:
        layer.zero_grad(set_to_none=True)
        trained.grad = None
        layer(trained)[0].backward(weights)

    def gradients(_: None) -> tuple[Blocks, np.ndarray]:
        blocks = {}
        for gate, at in rows.items():
            blocks[f"W_x{gate}"] = layer.weight_ih_l0.grad[at].numpy().T
            blocks[f"W_h{gate}"] = layer.weight_hh_l0.grad[at].numpy().T
            blocks[f"b_{gate}"] = layer.bias_ih_l0.grad[at].numpy()
        if "b_hn" in case.blocks:
            blocks["b_hn"] = layer.bias_hh_l0.grad[rows["h"]].numpy()
        assert trained.grad is not None  # backward has been called
        return blocks, trained.grad.numpy().swapaxes(0, 1)

    return {
        "forward": Timed(forward, outputs=lambda ys: ys.numpy().swapaxes(0, 1)),
        "both": Timed(both, outputs=gradients),
    }


def set_aside(config: Config, engine: str) -> float:
    """Return the MiB that the gradient of the last state allocates at T = 20,000.

    By the parameters, beside arguments and results of the compiled program.
    """
    import jax

    from rnnlab.nn.unroll import unroll

    cell, case = our_cell(config, LONG), draw(config, LONG)

    def loss(params: PyTree, xs: jax.Array) -> jax.Array:
        return (unroll(cell, params, xs, engine=engine)[1].h * case.weights[:, -1]).sum()

    params = our_params(config, jax.tree.map(jax.numpy.asarray, case))
    program = jax.jit(jax.grad(loss)).lower(params, case.xs).compile()
    return getattr(program.memory_analysis(), "temp_size_in_bytes", 0) / 2**20


# ---- the figure --------------------------------------------------------------------------------

BARS = (
    Bar("fused", "rnnlab", plots.COLORS[1]),
    Bar("fused_split", "rnnlab, batch split", plots.COLORS[0]),
    Bar("torch", "PyTorch", plots.COLORS[2]),
    Bar("torch_1_thread", "PyTorch, 1 thread", plots.COLORS[5]),
    Bar("SimpleCell", "flax SimpleCell", "#999999"),
    Bar("LSTMCell", "flax LSTMCell", "#999999"),
    Bar("OptimizedLSTMCell", "flax OptimizedLSTMCell", "#bbbbbb"),
    Bar("GRUCell", "flax GRUCell", "#999999"),
    Bar("keras", "Keras", "#dddddd"),
)


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw times beside each other, one panel per cell and pass."""
    names = [name for name in CELLS if len(table.select({"cell.name": name}))]
    passes = [which for which in PASSES if which in table[0].result["ms"]]
    figure, axes = plots.new_figure(
        len(names), len(passes), size=(1 + 4.5 * len(passes), 2.9 * len(names))
    )
    for row, name in enumerate(names):
        chosen = table.select({"cell.name": name})
        rows = [(member.config["task"]["size"], member) for member in chosen]
        for ax, which in zip(axes[row], passes, strict=True):
            speed_bars.times(ax, rows, lambda _: BARS, which, over="fused")
            plots.title(ax, f"{CELLS[name][0]}, {PASSES[which]}")
    caption = (
        "One layer at B x T x D x H; a multiple is that side's time over rnnlab's. All sides "
        f"computed the same outputs and gradients. {speed.conditions(list(table))}"
    )
    return {"speed": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


Choose = Callable[[Member], str]  # a side


def best_ours(member: Member) -> str:
    """Name the faster of our sides for a member: PyTorch's faster one is its opponent."""
    return speed.fastest(member, OURS, "both")


def our_default(member: Member) -> str:
    """Name our side with the engine that "auto" chooses."""
    del member
    return "fused"


def best_flax(member: Member) -> str:
    """Name flax's fastest cell for a member."""
    return speed.fastest(member, CELLS[member.config["cell"]["name"]][1], "both")


def best_torch(member: Member) -> str:
    """Name the faster of PyTorch's sides for a member."""
    return speed.fastest(member, TORCH, "both")


def by_keras(member: Member) -> str:
    """Name Keras's side."""
    del member
    return "keras"


def _cases(table: Table, name: str | None = None) -> list[Member]:
    """Return the members of one cell, or of all.

    Raises:
        Undecided: the sweep was narrowed.
    """
    cases = table.select({"task.size": list(SIZES)})
    members = list(cases if name is None else cases.select({"cell.name": name}))
    whole = len(SIZES) * (len(CELLS) if name is None else 1)
    if (found := len(set(map(_words, members)))) < whole:
        raise Undecided(f"{found} of {whole} cases were measured")
    return members


def _words(member: Member) -> str:
    return f"{CELLS[member.config['cell']['name']][0]} {member.config['task']['size']}"


def _mean_ratio(
    statement: str, least: float, cases: int, ours: Choose = our_default, of: str = ""
) -> Callable[..., Claim]:
    def check(table: Table, side: Choose, name: str | None, least: float) -> tuple[bool, str]:
        members = _cases(table, name)
        pairs, parts = [], []
        for member in members:
            other, own = side(member), ours(member)
            pairs.append((speed.times(member, other, "both"), speed.times(member, own, "both")))
            ratio = speed.ratio(member, other, own, "both").value
            parts.append(f"{_words(member)} {ratio:.2f} ({other} over {own})")
        holds, words = speed.at_least(speed.mean_ratio(pairs), least, members)
        return holds, f"{words}: {', '.join(parts)}"

    return claim(
        statement,
        source="rnnlab",
        holds_if=f"geometric mean of {{cases}} ratios of forward+backward{of}, 95% interval at or "
        "above {least:g}",
        expected="holds",
        cases=cases,
        least=least,
    )(check)


# against PyTorch, whose faster way is taken, ours is too
_BEST = (
    ", each side by the faster of its ways (ours: fused, fused_split; PyTorch: all threads, one)"
)
_torch = _mean_ratio("A training pass is faster than PyTorch's", 1.35, 12, best_ours, _BEST)
_flax = _mean_ratio("A training pass is faster than flax's best cell's", 1.25, 12)
_keras = _mean_ratio("A training pass is faster than Keras's on JAX", 1.25, 12)
_lstm = _mean_ratio("The LSTM's is nearly as fast as PyTorch's", 0.95, 4, best_ours, _BEST)


@claim(
    f"No case but the LSTM at {HARD[1]} is far behind PyTorch",
    source="rnnlab",
    holds_if=f"the 95% interval of every other ratio{_BEST}, at or above {{least:g}}",
    expected="holds",
    least=0.8,
)
def _lowest(table: Table, least: float) -> tuple[bool, str]:
    members = [
        member
        for member in _cases(table)
        if (member.config["cell"]["name"], member.config["task"]["size"]) != HARD
    ]
    seeds = len(table.values("seed")) > 1
    ratios = {
        _words(m) + f", seed {m.config['seed']}" * seeds: speed.ratio(
            m, best_torch(m), best_ours(m), "both"
        )
        for m in members
    }
    holds, _ = speed.at_least(ratios, least, members)
    case = min(ratios, key=lambda words: ratios[words].low)
    return holds, f"the lowest is {case}: {ratios[case]}"


def _memory_of(table: Table, results: Callable[[Member], Mapping[str, float | None]]) -> Any:
    """Return two results of each large member, by cell.

    Raises:
        Undecided: there is none.
    """
    pairs = {
        words: tuple(results(member).values())
        for name, (words, *_) in CELLS.items()
        for member in table.select({"cell.name": name, "task.size": LARGE})
    }
    if not pairs or any(value is None for pair in pairs.values() for value in pair):
        raise Undecided(f"no memory was measured at {LARGE}")
    return pairs


@claim(
    "It needs no more memory than PyTorch",
    source="rnnlab",
    holds_if=f"growth of the resident set at {LARGE}, forward+backward, at most {{times:g}}x "
    "PyTorch's",
    expected="holds",
    times=1,
)
def _memory(table: Table, times: float) -> tuple[bool, str]:
    def peaks(member: Member) -> dict[str, float | None]:
        return {side: member.result["peak_mib"]["both"][side] for side in ("fused", "torch")}

    pairs = _memory_of(table, peaks)
    words = ", ".join(f"{w}: {ours:.0f} against {its:.0f} MiB" for w, (ours, its) in pairs.items())
    return all(ours <= times * its for ours, its in pairs.values()), words


@claim(
    "Recomputing saves memory on long sequences",
    source="rnnlab",
    holds_if="T = {length:,}, gradient of the last state: allocates at most {share:g} of scan's "
    "memory",
    expected="holds",
    length=layer_case.parse_size(LONG)[1],
    share=0.1,
)
def _recomputed(table: Table, share: float) -> tuple[bool, str]:
    def allocated(member: Member) -> dict[str, float]:
        return {e: member.result[f"{e}_long_mib"] for e in ("fused_recompute", "scan")}

    pairs = _memory_of(table, allocated)
    words = ", ".join(f"{w}: {ours:.1f} against {its:.1f} MiB" for w, (ours, its) in pairs.items())
    return all(ours <= share * its for ours, its in pairs.values()), words


def claims(table: Table) -> list[Claim]:
    """List the bounds of the header."""
    return [
        _torch(table, side=best_torch, name=None),
        _flax(table, side=best_flax, name=None),
        _keras(table, side=by_keras, name=None),
        _lstm(table, side=best_torch, name="lstm"),
        _lowest(table),
        _memory(table),
        _recomputed(table),
    ]
