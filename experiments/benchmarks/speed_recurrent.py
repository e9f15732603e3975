"""One recurrent layer, ours beside flax and PyTorch: time and memory of forward and backward.

    rnnlab run --config=experiments/benchmarks/speed_recurrent.py

RNN, LSTM and GRU (reset after the product, as all three libraries have it) at four shapes B x T x
D x H, float32. The sides are given the same weights, inputs and cotangents; outputs and gradients
(of every weight and of the inputs) must agree before anything is timed. Then they take turns in one
process: our fused engine and scan, flax ``nn.RNN`` over each of its cells, PyTorch with its default
threads. Each runs as it is fastest: PyTorch time-major, the others compiled. About 7 minutes on 2
cores with nothing else running; needs torch.

Bounds, of forward+backward: over the twelve cases (geometric mean) 1.25x as fast as PyTorch and
1.4x as fast as flax's best cell; the LSTM's four 1.0x PyTorch; no case under 0.85x; peak memory at
64x200x128x256 at most PyTorch's; recomputing at T = 20,000 allocates a tenth of scan's.
Measured on 2 cores: 1.43x PyTorch, 1.22x flax (bound missed), the LSTM 0.97x (missed; 1.02x in an
earlier run), once 0.84x (missed). The layer's products alone, timed beside it as one more side, are
0.43 to 0.87 of a pass: at H = 512 they take as long as all of PyTorch's pass, and flax has the same
ones; at H = 128 the rest is elementwise work, which XLA:CPU does on one core within a loop.
"""

import ctypes
import gc
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark
from rnnlab.lab.config import Config, no_scale
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.nn.unroll import unroll
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table

# cell: (words, how flax calls it, PyTorch's gates in its order)
CELLS = {
    "rnn-tanh": ("RNN", ("SimpleCell",), "h"),
    "lstm": ("LSTM", ("LSTMCell", "OptimizedLSTMCell"), "ifco"),
    "gru-reset-after": ("GRU", ("GRUCell",), "rzh"),
}
SIZES = ("32x100x64x128", "64x200x128x256", "16x784x1x128", "128x35x512x512")
LARGE = "64x200x128x256"  # where memory is compared
LONG = (2, 20_000, 8, 64)  # where recomputing is
PASSES = {"forward": "forward", "both": "forward + backward"}
PyTree = Any
Blocks = Mapping[str, jax.Array]  # of a cell, by name
Tree = dict[str, dict[str, jax.Array]]  # flax's: layer, "kernel" or "bias"
Call = Callable[[], PyTree]
SAME = 1e-5  # max|a − b| / max|b| of an array


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config, of one scale."""
    no_scale(arg)
    return benchmark.layer_config(SIZES[0], repeats=21, seconds=6.0, seconds_per_member=30.0)


def get_sweep(config: Config) -> Sweep:
    """Return every cell at every size."""
    del config
    return {"cell.name": tuple(CELLS), "task.size": SIZES}


def check(config: Config) -> None:
    """Refuse a cell that a side lacks, an invalid size, too few turns, and a lack of PyTorch."""
    validate.choice("cell.name", config.cell.name, CELLS)
    benchmark.parse_size(config.task.size)
    validate.whole("run.repeats", config.run.repeats, 5)
    if importlib.util.find_spec("torch") is None:
        raise ValueError("speed_recurrent.py measures against PyTorch: pip install torch")


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Compare the results of all sides, then time them in turns."""
    case = draw(config.cell.name, benchmark.parse_size(config.task.size), key)
    result: dict[str, object] = {"device": jax.devices()[0].device_kind}
    for name in PASSES:
        calls = {side: made(case, name == "both") for side, made in sides(config.cell.name).items()}
        expected = calls["scan"]()
        for side, call in calls.items():
            off = benchmark.largest_difference(finished(call()), expected)
            if not off <= SAME:
                raise AssertionError(f"{side}, {name}: off by {off:.1e} from scan")
            result[f"{side}_{name}_difference"] = off
        if name == "both":
            calls["products"] = products(case, len(CELLS[config.cell.name][2]))
        ms = benchmark.turns(calls, repeats=config.run.repeats, seconds=config.run.seconds, least=5)
        log(name=name, ms=ms)
        for side, values in ms.items():
            result[f"{side}_{name}_ms"] = float(np.median(values))
            ratios = benchmark.ratio(ms, side, "fused")
            for part, value in zip(("ratio", "low", "high"), ratios, strict=True):
                result[f"{side}_{name}_{part}"] = value
    if config.task.size == LARGE:
        for side in ("fused", "torch"):
            result[f"{side}_peak_mib"] = peak_of(config.cell.name, side)
        for engine in ("scan", "fused", "fused_recompute"):
            result[f"{engine}_long_mib"] = set_aside(config.cell.name, engine)
    return result


# ---- the sides ---------------------------------------------------------------------------------
# Each turns a case into a call without arguments: the outputs, or the gradients by our names.


class Case:
    """The inputs of every side: a cell, its parameters, xs and cotangents (B, T, ·)."""

    def __init__(self, cell: cells.Cell, params: PyTree, xs: jax.Array, weights: jax.Array) -> None:
        self.cell, self.params, self.xs, self.weights = cell, params, xs, weights


Side = Callable[[Case, bool], Call]  # forward, or with gradients


def draw(name: str, size: tuple[int, int, int, int], key: jax.Array) -> Case:
    """Draw a case, with random biases too: a layer that has lost one must not go unseen."""
    B, T, D, H = size
    keys = jax.random.split(key, 3)
    init = benchmark.init_of(name, w_h="orthogonal(gain=0.9)", bias="normal(std=0.1)")
    cell = cells.by_name(name, H, init)
    xs = jax.random.normal(keys[1], (B, T, D))
    weights = jax.random.normal(keys[2], (B, T, H))
    return Case(cell, cell.init_params(keys[0], D), xs, weights)


def sides(name: str) -> dict[str, Side]:
    """Return every side that runs this cell."""
    ours_and_flax = {"fused": ours("fused"), "scan": ours("scan")}
    ours_and_flax |= {cell: flax(cell) for cell in CELLS[name][1]}
    return ours_and_flax | {"torch": torch}


def ours(engine: str) -> Side:
    """Make the side of our layer by one of its engines."""

    def made(case: Case, both: bool) -> Call:
        program = jax.jit(benchmark.passes(case.cell, engine)["both" if both else "forward"])

        def call() -> PyTree:
            result = jax.block_until_ready(program(case.params, case.xs, case.weights))
            return (named(result[0]), result[1]) if both else result

        return call

    return made


def named(params: PyTree) -> Blocks:
    """Return a cell's blocks by name, those of options left out."""
    return {block: value for block, value in params._asdict().items() if value is not None}


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


def flax(cell_name: str) -> Side:
    """Make the side of flax.linen.RNN over one of its cells."""

    def made(case: Case, both: bool) -> Call:
        from flax import linen

        layer = linen.RNN(getattr(linen, cell_name)(case.cell.hidden_size))
        weights = to_flax(cell_name, named(case.params))

        def forward(weights: Tree, xs: jax.Array) -> jax.Array:
            ys = layer.apply({"params": {"cell": weights}}, xs)
            assert isinstance(ys, jax.Array)
            return ys

        def loss(weights: Tree, xs: jax.Array) -> jax.Array:
            return (forward(weights, xs) * case.weights).sum()

        program = jax.jit(jax.grad(loss, (0, 1)) if both else forward)

        def call() -> PyTree:
            result = jax.block_until_ready(program(weights, case.xs))
            return (from_flax(cell_name, result[0]), result[1]) if both else result

        return call

    return made


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


def torch(case: Case, both: bool) -> Call:
    """Make a call of torch.nn.RNN, LSTM or GRU, time first."""
    import torch as library

    blocks, H = {n: np.asarray(a) for n, a in named(case.params).items()}, case.cell.hidden_size
    kind = {cells.RNN: "RNN", cells.LSTM: "LSTM", cells.GRU: "GRU"}[type(case.cell)]
    gates = next(row[2] for row in CELLS.values() if row[0] == kind)
    layer = getattr(library.nn, kind)(case.xs.shape[-1], H)
    with library.no_grad():
        for place, gate in enumerate(gates):
            rows = slice(place * H, (place + 1) * H)
            layer.weight_ih_l0[rows] = library.tensor(blocks[f"W_x{gate}"].T)
            layer.weight_hh_l0[rows] = library.tensor(blocks[f"W_h{gate}"].T)
            layer.bias_ih_l0[rows] = library.tensor(blocks[f"b_{gate}"])
            second = blocks["b_hn"] if kind == "GRU" and gate == "h" else np.zeros(H, np.float32)
            layer.bias_hh_l0[rows] = library.tensor(second)
    xs = library.tensor(np.asarray(case.xs).swapaxes(0, 1).copy(), requires_grad=both)
    weights = library.tensor(np.asarray(case.weights).swapaxes(0, 1).copy())

    def forward() -> library.Tensor:
        with library.no_grad():
            return layer(xs)[0]

    def gradients() -> library.nn.RNNBase:
        layer.zero_grad(set_to_none=True)
        xs.grad = None
        layer(xs)[0].backward(weights)
        return layer

    def call() -> TorchResult:
        if both:
            trained = gradients()
            return TorchResult(lambda: read(trained))
        ys = forward()
        return TorchResult(lambda: ys.numpy().swapaxes(0, 1))

    def read(layer: PyTree) -> tuple[dict[str, np.ndarray], np.ndarray]:
        blocks = {}
        for place, gate in enumerate(gates):
            rows = slice(place * H, (place + 1) * H)
            blocks[f"W_x{gate}"] = layer.weight_ih_l0.grad[rows].numpy().T
            blocks[f"W_h{gate}"] = layer.weight_hh_l0.grad[rows].numpy().T
            blocks[f"b_{gate}"] = layer.bias_ih_l0.grad[rows].numpy()
            if kind == "GRU" and gate == "h":
                blocks["b_hn"] = layer.bias_hh_l0.grad[rows].numpy()
        assert xs.grad is not None  # backward has been called
        return blocks, xs.grad.numpy().swapaxes(0, 1)

    return call


class TorchResult:
    """The result of a call, put under our names only when asked, which is not timed."""

    def __init__(self, read: Call) -> None:
        self.read = read


def finished(result: PyTree) -> PyTree:
    """Return a call's result by our names."""
    return result.read() if isinstance(result, TorchResult) else result


def products(case: Case, gates: int) -> Call:
    """Make a call of the products of forward + backward alone: a lower bound for XLA's engines.

    One by [h, x, 1] a step and one by the adjoint of the gates a step, each waiting for the step
    before; then the weights' and the inputs' gradients, each one product over all steps.
    """
    B, T, D = case.xs.shape
    H = case.cell.hidden_size
    G = gates * H
    keys = jax.random.split(jax.random.key(1), 4)
    W = jax.random.normal(keys[0], (H + D + 1, G)) / (H + D) ** 0.5
    rows = jax.random.normal(keys[1], (T, B, H + D + 1))
    d_pre = jax.random.normal(keys[2], (T, B, G))

    def program(
        W: jax.Array, transposed: jax.Array, rows: jax.Array, d_pre: jax.Array
    ) -> tuple[jax.Array, ...]:
        def forward(t: jax.Array, carry: jax.Array) -> jax.Array:
            return (rows[t] + carry[:, :1]) @ W

        def backward(t: jax.Array, carry: jax.Array) -> jax.Array:
            return (d_pre[t] + carry[:, :1]) @ transposed

        a = jax.lax.fori_loop(0, T, forward, jnp.zeros((B, G)))
        d_h = jax.lax.fori_loop(0, T, backward, jnp.zeros((B, H)))
        flat = d_pre.reshape(T * B, G)
        return a, d_h, rows.reshape(T * B, -1).T @ flat, flat @ W[H:-1].T

    compiled = jax.jit(program)
    return lambda: compiled(W, W[:H].T + 0, rows, d_pre)


# ---- memory ------------------------------------------------------------------------------------


def peak_of(name: str, side: str) -> float | None:
    """Return the MiB by which the resident set grows at most, in a process of its own.

    Forward+backward, the second of two calls, after the high-water mark was reset; None where
    Linux's /proc is missing.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, name, side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def own_peak(name: str, side: str) -> float:
    """Return the peak of this process, which :func:`peak_of` starts."""
    call = sides(name)[side](draw(name, benchmark.parse_size(LARGE), jax.random.key(0)), True)
    call()

    def mib(field: str) -> float:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else the second call reuses what the first one freed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = mib("VmRSS:")
    call()
    return mib("VmHWM:") - before


def set_aside(name: str, engine: str) -> float:
    """Return the MiB that the gradient of the last state allocates at T = 20,000.

    By the parameters, beside arguments and results of the compiled program.
    """
    case = draw(name, LONG, jax.random.key(0))

    def loss(params: PyTree, xs: jax.Array) -> jax.Array:
        return (unroll(case.cell, params, xs, engine=engine)[1].h * case.weights[:, -1]).sum()

    compiled = jax.jit(jax.grad(loss)).lower(case.params, case.xs).compile()
    return getattr(compiled.memory_analysis(), "temp_size_in_bytes", 0) / 2**20


# ---- the figure --------------------------------------------------------------------------------

SIDES = {  # words, color
    "fused": ("rnnlab", plots.COLORS[1]),
    "scan": ("rnnlab, lax.scan", plots.COLORS[6]),
    "torch": ("PyTorch", plots.COLORS[2]),
    "SimpleCell": ("flax SimpleCell", "#999999"),
    "LSTMCell": ("flax LSTMCell", "#999999"),
    "OptimizedLSTMCell": ("flax OptimizedLSTMCell", "#bbbbbb"),
    "GRUCell": ("flax GRUCell", "#999999"),
    "products": ("its products alone, in XLA", "#dddddd"),
}


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw times beside each other, one panel per cell and pass."""

    def shown(name: str, which: str) -> list[str]:
        return [*sides(name), *(["products"] if which == "both" else [])]

    names = [name for name in CELLS if len(table.select({"cell.name": name}))]
    figure, axes = plots.new_figure(len(names), 2, size=(10, 2.9 * len(names)))
    for row, name in enumerate(names):
        chosen = table.select({"cell.name": name})
        sizes = list(dict.fromkeys(m.config["task"]["size"] for m in chosen))
        for column, (which, words) in enumerate(PASSES.items()):
            ax, y = axes[row, column], 0.0
            ticks, longest = (
                [],
                max(float(chosen.each(f"{s}_{which}_ms").max()) for s in shown(name, which)),
            )
            for size in sizes:
                result = chosen.select({"task.size": size})[0].result
                first = y
                for side in shown(name, which):
                    value, (label, color) = result[f"{side}_{which}_ms"], SIDES[side]
                    ax.barh(y, value, color=color, height=0.9)
                    ratio = "" if side == "fused" else f", {result[f'{side}_{which}_ratio']:.2f}x"
                    plots.beside(ax, value, y, f"{value:.3g} ms{ratio}  {label}", size=6.5)
                    y += 1
                ticks.append(((first + y - 1) / 2, size))
                y += 0.7
            ax.set_yticks([t[0] for t in ticks], [t[1] for t in ticks])
            ax.set(xlim=(0, 1.75 * longest), ylim=(y - 0.6, -0.6), xlabel="ms, median of turns")
            ax.grid(visible=False, axis="y")
            plots.title(ax, f"{CELLS[name][0]}, {words}")
    return {
        "speed": (
            figure,
            "One layer at B x T x D x H; the ratio is that side's time over rnnlab's. All sides "
            f"computed the same outputs and gradients, on {table[0].result['device']}.",
        )
    }


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _cases(table: Table, name: str | None = None) -> list[Member]:
    """Return the members of one cell, or of all.

    Raises:
        Undecided: the sweep was narrowed.
    """
    members = list(table if name is None else table.select({"cell.name": name}))
    whole = len(SIZES) * (len(CELLS) if name is None else 1)
    if len(members) < whole:
        raise Undecided(f"{len(members)} of {whole} cases were measured")
    return members


def _ratios(members: list[Member], side: Callable[[Member], str]) -> dict[str, float]:
    """Return the ratio of each member's training pass to ours, by the case in words."""
    return {
        f"{CELLS[m.config['cell']['name']][0]} {m.config['task']['size']}": m.result[
            f"{side(m)}_both_ratio"
        ]
        for m in members
    }


def best_flax(member: Member) -> str:
    """Name flax's fastest cell for a member."""
    names = CELLS[member.config["cell"]["name"]][1]
    return min(names, key=lambda side: member.result[f"{side}_both_ms"])


def to_torch(member: Member) -> str:
    """Name PyTorch's side, the same for every member."""
    del member
    return "torch"


def _mean_ratio(statement: str, least: float, cases: int) -> Callable[..., Claim]:
    def check(
        table: Table, side: Callable[[Member], str], name: str | None, cases: int, least: float
    ) -> tuple[bool, str]:
        del cases
        ratios = _ratios(_cases(table, name), side)
        mean = float(np.exp(np.mean(np.log(list(ratios.values())))))
        parts = ", ".join(f"{case} {ratio:.2f}" for case, ratio in ratios.items())
        return mean >= least, f"{mean:.2f}x: {parts}"

    return claim(
        statement,
        source="rnnlab",
        holds_if="geometric mean of {cases} ratios of forward+backward at least {least:g}",
        expected="holds",
        cases=cases,
        least=least,
    )(check)


_torch = _mean_ratio("A training pass is faster than PyTorch's", 1.25, 12)
_flax = _mean_ratio("A training pass is faster than flax's best cell's", 1.4, 12)
_lstm = _mean_ratio("The LSTM's is as fast as PyTorch's", 1.0, 4)


@claim(
    "No case is far behind PyTorch",
    source="rnnlab",
    holds_if="every ratio at least {least:g}",
    expected="holds",
    least=0.85,
)
def _lowest(table: Table, least: float) -> tuple[bool, str]:
    ratios = _ratios(_cases(table), to_torch)
    case = min(ratios, key=ratios.__getitem__)
    return ratios[case] >= least, f"{ratios[case]:.2f}x, {case}"


def _memory_of(table: Table, ours: str, theirs: str) -> dict[str, tuple[float | None, ...]]:
    """Return two results of the large members, by cell."""
    return {
        words: (member.result[ours], member.result[theirs])
        for name, (words, *_) in CELLS.items()
        for member in table.select({"cell.name": name, "task.size": LARGE})
    }


@claim(
    "It needs no more memory than PyTorch",
    source="rnnlab",
    holds_if=f"growth of the resident set at {LARGE}, forward+backward, at most {{times:g}}x "
    "PyTorch's",
    expected="holds",
    times=1,
)
def _memory(table: Table, times: float) -> tuple[bool, str]:
    peaks = _memory_of(table, "fused_peak_mib", "torch_peak_mib")
    pairs = {words: (a, b) for words, (a, b) in peaks.items() if a is not None and b is not None}
    if not peaks or len(pairs) < len(peaks):
        raise Undecided("no peak was measured")
    words = ", ".join(f"{w}: {ours:.0f} against {its:.0f} MiB" for w, (ours, its) in pairs.items())
    return all(ours <= times * its for ours, its in pairs.values()), words


@claim(
    "Recomputing saves memory on long sequences",
    source="rnnlab",
    holds_if=f"T = {LONG[1]:,}, gradient of the last state: allocates at most {{share:g}} of "
    "scan's memory",
    expected="holds",
    share=0.1,
)
def _recomputed(table: Table, share: float) -> tuple[bool, str]:
    memory = _memory_of(table, "fused_recompute_long_mib", "scan_long_mib")
    pairs = {words: (a, b) for words, (a, b) in memory.items() if a is not None and b is not None}
    if not pairs:
        raise Undecided(f"{LARGE} was not measured")
    words = ", ".join(f"{w}: {ours:.1f} against {its:.1f} MiB" for w, (ours, its) in pairs.items())
    return all(ours <= share * its for ours, its in pairs.values()), words


def claims(table: Table) -> list[Claim]:
    """List the bounds of the header."""
    return [
        _torch(table, side=to_torch, name=None),
        _flax(table, side=best_flax, name=None),
        _lstm(table, side=to_torch, name="lstm"),
        _lowest(table),
        _memory(table),
        _recomputed(table),
    ]


if __name__ == "__main__":  # the other process of peak_of
    print(own_peak(*sys.argv[1:]))
