"""Speed on a GPU: layers beside cuDNN, a sweep, skip-gram, BERT, and a run from command to page.

    python tests/scripts/gpu_speed.py --out=gpu.json

Takes at most eight minutes. Every part has a process of its own, so that one that fails or runs out
of memory is a line of the table and the others are measured. Gradients of the layers are compared
with scan's before anything is timed, all in full float32 and not in TF32. Prints a table and writes
a JSON file with the device's name and the versions. Needs jax[cuda12]; PyTorch takes part if it is
installed with CUDA.
``--small`` has tiny sizes, for a look without a GPU: cuDNN is then the reference of
jax.experimental.rnn.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import rnn

from rnnlab import LSTM
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import trainer
from rnnlab.lab import bert_case, layer_case, layer_passes, outputs, sweep, timing
from rnnlab.lab.load import load_experiment
from rnnlab.lab.sides import Timed

ROOT = Path(__file__).parents[2]
MINUTES = 8
SECONDS = 1.0  # for which a call is timed
GATES, KINDS = "ifco", ("W_x", "W_h", "b_")  # cuDNN's order, and what it stacks
SAME = 1e-3  # max|a − b| / max|b| of an array of gradients: sums over up to 16,000 steps
ALL = ("scan", "fused", "newton", "cudnn", "torch")
WITHOUT_NEWTON = ("scan", "fused", "cudnn", "torch")  # its work grows with the cube of the state
# B x T x D x H of an LSTM: who runs it
LAYERS = {
    "8x1000x8x16": ALL,
    "8x4000x8x16": ALL,
    "8x16000x8x16": ALL,
    "32x1000x64x128": WITHOUT_NEWTON,
    "32x4000x64x128": WITHOUT_NEWTON,
    "32x16000x64x128": WITHOUT_NEWTON,
}
# name: floating-point operations per second of products, by dtype; float32's are TF32's
PEAKS = {
    "H200": {"float32": 494e12, "bfloat16": 989e12},
    "H100": {"float32": 494e12, "bfloat16": 989e12},
    "A100": {"float32": 156e12, "bfloat16": 312e12},
}
PyTree = Any


class Row(NamedTuple):
    """A line of the table: its place, a number and its unit."""

    part: str
    case: str
    side: str
    value: float | None
    unit: str
    note: str = ""


def median(call: Callable[[], object] | Timed, seconds: float) -> float:
    """Return the median milliseconds of a call."""
    timed = call if isinstance(call, Timed) else Timed(call)
    return timing.Timer(timed).measure(seconds).median


# ---- layers ------------------------------------------------------------------------------------


def layers(small: bool) -> list[Row]:
    """Measure forward + backward of an LSTM by every engine and by cuDNN."""
    jax.config.update("jax_default_matmul_precision", "highest")
    cases = {"2x12x3x4": ALL} if small else LAYERS
    return [row for size, sides in cases.items() for row in layer(size, sides, small)]


def layer(size: str, sides: tuple[str, ...], small: bool) -> list[Row]:
    """Measure one size; a side whose gradients are off is not timed."""
    case = layer_case.draw(size, GATES, 0)
    rows: list[Row] = []
    expected: outputs.Arrays | None = None
    for side in sides:
        try:
            call, gradients = MAKE[side](case)
            found = outputs.flatten(gradients(call()))
            expected = found if expected is None else expected
            off = outputs.largest_difference(found, expected)
            ms = median(call, 1e-3 if small else SECONDS) if off <= SAME else None
            note = f"gradients equal to {off:.0e}" if off <= SAME else f"gradients off by {off:.0e}"
        except Exception as error:  # out of memory, or no CUDA in PyTorch: the others are measured
            ms, note = None, f"{type(error).__name__}: {str(error)[:80]}"
        rows.append(Row("LSTM, forward + backward", size, side, ms, "ms", note))
    return rows


Made = tuple[Callable[[], PyTree], Callable[[PyTree], PyTree]]  # a call, and what reads gradients


def by_engine(engine: str, case: layer_case.Case) -> Made:
    """Make the call of one of our engines."""
    cell = LSTM(case.weights.shape[-1])
    params = cell.init_params(jax.random.key(0), case.xs.shape[-1])._replace(**case.blocks)
    params = jax.tree.map(jnp.asarray, params)
    run = jax.jit(layer_passes.passes(cell, engine)["both"])
    call = partial(run, params, jnp.asarray(case.xs), jnp.asarray(case.weights))
    return call, lambda found: ({n: getattr(found[0], n) for n in case.blocks}, found[1])


def by_cudnn(case: layer_case.Case) -> Made:
    """Make the call of jax.experimental.rnn, or of its reference without a GPU."""
    B, T, D = case.xs.shape
    H = case.weights.shape[-1]
    lengths, zeros = jnp.full(B, T, jnp.int32), jnp.zeros((1, B, H))
    on_gpu = jax.default_backend() == "gpu"

    def forward(flat: jax.Array, xs: jax.Array) -> jax.Array:
        if on_gpu:
            return rnn.lstm(xs, zeros, zeros, flat, lengths, D, H, 1, 0.0, False)[0]
        parts = rnn.unpack_lstm_weights(flat, D, H, 1, False)
        return rnn.lstm_ref(xs, zeros, zeros, *parts, lengths, D, H, 1, 0.0, False)[0]

    def loss(flat: jax.Array, xs: jax.Array) -> jax.Array:
        return (forward(flat, xs) * case.weights).sum()

    def gradients(found: PyTree) -> PyTree:
        W_x, W_h, b, _ = (p[0] for p in rnn.unpack_lstm_weights(found[0], D, H, 1, False))
        return blocks_of(*map(np.asarray, (W_x, W_h, b))), found[1]

    stacked = [np.concatenate([case.blocks[f"{kind}{g}"].T for g in GATES]) for kind in KINDS]
    flat = np.concatenate([part.ravel() for part in (*stacked, np.zeros(4 * H, np.float32))])
    run = jax.jit(jax.grad(loss, (0, 1)))
    return partial(run, jnp.asarray(flat), jnp.asarray(case.xs)), gradients


def blocks_of(*stacked: np.ndarray) -> dict[str, np.ndarray]:
    """Return the blocks of cuDNN's stacked (W_x, W_h, b) by our names."""
    return {
        f"{kind}{gate}": part.T
        for kind, whole in zip(KINDS, stacked, strict=True)
        for gate, part in zip(GATES, np.split(whole, 4), strict=True)
    }


def by_torch(case: layer_case.Case) -> Made:
    """Make the call of torch.nn.LSTM, which is cuDNN's on a GPU."""
    import torch

    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    module = torch.nn.LSTM(case.xs.shape[-1], case.weights.shape[-1], batch_first=True)
    stacked = [np.concatenate([case.blocks[f"{kind}{g}"].T for g in GATES]) for kind in KINDS]
    with torch.no_grad():
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
        for name, whole in zip(names, stacked, strict=True):
            getattr(module, name).copy_(torch.tensor(whole))
        module.bias_hh_l0.zero_()
    module.to(device)
    xs = torch.tensor(case.xs, device=device, requires_grad=True)
    weights = torch.tensor(case.weights, device=device)

    def call() -> None:
        module.zero_grad(set_to_none=True)
        xs.grad = None
        module(xs)[0].backward(weights)
        if device == "cuda":
            torch.cuda.synchronize()

    def gradients(_: None) -> PyTree:
        found = [getattr(module, name).grad.cpu().numpy() for name in names]
        assert xs.grad is not None
        return blocks_of(*found), xs.grad.cpu().numpy()

    return call, gradients


MAKE: dict[str, Callable[[layer_case.Case], Made]] = {
    **{engine: partial(by_engine, engine) for engine in ("scan", "fused", "newton")},
    "cudnn": by_cudnn,
    "torch": by_torch,
}


# ---- a sweep -----------------------------------------------------------------------------------


def sweeps(small: bool) -> list[Row]:
    """Measure an update of 64 LSTMs as one program, and cuDNN's pass of one of them."""
    jax.config.update("jax_default_matmul_precision", "highest")
    module = load_experiment(ROOT / "experiments/benchmarks/speed_sweep.py").module
    tiny = {"cell.hidden_size": 4, "task.length": 6, "run.members": 3}
    changes = {"run.members": 64, "init.forget_bias": "0.0"} | (tiny if small else {})
    config = sweep.apply(module.get_config(), changes)
    seconds = 1e-3 if small else SECONDS
    count, H = config.run.members, config.cell.hidden_size
    case = f"{config.training.batch_size}x{config.task.length}x1x{H}"
    ms = median(module.ours(config), seconds) / config.training.eval_every
    rows = [Row("a sweep", case, f"update of {count}, one program", ms, "ms")]
    for side in ("cudnn", "torch"):
        try:
            call, _ = MAKE[side](layer_case.draw(case, GATES, 0))
            one, note = median(call, seconds), "without Adam and evaluation"
            rows.append(
                Row("a sweep", case, f"{side}, one LSTM's pass x {count}", one * count, "ms", note)
            )
        except Exception as error:
            rows.append(Row("a sweep", case, side, None, "ms", f"{type(error).__name__}: {error}"))
    return rows


# ---- text --------------------------------------------------------------------------------------


def skipgram(small: bool) -> list[Row]:
    """Measure skip-gram's words per second on drawn words, which are Zipf's."""
    words, kinds = (5_000, 200) if small else (2_000_000, 30_000)
    p = 1 / np.arange(1, kinds + 1)
    ids = np.random.default_rng(0).choice(kinds, words, p=p / p.sum())
    documents = [[f"w{i}" for i in part] for part in np.array_split(ids, max(1, words // 1000))]
    corpus = corpora.of_documents(documents, min_count=1)
    settings = trainer.Settings(size=8 if small else 100, sample=1e-4, epochs=1, engine="jax")

    def call() -> object:
        return trainer.train("skipgram", corpus, settings, 0)

    trained = call()  # compiles
    finite = bool(np.isfinite(trained.matrix).all() and np.abs(trained.matrix).max() > 0)
    start = time.perf_counter()
    call()
    rate = corpus.tokens / (time.perf_counter() - start)
    case = f"{corpus.tokens:,} words, D = {settings.size}"
    return [Row("skip-gram", case, "jax", rate / 1e6, "M words/s", "" if finite else "not finite")]


# ---- BERT --------------------------------------------------------------------------------------


def berts(small: bool) -> list[Row]:
    """Measure an update of BERT-Tiny and Base in training, and its share of the device's peak."""
    module = load_experiment(ROOT / "experiments/benchmarks/speed_bert.py").module
    rows = []
    for size in ("tiny",) if small else ("tiny", "base"):
        for dtype in ("float32",) if small else ("float32", "bfloat16"):
            changes = {"encoder.size": size, "encoder.dtype": dtype}
            changes |= {"vocab_size": 60, "batch_size": 2, "length": 8} if small else {}
            config = sweep.apply(module.get_config(), changes)
            sizes, batch = bert_case.sizes_of(config), bert_case.batch_of(config)
            ours = bert_case.Updates(config, rate=module.RATE, chunk=module.CHUNK)
            ms = median(ours.chunk, 1e-3 if small else SECONDS) / module.CHUNK
            done = operations(sizes, batch) / (1e-3 * ms)
            peak = next((p for name, p in PEAKS.items() if name in device()), None)
            share = f", {done / peak[dtype]:.0%} of the peak" if peak else ""
            case = f"{size}, {config.batch_size}x{config.length}, {dtype}"
            note = f"{done / 1e12:.3g} TFLOP/s{share}"
            rows.append(Row("BERT, an update in training", case, "rnnlab", ms, "ms", note))
    return rows


def operations(sizes: Any, batch: Any) -> float:
    """Return the floating-point operations of an update's products: 3 times the forward pass's."""
    B, T = batch.tokens.ids.shape
    H, F, V = sizes.hidden_size, sizes.feed_forward_size, sizes.vocab_size
    layer = 2 * (4 * H * H + 2 * H * F) + 4 * T * H  # per token
    head = 2 * H * (H + V)  # per hidden word
    return 3.0 * (B * T * sizes.layers * layer + batch.counts.size * head)


# ---- a run -------------------------------------------------------------------------------------


def main_job(small: bool) -> list[Row]:
    """Measure a run from its command to its page, twice: the second finds what was compiled."""
    file = ROOT / "experiments/gradients/gradient_vanishing.py"
    tiny = ["--config.run.seeds=1", "--config.cell.hidden_size=4", "--config.task.batch_size=2"]
    rows = []
    for name in ("first run", "second run"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "rnnlab", "run", f"--config={file}"]
            command += [f"--workdir={folder}/run", *(tiny if small else [])]
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
        rows.append(Row("gradient_vanishing", name, "rnnlab", seconds, "s"))
    return rows


# ---- all parts ---------------------------------------------------------------------------------

PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "layers": layers,
    "sweep": sweeps,
    "skipgram": skipgram,
    "bert": berts,
    "main_job": main_job,
}


def device() -> str:
    """Return the device's name."""
    return jax.devices()[0].device_kind


def versions() -> dict[str, str]:
    """Return the versions of what was measured."""
    found = {}
    for name in ("rnnlab", "jax", "jaxlib", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def measure(part: str, small: bool, seconds: float) -> list[Row]:
    """Measure a part in a process of its own, for so many seconds at most."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, __file__, f"--part={part}", f"--out={out}"]
        try:
            subprocess.run(command + ["--small"] * small, check=True, timeout=seconds)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return [Row(part, "", "", None, "", f"not measured: {error}")]
        return [Row(**row) for row in json.loads(out.read_text(encoding="utf-8"))["rows"]]


def main() -> None:
    """Measure all parts, or one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the JSON file")
    parser.add_argument("--part", choices=list(PARTS), help="only this part, in this process")
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a look")
    arguments = parser.parse_args()
    if arguments.part:
        rows = PARTS[arguments.part](arguments.small)
    else:
        end, rows = time.monotonic() + 60 * MINUTES, []
        for part in PARTS:
            rows += measure(part, arguments.small, max(1.0, end - time.monotonic()))
        for row in rows:
            value = "-" if row.value is None else f"{row.value:.4g} {row.unit}"
            print(f"{row.part:28} {row.case:28} {row.side:34} {value:>16}  {row.note}")
    found = {"device": device(), "versions": versions(), "rows": [row._asdict() for row in rows]}
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
