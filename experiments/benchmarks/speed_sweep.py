"""A sweep as one program beside PyTorch's best way: the time of an update of 32 small networks.

    rnnlab run --config=experiments/benchmarks/speed_sweep.py

32 networks on parity (D = 1, T = 100, Adam), with H = 64 and B = 32, and with H = 32 and B = 16:
RNN, LSTM and GRU (reset after the product, as PyTorch has it). rnnlab trains all of them as one
compiled program over all cores. PyTorch has four ways, and the fastest counts: a loop over modules
with one thread, with as many threads as cores, as many processes of one thread as cores with a
share of the modules each, and all members stacked by hand into batched products. Each side runs
alone in a process of its own. First all train from the same parameters on the same batches and must
end at the same ones. A timed call is 5 updates of every network and an evaluation on B test
sequences; PyTorch is given its batches, rnnlab draws its own. A way of PyTorch's that takes over
twice as long as its fastest in round 1 is measured once. About 6 minutes on 2 cores with nothing
else running, half an hour with ":full", which starts new processes each round; needs torch.

Bounds: an LSTM's update 1.5x as fast as PyTorch's fastest way, a GRU's 4x, an RNN's 5x.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

import rnnlab  # its parts are loaded by the sides that use them: PyTorch's do without JAX
from rnnlab.core import host, validate
from rnnlab.lab import benchmark
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import plots, speed_bars
from rnnlab.plotting.speed_bars import Bar
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

# cell: (its name in figures, the gates in PyTorch's order, how many times as fast we must be)
CELLS = {
    "rnn-tanh": ("RNN", "h", 5.0),
    "lstm": ("LSTM", "ifco", 1.5),
    "gru-reset-after": ("GRU", "rzh", 4.0),
}
SIZES = ((64, 32), (32, 16))  # H and B
TORCH = ("torch_1_thread", "torch", "torch_processes", "torch_stacked")
# of the way that a member's parameters have come in the first turn: max|a − b| / max|b|
SAME = 1e-4
# Adam's first updates are ±α however small a gradient is: with its usual ε of 1e-8 they make 5e-3
# of the rounding in gradients that agree to 1e-5. Another ε costs neither side any time.
EPS = 1e-4
UPDATES = 5  # of a turn
Arrays = dict[str, np.ndarray]  # parameters in PyTorch's layout, of a ModuleList [layer, Linear]


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" everything is measured longer, in new processes each round."""
    from rnnlab.nn.initializers import InitScheme

    full = scale(arg) == "full"
    rounds, seconds = 5, 2.0 if full else 0.5
    turn = 15.0 if full else 1.2
    expected = benchmark.estimate(sides=5, rounds=rounds, turn=turn, start=7.0)
    config = ConfigDict(
        {
            "seed": 0,
            "task": {"name": "parity", "length": 100},
            "cell": {"name": "lstm", "hidden_size": 64, "layers": 1},
            "init": InitScheme.config(),
            "training": rnnlab.training.config(
                batch_size=32,
                optimizer=f"adam(eps={EPS})",
                eval_batch_size=32,
                eval_every=UPDATES,  # of a turn
                steps=UPDATES * 100_000,  # more than any process makes
                stop_when_solved=False,
            ),
            "run": {
                "members": 32,  # seeds that are trained at once
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every side has a turn in its process
                "seconds": seconds,  # for which a process makes its calls, back to back
                "seconds_per_member": expected,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return one timing per cell and size; all biases are zero, as PyTorch has two per gate."""
    del config
    return [
        {
            "cell.hidden_size": (H,),
            "training.batch_size": (B,),
            "training.eval_batch_size": (B,),
            "cell.name": (cell,),
            "init.forget_bias": ("0.0" if cell == "lstm" else "",),
        }
        for H, B in SIZES
        for cell in CELLS
    ]


def check(config: Config) -> None:
    """Refuse what the PyTorch sides lack, and a machine without PyTorch."""
    from rnnlab import training
    from rnnlab.training import named

    validate.choice("cell.name", config.cell.name, CELLS)
    training.check(config)
    task, settings = training.task_of(config), config.training
    if config.cell.layers != 1 or not task.many_to_one or task.loss != "cross_entropy":
        raise ValueError("speed_sweep.py compares one layer on a task of one class a sequence")
    fixed = {
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "clip_norm": float("inf"),
        "regularizer": "none",
        "stop_when_solved": False,
        "keep_best": False,
        "patience": 0,
    }
    rule = named.parse_optimizer(settings.optimizer)
    if rule.name != "adam" or rule.given - {"b1", "b2", "eps"}:
        raise ValueError(
            "training.optimizer must be adam, of b1, b2 and eps, as in PyTorch's loop here, "
            f"got {settings.optimizer!r}"
        )
    for key, value in fixed.items():
        if settings[key] != value:
            raise ValueError(f"training.{key} must be {value!r}, as in PyTorch's loop here")
    validate.whole("run.members", config.run.members)
    benchmark.check(config, "torch")
    benchmark.check_cpu()


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Check that all sides learn the same, then time them."""
    del key  # the sides draw by config.seed
    result = benchmark.measure(sides, config, log, prepare=prepare, renew=config.run.full)
    return result | {"devices": min(host.cores(), config.run.members)}


# ---- the sides ---------------------------------------------------------------------------------


def prepare(config: Config, folder: Path) -> None:
    """Write the members' first parameters and batches for PyTorch's sides."""
    import jax

    from rnnlab import training
    from rnnlab.training import named

    members = our_members(config)
    train = training.make_train(members[0].setup)
    data = train.setup.task.load()
    window = jax.jit(lambda state, step: train.window(state._replace(step=step), data)[0])
    adam = named.parse_optimizer(config.training.optimizer).numbers()
    adam = {name: float(adam[name]) for name in ("b1", "b2", "eps")}
    (folder / "adam.json").write_text(json.dumps(adam), encoding="utf-8")
    for number, member in enumerate(members):
        state = train.start(member.key, member.params, member.hyper)
        batches = [window(state, np.int32(step)) for step in range(config.training.eval_every)]
        arrays = in_torch_layout(jax.tree.map(np.asarray, member.params))
        arrays["xs"] = np.stack([batch.inputs for batch in batches])  # (updates, B, T, D)
        arrays["targets"] = np.stack([batch.targets for batch in batches])
        np.savez(folder / f"member{number}.npz", **arrays)  # type: ignore[arg-type]


def our_members(config: Config) -> list[Any]:
    """Return the members with their parameters."""
    import jax

    from rnnlab import training

    key = jax.random.key(config.seed)
    return [
        training.member(config, jax.random.fold_in(key, index))
        for index in range(config.run.members)
    ]


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return our side and PyTorch's ways."""
    members, cores = range(config.run.members), host.cores()
    theirs = partial(Side, packages=("torch",), tolerance=SAME, way_of="PyTorch")
    one_thread = {"OMP_NUM_THREADS": "1"}
    whole = partial(torch_modules, config, folder, members)
    parts = [
        partial(torch_modules, config, folder, members[part::cores], 1)
        for part in range(min(cores, len(members)))
    ]
    return {
        "rnnlab": Side(
            partial(ours, config), env={"JAX_NUM_CPU_DEVICES": str(cores)}, tolerance=SAME
        ),
        "torch_1_thread": theirs(partial(whole, 1), env=one_thread),
        "torch": theirs(partial(whole, cores)),
        "torch_processes": theirs(parts, env=one_thread),
        "torch_stacked": theirs(partial(torch_stacked, config, folder)),
    }


def ours(config: Config) -> Timed:
    """Make a turn of all members as one program."""
    import jax

    from rnnlab.training.vectorized import Program

    members = our_members(config)
    program = Program(members[0].setup, len(members))
    states, hypers = program.start(members)
    start = [in_torch_layout(jax.tree.map(np.asarray, member.params)) for member in members]

    def turn() -> Any:
        nonlocal states
        states, progress = program.advance(states, hypers, range(len(members)))
        return states, progress

    def learned(result: Any) -> Arrays:
        params = jax.tree.map(np.asarray, result[0].params)
        now = [in_torch_layout(jax.tree.map(lambda a: a[i], params)) for i in range(len(members))]  # noqa: B023
        return ways(zip(range(len(members)), start, now, strict=True))

    return Timed(turn, outputs=learned)


def ways(members: Iterable[tuple[int, Arrays, Arrays]]) -> Arrays:
    """Return the way that the parameters of each member have come, as one vector.

    Not array by array: a bias that starts at zero and hardly moves has only rounding to show.

    Args:
        members: (number, first parameters, parameters now).
    """
    return {
        f"member {number}": np.concatenate([(now[k] - start[k]).ravel() for k in sorted(start)])
        for number, start, now in members
    }


def in_torch_layout(params: Mapping[str, Mapping[str, Any]]) -> Arrays:
    """Return our parameters by the names of a ModuleList [RNN, LSTM or GRU, Linear]."""
    model = params["params"]
    recurrent = model["recurrent"]
    blocks = {n: np.asarray(a) for n, a in recurrent._asdict().items() if a is not None}
    gates = next(g for _, g, _ in CELLS.values() if {f"W_x{gate}" for gate in g} == _inputs(blocks))

    def rows(block: str) -> np.ndarray:
        return np.concatenate([blocks[block + gate].T for gate in gates])

    second = np.zeros_like(rows("b_"))  # PyTorch adds two biases where we have one, but a GRU's
    if "b_hn" in blocks:
        second[-len(blocks["b_hn"]) :] = blocks["b_hn"]
    return {
        "0.weight_ih_l0": rows("W_x"),
        "0.weight_hh_l0": rows("W_h"),
        "0.bias_ih_l0": rows("b_"),
        "0.bias_hh_l0": second,
        "1.weight": np.asarray(model["W_hy"]).T,
        "1.bias": np.asarray(model["b_y"]),
    }


def _inputs(blocks: Arrays) -> set[str]:
    return {name for name in blocks if name.startswith("W_x")}


def read(folder: Path, number: int) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """Return a member's first parameters, inputs (updates, B, T, D) and targets (updates, B)."""
    with np.load(folder / f"member{number}.npz") as file:
        arrays = dict(file)
    xs, targets = arrays.pop("xs"), arrays.pop("targets")
    return arrays, xs, targets.astype(np.int64)


def torch_adam(config: Config, folder: Path, parameters: Iterable[Any]) -> Any:
    """Return PyTorch's fused Adam, the fastest of its implementations."""
    import torch

    adam = json.loads((folder / "adam.json").read_text(encoding="utf-8"))
    return torch.optim.Adam(
        parameters,
        lr=config.training.learning_rate,
        betas=(adam["b1"], adam["b2"]),
        eps=adam["eps"],
        fused=True,
    )


def torch_modules(config: Config, folder: Path, members: range, threads: int) -> Timed:
    """Make a turn of one PyTorch module per member, one after the other, time first."""
    import torch

    torch.set_num_threads(threads)
    kind, gates, _ = CELLS[config.cell.name]
    H, rows = config.cell.hidden_size, len(gates) * config.cell.hidden_size
    trained, start = [], {}
    for number in members:
        arrays, xs, targets = read(folder, number)
        start[number] = arrays
        recurrent = getattr(torch.nn, kind)(xs.shape[-1], H)
        modules = torch.nn.ModuleList([recurrent, torch.nn.Linear(H, len(arrays["1.bias"]))])
        modules.load_state_dict({name: torch.tensor(a) for name, a in arrays.items()})
        if kind == "GRU":  # of the second biases only that of the candidate is trained
            kept = (torch.arange(rows) >= rows - H).float()
            recurrent.bias_hh_l0.register_hook(lambda gradient, kept=kept: gradient * kept)
        else:
            recurrent.bias_hh_l0.requires_grad_(False)
        optimizer = torch_adam(config, folder, [p for p in modules.parameters() if p.requires_grad])
        batches = [
            (torch.tensor(x.swapaxes(0, 1).copy()), torch.tensor(target))
            for x, target in zip(xs, targets, strict=True)
        ]
        trained.append((modules, optimizer, batches))

    def turn() -> None:
        for (recurrent, read_out), optimizer, batches in trained:
            for xs, targets in batches:
                optimizer.zero_grad()
                ys, _ = recurrent(xs)
                torch.nn.functional.cross_entropy(read_out(ys[-1]), targets).backward()
                optimizer.step()
            with torch.no_grad():
                read_out(recurrent(batches[0][0])[0][-1])

    def learned(_: None) -> Arrays:
        now = [{n: a.numpy() for n, a in modules.state_dict().items()} for modules, *_ in trained]
        return ways(zip(members, start.values(), now, strict=True))

    return Timed(turn, outputs=learned)


def torch_stacked(config: Config, folder: Path) -> Timed:
    """Make a turn of all members at once, by batched products over their stacked parameters."""
    import torch

    torch.set_num_threads(host.cores())
    kind, H, N = CELLS[config.cell.name][0], config.cell.hidden_size, config.run.members
    read_members = [read(folder, number) for number in range(N)]
    start = [arrays for arrays, _, _ in read_members]
    # kernels (N, in, out) and biases (N, 1, out)
    W = {
        name: torch.tensor(
            np.stack([a[name].T if a[name].ndim == 2 else a[name][None] for a in start])
        ).requires_grad_(name != "0.bias_hh_l0" or kind == "GRU")
        for name in start[0]
    }
    if kind == "GRU":
        kept = (torch.arange(3 * H) >= 2 * H).float()
        W["0.bias_hh_l0"].register_hook(lambda gradient: gradient * kept)
    optimizer = torch_adam(config, folder, [p for p in W.values() if p.requires_grad])
    batches = [
        (
            torch.tensor(np.stack([xs[update] for _, xs, _ in read_members]).swapaxes(1, 2).copy()),
            torch.tensor(np.concatenate([targets[update] for _, _, targets in read_members])),
        )
        for update in range(config.training.eval_every)
    ]  # inputs (N, T, B, D), targets (N B,)

    def logits(xs: torch.Tensor) -> torch.Tensor:
        _, T, B, D = xs.shape
        pre = torch.baddbmm(W["0.bias_ih_l0"], xs.reshape(N, T * B, D), W["0.weight_ih_l0"])
        h = c = xs.new_zeros(N, B, H)
        for x in pre.view(N, T, B, -1).unbind(1):
            if kind == "GRU":
                r_x, z_x, h_x = x.chunk(3, -1)
                again = torch.baddbmm(W["0.bias_hh_l0"], h, W["0.weight_hh_l0"])
                r_h, z_h, h_h = again.chunk(3, -1)
                z = torch.sigmoid(z_x + z_h)
                h = torch.lerp(torch.tanh(h_x + torch.sigmoid(r_x + r_h) * h_h), h, z)
                continue
            a = torch.baddbmm(x, h, W["0.weight_hh_l0"])
            if kind == "RNN":
                h = torch.tanh(a)
                continue
            i, f, g, o = a.chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return torch.baddbmm(W["1.bias"], h, W["1.weight"]).flatten(0, 1)

    def turn() -> None:
        for xs, targets in batches:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(logits(xs), targets, reduction="sum")
            (loss / xs.shape[2]).backward()  # the sum of the members' means
            optimizer.step()
        with torch.no_grad():
            logits(batches[0][0])

    def learned(_: None) -> Arrays:
        def own(name: str, index: int) -> np.ndarray:
            array = W[name].detach().numpy()[index]
            return array[0] if "bias" in name else array.T

        now = [{name: own(name, index) for name in W} for index in range(N)]
        return ways(zip(range(N), start, now, strict=True))

    return Timed(turn, outputs=learned)


# ---- the figure --------------------------------------------------------------------------------

BARS = (
    Bar("rnnlab", "rnnlab", plots.COLORS[1]),
    Bar("torch_1_thread", "PyTorch, 1 thread", "#bbbbbb"),
    Bar("torch", "PyTorch, all cores", "#999999"),
    Bar("torch_processes", "PyTorch, a process per core", "#777777"),
    Bar("torch_stacked", "PyTorch, members stacked", "#555555"),
)


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw times of a turn on each side, and the ratio of the fastest with the bound."""
    figure, axes = plots.new_figure(1, 2, size=(10, 1 + 0.9 * len(table)))
    times, ratios = axes[0]
    rows, compared = [], []
    for member in table:
        cell = member.config["cell"]
        name, _, bound = CELLS[cell["name"]]
        label = f"{name}, H = {cell['hidden_size']}"
        rows.append((label, member))
        best = speed.fastest(member, TORCH)
        compared.append((label, speed.ratio(member, best, "rnnlab"), bound))
    speed_bars.times(times, rows, lambda _: BARS, speed.ONLY)
    speed_bars.ratios(ratios, compared, "the fastest PyTorch way's time / rnnlab's")
    members = table[0].config["run"]["members"]
    plots.title(times, f"{UPDATES} updates of {members} networks and an evaluation")
    plots.title(ratios, "How many times as fast")
    caption = (
        f"{members} networks trained, T = {table[0].config['task']['length']}: one program on "
        f"{table[0].result['devices']} devices, and PyTorch's ways. Lines are 95% intervals. "
        f"{speed.conditions(list(table))}"
    )
    return {"speed": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


@claim(
    "A sweep of {count} {name}s of {H} units trains {bound:g} times as fast as PyTorch's fastest "
    "way",
    source="rnnlab",
    holds_if="95% interval of the ratio of times at or above {bound:g}, parameters after the first "
    "turn equal",
    expected="holds",
)
def _faster(table: Table, cell: str, H: int, bound: float) -> tuple[bool, str]:
    members = table.select({"cell.name": cell, "cell.hidden_size": H})
    members.stack("devices")  # undecided if there is none
    chosen = [(m, speed.fastest(m, TORCH)) for m in members]
    ratios = {f"seed {m.config['seed']}": speed.ratio(m, way, "rnnlab") for m, way in chosen}
    member, best = chosen[0]
    only = next(iter(ratios.values()))
    holds, words = speed.at_least(ratios if len(ratios) > 1 else only, bound, list(members))
    ours, its = (speed.median(member, side) / UPDATES for side in ("rnnlab", best))
    return holds, f"{words}: an update takes {ours:.3g} ms, {best} {its:.3g} ms"


def claims(table: Table) -> list[Claim]:
    """List the bounds of the sweep's speed."""
    count = table[0].config["run"]["members"]
    return [
        _faster(table, cell=cell, name=name, count=count, bound=bound, H=H)
        for H, _ in SIZES
        for cell, (name, _, bound) in CELLS.items()
    ]
