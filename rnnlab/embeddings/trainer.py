"""The one trainer of skip-gram, CBOW and FastText: chunks are planned, an engine goes through.

The corpus is read chunk by chunk; a thread of its own plans the next chunk while one is trained
on, or where several threads train, each its own. All draws come from the seed, the epoch and the
chunk, so that they do not depend on the engine or on threads.

    engine "numba"   on CPU, center by center (kernels.py); rnnlab[fast]
    engine "jax"     on any device, block by block (blocks.py)
    engine "auto"    numba on CPU if it is installed, else jax
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.embeddings import devices, huffman, kernels, plans, subwords
from rnnlab.embeddings.corpus import Corpus
from rnnlab.embeddings.plans import Plan
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.trained import Trained
from rnnlab.text.vocabulary import keep_probabilities

METHODS = ("skipgram", "cbow", "fasttext")
ENGINES = ("auto", "numba", "jax")
_CHUNK = 1 << 17  # tokens of a chunk at most: bounds the memory of plans
_AHEAD = 2  # plans that wait
_NOISE = 1 << 16, 1 << 20  # words that are drawn from the noise at a time, least and most


@dataclass(frozen=True)
class Settings:
    """How vectors are trained. The defaults are word2vec's, gensim's and (n-grams) fastText's.

    Raises:
        ValueError: a value out of its range, by name.
    """

    size: int = 100  # D
    window: int = 5  # words on each side at most; each center draws 1 to window
    negatives: int = 5  # K; 0: hierarchical softmax
    noise_power: float = 0.75
    sample: float = 1e-3  # frequent words are thinned out, Mikolov's t; 0: none
    epochs: int = 5
    learning_rate: float = 0.025  # falls linearly to the next
    last_learning_rate: float = 1e-4
    share: bool = False  # CBOW, FastText: a mean's rows share ∂L/∂h (exact); else each takes it all
    minn: int = 3  # FastText: characters of an n-gram
    maxn: int = 6
    buckets: int = 2_000_000  # FastText: rows of n-grams
    engine: str = "auto"
    threads: int = 1  # numba; more than one: faster, and not the same bits twice
    samples: int = 0  # S, noise samples a group; 0: as the engine is best
    group: int = 32  # jax: centers a group, which share their samples
    groups: int = 0  # jax: groups a block; 0: 8 on CPU, 256 on others
    bound: float = 64.0  # jax: pairs of a block that a row steps for at the full rate

    def __post_init__(self) -> None:
        least = {
            "size": 1,
            "window": 1,
            "negatives": 0,
            "noise_power": 0,
            "sample": 0,
            "epochs": 1,
            "last_learning_rate": 0,
            "minn": 1,
            "maxn": self.minn,
            "buckets": 1,
            "threads": 1,
            "samples": 0,
            "group": 1,
            "groups": 0,
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in least and not value >= least[field.name]:
                raise ValueError(f"{field.name} must be at least {least[field.name]}, got {value}")
        for name in ("learning_rate", "bound"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.engine not in ENGINES:
            raise ValueError(unknown("engine", self.engine, ENGINES))


class Progress(NamedTuple):
    """What a watcher is given."""

    share: float  # of the training that is done, 0 to 1
    tokens: int  # of the corpus, words left out by thinning included
    learning_rate: float
    snapshot: Callable[[], Trained]  # the vectors as they are now, a copy


Watch = Callable[[Progress], None]


class Job(NamedTuple):
    """A chunk of an epoch."""

    epoch: int
    chunk: int
    start: int  # tokens of the corpus
    stop: int
    done: int  # tokens that are behind, over all epochs


# ---- plans -------------------------------------------------------------------------------------


def chunk_size(tokens: int) -> int:
    """Tokens a chunk: a sixteenth of a small corpus, for threads to share and the rate to fall."""
    return int(np.clip(tokens // 16, 1024, _CHUNK))


class Planner:
    """The plans of a training, chunk after chunk.

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
        """The chunks of all epochs, in order."""
        tokens, size = self.corpus.tokens, self.chunk
        for epoch in range(self.settings.epochs):
            for chunk, start in enumerate(range(0, tokens, size)):
                stop = min(start + size, tokens)
                yield Job(epoch, chunk, start, stop, epoch * tokens + start)

    def rate(self, done: int) -> float:
        """The learning rate after so many tokens: linear from the first to the last."""
        s = self.settings
        left = 1 - done / (self.corpus.tokens * s.epochs)
        return s.last_learning_rate + (s.learning_rate - s.last_learning_rate) * left

    def plan(self, job: Job) -> Plan:
        """Draw what the chunk needs."""
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
                # a quarter of the tokens: some ten times less than an epoch reads
                size = int(np.clip(self.corpus.tokens // 4, *_NOISE))
                self._run = epoch, plans.Noise(self.noise, rng, size)
            return self._run[1]

    def all(self) -> Iterator[tuple[Job, Callable[[], Plan]]]:
        """Every job and what gives its plan: where one thread trains, another draws it ahead."""
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
    """Parameters, and how a plan changes them."""

    group: int  # centers that share samples
    samples: int  # S

    def train(self, plan: Plan, rate: float, last_rate: float) -> None: ...
    def parameters(self) -> tuple[np.ndarray, np.ndarray]: ...  # (R, D), (V, D): on the host


class Start(NamedTuple):
    """What an engine begins with."""

    method: str
    settings: Settings
    W_in: np.ndarray  # (R, D)
    W_out: np.ndarray  # (V, D) or (V−1, D)
    tree: huffman.Paths | None
    bags: np.ndarray  # (Σ,) int32, rows of W_in
    bag_offsets: np.ndarray  # (V+1,) int64


def start(method: str, corpus: Corpus, settings: Settings, seed: int) -> Start:
    """W_in ~ U(−1/D, 1/D), W_out = 0, as gensim and fastText begin (word2vec.c: half as wide)."""
    counts, words = corpus.vocabulary.counts, corpus.vocabulary.words()
    V, D = len(words), settings.size
    rows = V + (settings.buckets if method == "fasttext" else 0)
    rng = np.random.default_rng([seed, 2**32 - 1])
    columns = kernels.padded(D)
    W_in = np.zeros((rows, columns), np.float32)
    for at in range(0, rows, 1 << 12):  # no second array of that size
        part = W_in[at : at + (1 << 12), :D]
        part[:] = (2 * rng.random(part.shape, dtype=np.float32) - 1) / np.float32(D)
    tree = None if settings.negatives else huffman.paths(counts)
    W_out = np.zeros((V - (tree is not None), columns), np.float32)
    bags, bag_offsets = np.zeros(0, np.int32), np.zeros(V + 1, np.int64)
    if method == "fasttext":
        bags, bag_offsets = word_bags(words, settings)
    return Start(method, settings, W_in, W_out, tree, bags, bag_offsets)


def word_bags(words: list[str], settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """(rows (Σ,) int32, offsets (V+1,)): each word's own row and, V further on, its n-grams'."""
    V = len(words)
    ids, offsets = subwords.bucket_ids(words, settings.minn, settings.maxn, settings.buckets)
    return np.insert(ids + np.int32(V), offsets[:-1], np.arange(V, dtype=np.int32)), (
        offsets + np.arange(V + 1)
    )


class NumbaEngine:
    """kernels.py: every center has samples of its own (FastText: every pair)."""

    def __init__(self, start: Start) -> None:
        s, tree = start.settings, start.tree
        sets = 4 if start.method == "fasttext" else 1  # of samples: a pair has one to itself
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
        """Go through the plan in order."""
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
        """The tables themselves."""
        return self.start.W_in, self.start.W_out


class JaxEngine:
    """blocks.py: groups of centers share their samples."""

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
        """Send the plan to the device and go through its blocks."""
        filled, count = self.blocks.fill(plan, self.rules, self.capacity)
        rates = np.array([rate, last_rate], np.float32)
        self.state = self.blocks.advance(
            self.state, filled, np.int32(count), rates, self.lookup, self.rules
        )

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the tables."""
        return np.array(self.state.W_in), np.array(self.state.W_out)


def engine_of(settings: Settings) -> str:
    """The engine that "auto" stands for here.

    Raises:
        ValueError: numba is asked for and not installed; or threads of another engine.
    """
    name = settings.engine
    if name == "auto":
        on_cpu = kernels.available() and devices.default_backend() == "cpu"
        name = "numba" if on_cpu else "jax"
    if name == "numba" and not kernels.available():
        raise ValueError("engine='numba' needs numba: pip install 'rnnlab[fast]'")
    if name == "jax" and settings.threads != 1:
        raise ValueError(
            f"threads={settings.threads} is for engine='numba' (pip install "
            "'rnnlab[fast]'); XLA has threads of its own"
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
    """Vectors of a corpus' words.

    Args:
        method: skipgram, cbow or fasttext.
        corpus: see :mod:`rnnlab.embeddings.corpus`.
        seed: two trainings with the same one are the same bits with one thread on one device.
        watch: called before, after, and ``looks`` − 1 times in between, evenly.
    Raises:
        ValueError: an unknown method; hierarchical softmax of FastText; see :func:`engine_of`.
        FloatingPointError: the vectors are no longer finite: a rate far too large.
    """
    settings = settings or Settings()
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    if method == "fasttext" and not settings.negatives:
        raise ValueError("fasttext is trained with negative samples, got negatives=0")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    name = engine_of(settings)
    begun = start(method, corpus, settings, seed)
    engine: Engine
    if name == "numba":
        engine = NumbaEngine(begun)
    else:
        engine = JaxEngine(begun, chunk_size(corpus.tokens))
    planner = Planner(corpus, settings, seed, engine.group, engine.samples)
    total = corpus.tokens * settings.epochs

    def snapshot() -> Trained:
        W_in, W_out = (np.array(table) for table in engine.parameters())
        return _trained(method, corpus, settings, W_in, W_out)

    looked = 0

    def look(done: int) -> None:
        nonlocal looked
        if watch is not None and done * looks >= looked * total:
            looked = done * looks // total + 1
            watch(Progress(done / total, done, planner.rate(done), snapshot))

    look(0)
    lock, work = threading.Lock(), planner.all()

    def worker() -> None:
        while True:
            with lock:
                item = next(work, None)
            if item is None:
                return
            job, plan = item
            done = job.done + job.stop - job.start
            engine.train(plan(), planner.rate(job.done), planner.rate(done))
            with lock:
                look(done)

    if name == "numba" and settings.threads > 1:
        with ThreadPoolExecutor(settings.threads) as pool:
            for future in [pool.submit(worker) for _ in range(settings.threads)]:
                future.result()
    else:
        worker()
    W_in, W_out = engine.parameters()
    if not (np.isfinite(W_in).all() and np.isfinite(W_out).all()):
        raise FloatingPointError(
            f"{method}: the vectors are not finite after training at "
            f"learning_rate={settings.learning_rate}: lower it (or `bound`, for engine='jax')"
        )
    return _trained(method, corpus, settings, W_in, W_out)


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
