"""The trainer of skip-gram, CBOW and FastText: plans for chunks of a corpus, run by an engine.

The corpus is read chunk by chunk. A separate thread plans the next chunk while one is trained; with
several training threads, each plans its own. All draws depend on the seed, the epoch and the chunk
only, not on the engine or on threads.

    engine "numba"   on CPU, center by center (kernels.py); rnnlab[fast]
    engine "jax"     on any device, block by block (blocks.py)
    engine "auto"    numba on CPU if it is installed, else jax
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from rnnlab.core import signals, validate
from rnnlab.core.errors import install
from rnnlab.embeddings import devices, huffman, kernels, plans, subwords
from rnnlab.embeddings.corpus import Corpus
from rnnlab.embeddings.plans import Plan
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.trained import Trained
from rnnlab.text.vocabulary import keep_probabilities

METHODS = ("skipgram", "cbow", "fasttext")
ENGINES = ("auto", "numba", "jax")
_CHUNK = 1 << 17  # tokens per chunk, at most: bounds the memory of plans
_AHEAD = 2  # plans made in advance
_NOISE = 1 << 16, 1 << 20  # words drawn from the noise distribution per epoch, least and most


@dataclass(frozen=True)
class Settings:
    """How vectors are trained. The defaults are word2vec's, gensim's and (n-grams) fastText's.

    Raises:
        ValueError: a value out of its range, by name.
    """

    size: int = 100  # D
    window: int = 5  # most words on each side; each center draws 1 to window
    negatives: int = 5  # K; 0: hierarchical softmax
    noise_power: float = 0.75
    sample: float = 1e-3  # t, the threshold of subsampling frequent words; 0: no subsampling
    epochs: int = 5
    learning_rate: float = 0.025  # decreases linearly to the last
    last_learning_rate: float = 1e-4
    # CBOW, FastText: whether the rows of a mean share ∂L/∂h (exact); else each takes all of it
    share: bool = False
    minn: int = 3  # FastText: characters of an n-gram
    maxn: int = 6
    buckets: int = 2_000_000  # FastText: rows of n-grams
    engine: str = "auto"
    threads: int = 1  # numba; several: faster, but not bit-identical between runs
    samples: int = 0  # S, noise samples per group; 0: the engine's default
    group: int = 32  # jax: centers per group, which share their samples
    groups: int = 0  # jax: groups per block; 0: 8 on CPU, 256 on other devices
    bound: float = 64.0  # jax: pairs of a row per block up to which it takes the full rate

    def __post_init__(self) -> None:
        least = {
            "size": 1,
            "window": 1,
            "negatives": 0,
            "epochs": 1,
            "minn": 1,
            "maxn": self.minn,
            "buckets": 1,
            "threads": 1,
            "samples": 0,
            "group": 1,
            "groups": 0,
        }
        for name, bound in least.items():
            validate.whole(name, getattr(self, name), bound)
        for name in ("noise_power", "sample", "last_learning_rate"):
            validate.number(name, getattr(self, name), least=0)
        for name in ("learning_rate", "bound"):
            validate.number(name, getattr(self, name), above=0)
        validate.flag("share", self.share)
        validate.choice("engine", self.engine, ENGINES)


class Progress(NamedTuple):
    """State of a training, passed to ``watch``."""

    share: float  # of the training that is done, 0 to 1
    tokens: int  # of the corpus, including those left out by subsampling
    learning_rate: float
    snapshot: Callable[[], Trained]  # returns a copy of the current vectors


Watch = Callable[[Progress], None]


class Job(NamedTuple):
    """A chunk of an epoch."""

    epoch: int
    chunk: int
    start: int  # tokens of the corpus
    stop: int
    done: int  # tokens before this chunk, over all epochs


# ---- plans -------------------------------------------------------------------------------------


def chunk_size(tokens: int) -> int:
    """Return the tokens per chunk; a small corpus has 16 chunks, to share among threads."""
    return int(np.clip(tokens // 16, 1024, _CHUNK))


class Planner:
    """The plans of a training, chunk by chunk.

    Args:
        group: centers that share samples. samples: S.
    """

    def __init__(
        self, corpus: Corpus, settings: Settings, seed: int, group: int, samples: int
    ) -> None:
        counts = corpus.vocabulary.counts
        self.corpus, self.settings, self.seed = corpus, settings, seed
        self.group, self.samples = group, samples
        self.chunk = chunk_size(corpus.tokens)
        self.keep = keep_probabilities(counts, settings.sample).astype(np.float32)
        self.noise = plans.noise_probabilities(counts, settings.noise_power)
        self._run: tuple[int, plans.Noise] | None = None
        self._lock = threading.Lock()

    def jobs(self) -> Iterator[Job]:
        """Yield the chunks of all epochs, in order."""
        tokens, size = self.corpus.tokens, self.chunk
        for epoch in range(self.settings.epochs):
            for chunk, start in enumerate(range(0, tokens, size)):
                stop = min(start + size, tokens)
                yield Job(epoch, chunk, start, stop, epoch * tokens + start)

    def rate(self, done: int) -> float:
        """Return the learning rate after ``done`` tokens, linear from the first to the last."""
        s = self.settings
        left = 1 - done / (self.corpus.tokens * s.epochs)
        return s.last_learning_rate + (s.learning_rate - s.last_learning_rate) * left

    def plan(self, job: Job) -> Plan:
        """Draw the plan of a chunk."""
        s = self.settings
        rng = np.random.default_rng([self.seed, job.epoch, job.chunk])
        part = self.corpus.read(job.start, job.stop)
        ids, offsets = plans.thinned(part.ids, part.offsets, self.keep, rng)
        left, right = plans.windows(offsets, s.window, rng)
        if not s.negatives:
            return Plan(ids, left, right, np.zeros((-(-len(ids) // self.group), 0), np.int32))
        rows = -(-len(ids) // self.group)
        drawn = self._noise(job.epoch).draw(rows * self.samples, rng)
        return Plan(ids, left, right, drawn.reshape(rows, self.samples))

    def _noise(self, epoch: int) -> plans.Noise:
        with self._lock:
            if self._run is None or self._run[0] != epoch:
                rng = np.random.default_rng([self.seed, epoch, 0, 1])
                # a quarter of the tokens: about a tenth of the samples of an epoch
                size = int(np.clip(self.corpus.tokens // 4, *_NOISE))
                self._run = epoch, plans.Noise(self.noise, rng, size)
            return self._run[1]

    def all(self) -> Iterator[tuple[Job, Callable[[], Plan]]]:
        """Yield every job and a function that returns its plan.

        If a single thread trains, another one draws plans in advance.
        """
        if self.settings.threads > 1:
            for job in self.jobs():
                yield job, partial(self.plan, job)
            return
        with ThreadPoolExecutor(max_workers=1) as pool:
            waiting: deque[tuple[Job, Future[Plan]]] = deque()
            for job in self.jobs():
                waiting.append((job, pool.submit(self.plan, job)))
                if len(waiting) > _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result
            for first, future in waiting:
                yield first, future.result


# ---- engines -----------------------------------------------------------------------------------


class Engine(Protocol):
    """Parameters, and a way to train them on a plan."""

    group: int  # centers that share samples
    samples: int  # S

    def train(self, plan: Plan, rate: float, last_rate: float) -> None:
        """Train on a plan, at rates from ``rate`` to ``last_rate``."""
        ...

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Return W_in (R, D) and W_out (V, D) as NumPy arrays."""
        ...


class Start(NamedTuple):
    """The initial state of an engine."""

    method: str
    settings: Settings
    W_in: np.ndarray  # (R, D)
    W_out: np.ndarray  # (V, D) or (V−1, D)
    tree: huffman.Paths | None
    bags: np.ndarray  # (Σ,) int32, rows of W_in
    bag_offsets: np.ndarray  # (V+1,) int64


def start(method: str, corpus: Corpus, settings: Settings, seed: int) -> Start:
    """Draw W_in ~ U(−1/D, 1/D), W_out = 0, as gensim and fastText do (word2vec.c: ±½/D)."""
    counts, words = corpus.vocabulary.counts, corpus.vocabulary.words()
    V, D = len(words), settings.size
    rows = V + (settings.buckets if method == "fasttext" else 0)
    rng = np.random.default_rng([seed, 2**32 - 1])
    columns = kernels.padded(D)
    W_in = np.zeros((rows, columns), np.float32)
    for first in range(0, rows, 1 << 12):  # in parts, to save memory
        part = W_in[first : first + (1 << 12), :D]
        part[:] = (2 * rng.random(part.shape, dtype=np.float32) - 1) / np.float32(D)
    tree = None if settings.negatives else huffman.paths(counts)
    W_out = np.zeros((V - (tree is not None), columns), np.float32)
    bags, bag_offsets = np.zeros(0, np.int32), np.zeros(V + 1, np.int64)
    if method == "fasttext":
        bags, bag_offsets = word_bags(words, settings)
    return Start(method, settings, W_in, W_out, tree, bags, bag_offsets)


def word_bags(words: list[str], settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of each word, its own and, from V on, those of its n-grams.

    Returns:
        rows (Σ,) int32 and offsets (V+1,): word v has rows[offsets[v]:offsets[v+1]].
    """
    V = len(words)
    ids, offsets = subwords.bucket_ids(words, settings.minn, settings.maxn, settings.buckets)
    return np.insert(ids + np.int32(V), offsets[:-1], np.arange(V, dtype=np.int32)), (
        offsets + np.arange(V + 1)
    )


class NumbaEngine:
    """The kernels of kernels.py: every center (FastText: every pair) has its own samples."""

    def __init__(self, start: Start) -> None:
        s, tree = start.settings, start.tree
        sets = 4 if start.method == "fasttext" else 1  # of samples, which the pairs take in turn
        self.group, self.samples = 1, s.samples or sets * s.negatives
        self.start, D = start, start.W_in.shape[1]
        none = np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(1, np.int64)
        self.tree = (False, *none) if tree is None else (True, *tree)
        if start.method == "skipgram":
            self.step = kernels.skipgram(D)
        elif start.method == "fasttext":
            self.step = kernels.fasttext(D)
        else:
            self.step = kernels.cbow(D)

    def train(self, plan: Plan, rate: float, last_rate: float) -> None:
        """Train on the centers of a plan in order."""
        s, start = self.start.settings, self.start
        tables = start.W_in, start.W_out
        if start.method == "skipgram":
            self.step(*tables, *plan, *self.tree, rate, last_rate)
        elif start.method == "fasttext":
            bags = start.bags, start.bag_offsets
            self.step(*tables, *plan, s.negatives, *bags, not s.share, rate, last_rate)
        else:
            self.step(*tables, *plan, s.negatives, *self.tree, not s.share, rate, last_rate)

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tables, not copied."""
        return self.start.W_in, self.start.W_out


class JaxEngine:
    """The compiled updates of blocks.py: groups of centers share their samples."""

    def __init__(self, start: Start, capacity: int) -> None:
        import jax

        from rnnlab.embeddings import blocks

        s, V = start.settings, len(start.bag_offsets) - 1
        self.group, self.samples = s.group, s.samples or max(s.group, s.negatives)
        self.blocks, self.capacity, self.jax = blocks, capacity, jax
        groups = s.groups or (8 if jax.default_backend() == "cpu" else 256)
        self.rules = blocks.Rules(
            start.method,
            start.tree is not None,
            s.window,
            s.negatives,
            not s.share,
            groups,
            s.group,
            s.bound,
        )
        nodes, signs = (np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int8))
        if start.tree is not None:
            nodes, signs = start.tree.padded()
        sizes = np.diff(start.bag_offsets)
        bags = np.zeros((V, int(sizes.max(initial=1))), np.int32)
        bags[np.arange(bags.shape[1]) < sizes[:, None]] = start.bags
        arrays = map(jax.numpy.asarray, (nodes, signs, bags, sizes.astype(np.int32)))
        self.lookup = blocks.Lookup(*arrays)
        self.state = blocks.tables(start.W_in[:, : s.size], start.W_out[:, : s.size])

    def train(self, plan: Plan, rate: float, last_rate: float) -> None:
        """Train on the blocks of a plan, on the device."""
        filled, count = self.blocks.fill(plan, self.rules, self.capacity)
        rates = np.array([rate, last_rate], np.float32)
        self.state = self.blocks.advance(
            self.state, filled, np.int32(count), rates, self.lookup, self.rules
        )

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the tables."""
        return np.array(self.state.W_in), np.array(self.state.W_out)


def engine_of(settings: Settings) -> str:
    """Return the name of the engine to use, "numba" or "jax".

    Raises:
        ValueError: engine "numba" without Numba; several threads with engine "jax".
    """
    name = settings.engine
    if name == "auto":
        on_cpu = kernels.available() and devices.default_backend() == "cpu"
        name = "numba" if on_cpu else "jax"
    if name == "numba" and not kernels.available():
        raise ValueError(f"engine='numba' needs numba: {install('fast')}")
    if name == "jax" and settings.threads != 1:
        raise ValueError(
            f"threads={settings.threads} is for engine='numba' ({install('fast')}); XLA has "
            "threads of its own"
        )
    return name


# ---- training ----------------------------------------------------------------------------------


def train(
    method: str,
    corpus: Corpus,
    settings: Settings | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    looks: int = 0,
) -> Trained:
    """Train vectors of the words of a corpus.

    Args:
        method: skipgram, cbow or fasttext.
        corpus: see :mod:`rnnlab.embeddings.corpus`.
        settings: None: the defaults.
        seed: results are bit-identical for equal seeds, with one thread on the same device.
        watch: called before, after, and ``looks`` − 1 times during training, evenly spaced.
    Raises:
        ValueError: an unknown method; hierarchical softmax of FastText; see :func:`engine_of`.
        FloatingPointError: the vectors are not finite; the rate is far too large.
    """
    settings = settings or Settings()
    validate.choice("method", method, METHODS)
    if method == "fasttext" and not settings.negatives:
        raise ValueError("fasttext is trained with negative samples, got negatives=0")
    seed = validate.whole("seed", seed, least=0)
    name = engine_of(settings)
    initial = start(method, corpus, settings, seed)
    engine: Engine
    if name == "numba":
        engine = NumbaEngine(initial)
    else:
        engine = JaxEngine(initial, chunk_size(corpus.tokens))
    planner = Planner(corpus, settings, seed, engine.group, engine.samples)
    total = corpus.tokens * settings.epochs

    def snapshot() -> Trained:
        W_in, W_out = (np.array(table) for table in engine.parameters())
        return _trained(method, corpus, settings, W_in, W_out)

    watched = 0

    def report(done: int) -> None:
        nonlocal watched
        if watch is not None and done * looks >= watched * total:
            watched = done * looks // total + 1
            watch(Progress(done / total, done, planner.rate(done), snapshot))

    report(0)
    lock, work = threading.Lock(), planner.all()

    def worker() -> None:
        while True:
            with lock:
                item = next(work, None)
            if item is None:
                return
            signals.check()
            job, plan = item
            done = job.done + job.stop - job.start
            try:
                engine.train(plan(), planner.rate(job.done), planner.rate(done))
            except ZeroDivisionError:  # Numba raises it where a sum is not finite any more
                raise _diverged(method, settings) from None
            with lock:
                report(done)

    if name == "numba" and settings.threads > 1:
        with ThreadPoolExecutor(settings.threads) as pool:
            for future in [pool.submit(worker) for _ in range(settings.threads)]:
                future.result()
    else:
        worker()
    W_in, W_out = engine.parameters()
    if not (np.isfinite(W_in).all() and np.isfinite(W_out).all()):
        raise _diverged(method, settings)
    return _trained(method, corpus, settings, W_in, W_out)


def _diverged(method: str, settings: Settings) -> FloatingPointError:
    return FloatingPointError(
        f"{method}: the vectors are not finite after training at "
        f"learning_rate={settings.learning_rate}: lower it (or `bound` of engine='jax')"
    )


def _trained(
    method: str, corpus: Corpus, settings: Settings, W_in: np.ndarray, W_out: np.ndarray
) -> Trained:
    vocabulary, D = corpus.vocabulary, settings.size
    words, V = vocabulary.words(), len(vocabulary)
    if method == "fasttext":
        parts = Subwords(W_in[:V, :D], W_in[V:, :D], settings.minn, settings.maxn)
        matrix = subwords.compose(words, parts)
        return Trained(words, vocabulary.counts, matrix, W_out[:, :D], parts)
    return Trained(words, vocabulary.counts, W_in[:, :D], W_out[:, :D])
