"""One recurrent layer, ours beside flax and PyTorch: time and memory of forward and backward.

    rnnlab run --config=experiments/benchmarks/speed_recurrent.py

RNN, LSTM and GRU (reset after the product, as all three libraries have it) at four shapes B x T x
D x H, float32. The sides are given the same weights, inputs and cotangents; outputs and gradients
(of every weight and of the inputs) must agree before anything is timed. Then they take turns in one
process: our fused engine and scan, flax ``nn.RNN`` over each of its cells, PyTorch with its default
threads. Each runs as it is fastest: PyTorch time-major, the others compiled. About 7 minutes on 2
cores with nothing else running; needs torch.

Bounds, of forward+backward: over the twelve cases (geometric mean) 1.25x as fast as PyTorch and
1.4x as fast as flax's best cell; the LSTM's four 1.0x PyTorch; no case under .85x; peak memory at
64x200x128x256 at most PyTorch's; recomputing at T = 20,000 sets aside a tenth of scan's.
Measured on 2 cores: 1.43x PyTorch, 1.22x flax (bound missed), the LSTM .97x (missed; 1.02x in a run
before), once .84x (missed). The layer's products alone, timed beside it as one more side, are .43
to .87 of a pass: at H = 512 they take as long as all of PyTorch's pass, and flax has the same ones;
at H = 128 the rest is elementwise work, which XLA:CPU does on one core within a loop.
"""

import ctypes
import gc
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core.errors import Undecided
from rnnlab.lab import benchmark
from rnnlab.lab.config import Config
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import cells
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table

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
SAME = 1e-5  # max|a − b| / max|b| of an array


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config, of one scale."""
    if arg not in (None, ""):
        raise ValueError(f"speed_recurrent.py takes no argument, got {arg!r}")
    config = ConfigDict(
        {
            "seed": 0,
            "cell": {"name": "lstm"},
            "task": {"size": SIZES[0]},  # BxTxDxH
            # timed turns of each side; fewer where a turn of all takes long, at least 5
            "run": {
                "repeats": 21,
                "seconds": 6.0,
                "seconds_per_member": 30.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Every cell at every size."""
    del config
    return {"cell.name": tuple(CELLS), "task.size": SIZES}


def check(config: Config) -> None:
    """Refuse what the sides do not share, and a machine without PyTorch."""
    if config.cell.name not in CELLS:
        raise ValueError(f"cell.name must be one of {', '.join(CELLS)}, got {config.cell.name!r}")
    benchmark.parse_size(config.task.size)
    if config.run.repeats < 5:
        raise ValueError(f"run.repeats must be at least 5, got {config.run.repeats}")
    if importlib.util.find_spec("torch") is None:
        raise ValueError("speed_recurrent.py measures against PyTorch: pip install torch")


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Hold the sides against each other, then time them turn and turn about."""
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
            for what, value in zip(("ratio", "low", "high"), benchmark.ratio(ms, side, "fused")):  # noqa: B905
                result[f"{side}_{name}_{what}"] = value
    if config.task.size == LARGE:
        for side in ("fused", "torch"):
            result[f"{side}_peak_mib"] = peak_of(config.cell.name, side)
        for engine in ("scan", "fused", "fused_recompute"):
            result[f"{engine}_long_mib"] = set_aside(config.cell.name, engine)
    return result


# ---- the sides ---------------------------------------------------------------------------------
# Each makes of a case a call without arguments: the outputs, or the gradients by our names.


class Case:
    """What every side is given: a cell, its parameters, xs and cotangents (B, T, ·)."""

    def __init__(self, cell: Any, params: Any, xs: jax.Array, weights: jax.Array) -> None:
        self.cell, self.params, self.xs, self.weights = cell, params, xs, weights


def draw(name: str, size: tuple[int, int, int, int], key: jax.Array) -> Case:
    """Random biases too: a layer that has lost one must not go unseen."""
    B, T, D, H = size
    keys = jax.random.split(key, 3)
    init = InitScheme(w_h="orthogonal(gain=0.9)", b="normal(std=0.1)")
    cell = cells.by_name(name, H, init)
    xs = jax.random.normal(keys[1], (B, T, D))
    weights = jax.random.normal(keys[2], (B, T, H))
    return Case(cell, cell.init_params(keys[0], D), xs, weights)


def sides(name: str) -> dict[str, Callable[[Case, bool], Callable[[], Any]]]:
    """Every side that runs this cell."""
    found: dict[str, Any] = {"fused": ours("fused"), "scan": ours("scan")}
    found |= {cell: flax(cell) for cell in CELLS[name][1]}
    return found | {"torch": torch}


def ours(engine: str) -> Callable[[Case, bool], Callable[[], Any]]:
    """Our layer by one of its engines."""

    def made(case: Case, both: bool) -> Callable[[], Any]:
        program = jax.jit(benchmark.passes(case.cell, engine)["both" if both else "forward"])

        def call() -> Any:
            found = jax.block_until_ready(program(case.params, case.xs, case.weights))
            return (named(found[0]), found[1]) if both else found

        return call

    return made


def named(params: Any) -> dict[str, jax.Array]:
    """Blocks by name, those of options left out."""
    return {block: value for block, value in params._asdict().items() if value is not None}


# flax's (layer, has a bias) for our (W_x, W_h, bias) of each gate; its GRU adds b_hn
FLAX = {
    "SimpleCell": {"h": (("i", True), ("h", False))},
    "GRUCell": {
        "r": (("ir", True), ("hr", False)),
        "z": (("iz", True), ("hz", False)),
        "h": (("in", True), ("hn", True)),
    },
    "LSTMCell": {gate: ((f"i{of}", False), (f"h{of}", True)) for gate, of in zip("fico", "figo")},  # noqa: B905
}
FLAX["OptimizedLSTMCell"] = FLAX["LSTMCell"]


def flax(cell_name: str) -> Callable[[Case, bool], Callable[[], Any]]:
    """flax.linen.RNN over one of its cells."""

    def made(case: Case, both: bool) -> Callable[[], Any]:
        from flax import linen

        layer = linen.RNN(getattr(linen, cell_name)(case.cell.hidden_size))
        own = to_flax(cell_name, named(case.params))

        def forward(own: Any, xs: jax.Array) -> Any:
            return layer.apply({"params": {"cell": own}}, xs)

        def loss(own: Any, xs: jax.Array) -> jax.Array:
            return (forward(own, xs) * case.weights).sum()

        program = jax.jit(jax.grad(loss, (0, 1)) if both else forward)

        def call() -> Any:
            found = jax.block_until_ready(program(own, case.xs))
            return (from_flax(cell_name, found[0]), found[1]) if both else found

        return call

    return made


def to_flax(cell_name: str, blocks: dict[str, Any]) -> dict[str, Any]:
    """Our blocks in flax's tree."""
    tree: dict[str, Any] = {}
    for gate, ((x, x_bias), (h, h_bias)) in FLAX[cell_name].items():
        tree[x], tree[h] = {"kernel": blocks[f"W_x{gate}"]}, {"kernel": blocks[f"W_h{gate}"]}
        if h_bias:
            tree[h]["bias"] = blocks["b_hn" if x_bias else f"b_{gate}"]
        if x_bias:
            tree[x]["bias"] = blocks[f"b_{gate}"]
    return tree


def from_flax(cell_name: str, tree: dict[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`to_flax`."""
    blocks = {}
    for gate, ((x, x_bias), (h, h_bias)) in FLAX[cell_name].items():
        blocks[f"W_x{gate}"], blocks[f"W_h{gate}"] = tree[x]["kernel"], tree[h]["kernel"]
        if h_bias:
            blocks["b_hn" if x_bias else f"b_{gate}"] = tree[h]["bias"]
        if x_bias:
            blocks[f"b_{gate}"] = tree[x]["bias"]
    return blocks


def torch(case: Case, both: bool) -> Callable[[], Any]:
    """torch.nn.RNN, LSTM or GRU, time first."""
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

    def forward() -> Any:
        with library.no_grad():
            return layer(xs)[0]

    def gradients() -> Any:
        layer.zero_grad(set_to_none=True)
        xs.grad = None
        layer(xs)[0].backward(weights)
        return layer

    def call() -> Any:
        found = gradients() if both else forward()
        return TorchResult(lambda: read(found) if both else found.numpy().swapaxes(0, 1))

    def read(layer: Any) -> Any:
        found = {}
        for place, gate in enumerate(gates):
            rows = slice(place * H, (place + 1) * H)
            found[f"W_x{gate}"] = layer.weight_ih_l0.grad[rows].numpy().T
            found[f"W_h{gate}"] = layer.weight_hh_l0.grad[rows].numpy().T
            found[f"b_{gate}"] = layer.bias_ih_l0.grad[rows].numpy()
            if kind == "GRU" and gate == "h":
                found["b_hn"] = layer.bias_hh_l0.grad[rows].numpy()
        assert xs.grad is not None  # backward has been called
        return found, xs.grad.numpy().swapaxes(0, 1)

    return call


class TorchResult:
    """What a call left behind, put under our names only when asked: that is not timed."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read


def finished(found: Any) -> Any:
    """A call's result by our names."""
    return found.read() if isinstance(found, TorchResult) else found


def products(case: Case, gates: int) -> Callable[[], Any]:
    """The products of forward + backward and nothing else: what no engine in XLA can be under.

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

    def program(W: jax.Array, transposed: jax.Array, rows: jax.Array, d_pre: jax.Array) -> Any:
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
    """MiB by which the resident set grows at most, forward+backward, in a process of its own.

    The second of two calls, after the high-water mark was put back; None where Linux's /proc is
    not at hand.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, name, side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def own_peak(name: str, side: str) -> float:
    """What :func:`peak_of` has another process find of itself."""
    call = sides(name)[side](draw(name, benchmark.parse_size(LARGE), jax.random.key(0)), True)
    call()

    def mib(field: str) -> float:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the first call set free is not at hand unpaid
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = mib("VmRSS:")
    call()
    return mib("VmHWM:") - before


def set_aside(name: str, engine: str) -> float:
    """MiB that the compiled gradient of the last state by the parameters sets aside at T = 20,000.

    Beside arguments and results.
    """
    case = draw(name, LONG, jax.random.key(0))

    def loss(params: Any, xs: jax.Array) -> jax.Array:
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
    """Times beside each other, a panel a cell and pass."""

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
                max(float(chosen.stack(f"{s}_{which}_ms").max()) for s in shown(name, which)),
            )
            for size in sizes:
                result = chosen.select({"task.size": size})[0].result
                begun = y
                for side in shown(name, which):
                    value, (label, color) = result[f"{side}_{which}_ms"], SIDES[side]
                    ax.barh(y, value, color=color, height=0.9)
                    ratio = "" if side == "fused" else f", {result[f'{side}_{which}_ratio']:.2f}x"
                    plots.beside(ax, value, y, f"{value:.3g} ms{ratio}  {label}", size=6.5)
                    y += 1
                ticks.append(((begun + y - 1) / 2, size))
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


def claims(table: Table) -> list[Claim]:
    """The bounds of the header."""

    def cases(name: str | None = None) -> list[Any]:
        chosen = list(table if name is None else table.select({"cell.name": name}))
        whole = len(SIZES) * (len(CELLS) if name is None else 1)
        if len(chosen) < whole:
            raise Undecided(f"{len(chosen)} of {whole} cases were measured")
        return chosen

    def told(chosen: list[Any], side: Callable[[Any], str]) -> dict[str, float]:
        return {
            f"{CELLS[m.config['cell']['name']][0]} {m.config['task']['size']}": m.result[
                f"{side(m)}_both_ratio"
            ]
            for m in chosen
        }

    def best_flax(member: Any) -> str:
        of = CELLS[member.config["cell"]["name"]][1]
        return min(of, key=lambda side: member.result[f"{side}_both_ms"])

    def mean(bound: float, side: Callable[[Any], str], name: str | None = None) -> Any:
        def measured() -> tuple[bool, str]:
            ratios = told(cases(name), side)
            value = float(np.exp(np.mean(np.log(list(ratios.values())))))
            parts = ", ".join(f"{case} {ratio:.2f}" for case, ratio in ratios.items())
            return value >= bound, f"{value:.2f}x: {parts}"

        return measured

    def to_torch(member: Any) -> str:
        del member
        return "torch"

    def lowest() -> tuple[bool, str]:
        ratios = told(cases(), to_torch)
        case = min(ratios, key=ratios.__getitem__)
        return ratios[case] >= 0.85, f"{ratios[case]:.2f}x, {case}"

    def memory() -> tuple[bool, str]:
        found = {}
        for name, (words, *_) in CELLS.items():
            for member in table.select({"cell.name": name, "task.size": LARGE}):
                found[words] = member.result["fused_peak_mib"], member.result["torch_peak_mib"]
        if not found or None in next(iter(found.values())):
            raise Undecided("no peak was measured")
        told = ", ".join(
            f"{w}: {mine:.0f} against {its:.0f} MiB" for w, (mine, its) in found.items()
        )
        return all(mine <= its for mine, its in found.values()), told

    def recomputed() -> tuple[bool, str]:
        found = {}
        for name, (words, *_) in CELLS.items():
            for member in table.select({"cell.name": name, "task.size": LARGE}):
                r = member.result
                found[words] = r["fused_recompute_long_mib"], r["scan_long_mib"]
        if not found:
            raise Undecided(f"{LARGE} was not measured")
        told = ", ".join(
            f"{w}: {mine:.1f} against {its:.1f} MiB" for w, (mine, its) in found.items()
        )
        return all(mine <= its / 10 for mine, its in found.values()), told

    twelve = "geometric mean of 12 ratios of forward+backward"
    return [
        Claim(
            "A training pass is faster than PyTorch's",
            "rnnlab",
            f"{twelve} at least 1.25",
            "holds",
            mean(1.25, to_torch),
        ),
        Claim(
            "A training pass is faster than flax's best cell's",
            "rnnlab",
            f"{twelve} at least 1.4",
            "holds",
            mean(1.4, best_flax),
        ),
        Claim(
            "The LSTM's is as fast as PyTorch's",
            "rnnlab",
            "geometric mean of 4 ratios at least 1",
            "holds",
            mean(1.0, to_torch, "lstm"),
        ),
        Claim(
            "No case is far behind PyTorch", "rnnlab", "every ratio at least .85", "holds", lowest
        ),
        Claim(
            "It needs no more memory than PyTorch",
            "rnnlab",
            f"growth of the resident set at {LARGE}, forward+backward, at most PyTorch's",
            "holds",
            memory,
        ),
        Claim(
            "Recomputing saves memory on long sequences",
            "rnnlab",
            f"T = {LONG[1]:,}, gradient of the last state: set aside at most a tenth of scan's",
            "holds",
            recomputed,
        ),
    ]


if __name__ == "__main__":  # the other process of peak_of
    print(own_peak(*sys.argv[1:]))
