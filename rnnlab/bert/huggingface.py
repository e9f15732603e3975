"""Read and write BERT's published weights, in any of the layouts in use.

Each weight's layout follows from its name, so a file may mix layouts:

    bert.encoder.layer.0.attention.self.query.weight    PyTorch: (out, in)
    bert.embeddings.LayerNorm.gamma                      PyTorch of 2018
    bert/encoder/layer_0/attention/self/query/kernel     TensorFlow 1, Google's: (in, out)
    bert/encoder/layer_._0/attention/self/query/kernel:0 TensorFlow 2
    bert.encoder.layer.0.attention.self.query.kernel     Flax

Files: ``.safetensors`` and ``.npz``. Nothing is unpickled; other kinds of file are refused.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import wordpiece
from rnnlab.bert.encoder import Config, Value
from rnnlab.bert.heads import Classifier, Pretraining
from rnnlab.core import validate
from rnnlab.core.errors import UserError, unknown
from rnnlab.interop.array_files import read_arrays, write_arrays

PyTree = Any

PARTS = ("encoder", "pooler", "masked_words", "next_sentence")
CONFIGS = ("config.json", "bert_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
WEIGHTS = ("model.safetensors", "model.npz")

# our name of g: its names in config.json, the first of which is written
_ACTIVATIONS = {
    "gelu": ("gelu", "gelu_python"),
    "gelu_tanh": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_tanh"),
    "relu": ("relu",),
}
_SIZES = {  # our name of a size or rate: that in config.json
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward_size": "intermediate_size",
    "max_length": "max_position_embeddings",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
_OPTIONAL = {"layer_norm_eps": "norm_eps"}  # missing in Google's files: 1e-12

# our path in the tree of parameters -> PyTorch's name of the module; the first match wins
_LAYER, _THEIRS = r"encoder\.layers\.(\d+)\.", r"bert.encoder.layer.\1."
_MODULES = [
    (r"encoder\.embeddings\.word$", "bert.embeddings.word_embeddings.weight"),
    (r"encoder\.embeddings\.position$", "bert.embeddings.position_embeddings.weight"),
    (r"encoder\.embeddings\.segment$", "bert.embeddings.token_type_embeddings.weight"),
    (r"encoder\.embeddings\.norm", "bert.embeddings.LayerNorm"),
    (_LAYER + r"attention\.output", _THEIRS + "attention.output.dense"),
    (_LAYER + r"attention_norm", _THEIRS + "attention.output.LayerNorm"),
    (_LAYER + r"attention", _THEIRS + "attention.self"),
    (_LAYER + r"feed_forward\.inner", _THEIRS + "intermediate.dense"),
    (_LAYER + r"feed_forward\.outer", _THEIRS + "output.dense"),
    (_LAYER + r"norm", _THEIRS + "output.LayerNorm"),
    (r"pooler", "bert.pooler.dense"),
    (r"next_sentence", "cls.seq_relationship"),
    (r"masked_words\.transform", "cls.predictions.transform.dense"),
    (r"masked_words\.norm", "cls.predictions.transform.LayerNorm"),
    (r"masked_words\.b$", "cls.predictions.bias"),
    (r"classifier", "classifier"),
]
_ENDINGS = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}

# the names of PyTorch's weight and bias in other layouts
_WEIGHT = {"weight", "kernel", "gamma", "scale", "embedding", "embeddings", "output_weights"}
_BIAS = {"bias", "beta", "output_bias"}
# not weights: buffers, and the state of TensorFlow's optimizers
_NO_WEIGHT = re.compile(
    r"(position_ids|token_type_ids|adam_[mv]|AdamWeightDecayOptimizer(_\d+)?|LAMB|global_step"
    r"|(beta[12]|beta_[12])_power)$"
)
# the same weight under a second name
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


class Checkpoint(NamedTuple):
    """A BERT from a file."""

    config: Config
    params: dict[str, PyTree]  # of a model in rnnlab.bert.heads: {"params": {part: …}}


# ---- from files --------------------------------------------------------------------------------


def load(
    path: str | os.PathLike[str],
    parts: Sequence[str] = PARTS,
    config: Config | None = None,
) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a ``.safetensors`` or ``.npz`` file, or a folder with one of :data:`WEIGHTS`.
        parts: those to read, of :data:`PARTS` and "classifier"; ``("encoder",)`` suffices for
            contextual vectors. The file may have other parts.
        config: the sizes; None: those of config.json (bert_config.json) beside the weights.
    Raises:
        UserError: no such files, another kind of file, or a config of another model.
        ValueError: missing or unknown weights or weights of another shape, each by name.
    """
    file = _weights_file(Path(path).expanduser())
    config = read_config(file.parent) if config is None else config
    return Checkpoint(config, from_arrays(read_arrays(file), config, parts))


def read_config(path: str | os.PathLike[str], **changes: Value) -> Config:
    """Read the :class:`~rnnlab.bert.encoder.Config` of a config.json.

    Args:
        path: the file, or its folder.
        changes: fields to set to other values, ``dtype="bfloat16"`` for instance.
    Raises:
        UserError: no such file, or one that describes no BERT.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = _first_file(path, CONFIGS) or path / CONFIGS[0]
        if not path.is_file():
            raise UserError(
                f"no config.json in {path.parent}: give the sizes as config=Config(...)"
            )
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [key for key in (*_SIZES.values(), "hidden_act") if key not in described]
    if missing:
        raise UserError(f"{path} describes no BERT: it lacks {', '.join(missing)}")
    positions = described.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise UserError(f"{path}: positions are {positions!r}, not absolute")
    activation = described["hidden_act"]
    names = {theirs: ours for ours, all_ in _ACTIVATIONS.items() for theirs in all_}
    if activation not in names:
        raise UserError(f"{path}: {unknown('hidden_act', activation, names)}")
    fields: dict[str, Value] = {ours: described[theirs] for ours, theirs in _SIZES.items()}
    fields |= {ours: described[theirs] for theirs, ours in _OPTIONAL.items() if theirs in described}
    try:
        return Config(**{**fields, "activation": names[activation], **changes})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def load_tokenizer(path: str | os.PathLike[str]) -> wordpiece.Tokenizer:
    """Read the tokenizer of a checkpoint: a tokenizer.json or a vocab.txt.

    Args:
        path: the file, or its folder, in which tokenizer.json has precedence. A vocab.txt is in
            lower case if ``do_lower_case`` of a tokenizer_config.json beside it says so; without
            that file, unless the folder's name says "cased".
    Raises:
        UserError: no such file, or one without a WordPiece that has BERT's special tokens.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        file = _first_file(path, TOKENIZERS)
        if file is None:
            raise UserError(f"neither {' nor '.join(TOKENIZERS)} in {path}")
        path = file
    try:
        if path.suffix != ".json":
            pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            return wordpiece.of_vocabulary(pieces, _lowercase(path))
        tokenizer = wordpiece.tokenizers_package().Tokenizer.from_file(str(path))
    except UserError:
        raise
    except Exception as error:  # the library raises exceptions of no particular class
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [token for token in wordpiece.SPECIALS if tokenizer.token_to_id(token) is None]
    if missing:
        raise UserError(f"{path} holds no BERT's tokens: it lacks {', '.join(missing)}")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _lowercase(vocab: Path) -> bool:
    config = vocab.with_name("tokenizer_config.json")
    if config.is_file():
        described = json.loads(config.read_text(encoding="utf-8"))
        if "do_lower_case" in described:
            return bool(described["do_lower_case"])
    name = vocab.absolute().parent.name.lower()
    return "uncased" in name or "cased" not in name


def _weights_file(path: Path) -> Path:
    file = path if path.is_file() else _first_file(path, WEIGHTS)
    if file is None:
        raise UserError(
            f"no weights at {path}: expected a .safetensors or .npz file, or a folder "
            f"with {' or '.join(WEIGHTS)}"
        )
    return file


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these files that the folder has; None without any."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


# ---- names -------------------------------------------------------------------------------------


def pytorch_name(name: str) -> tuple[str, bool]:
    """Translate a weight's name in any layout to PyTorch's.

    Returns:
        the name, and whether the array is laid out as in PyTorch, (out, in).

    >>> pytorch_name("bert/encoder/layer_11/output/LayerNorm/gamma")
    ('bert.encoder.layer.11.output.LayerNorm.weight', True)
    >>> pytorch_name("params.encoder.layer.3.intermediate.dense.kernel")
    ('bert.encoder.layer.3.intermediate.dense.weight', False)
    """
    name = re.sub(r"layer_(?:\._)?(\d+)", r"layer.\1", name.removesuffix(":0"))
    path = re.split(r"[./]", name.replace("nsp___", "").replace("mlm___", ""))
    starts = [k for k, word in enumerate(path) if word in ("bert", "cls", "classifier")]
    if starts:
        path = path[starts[0] :]
    else:  # of a BERT without heads
        path = ["bert", *(path[1:] if path[0] in ("params", "model") else path)]
    last = path[-1]
    if last.endswith("_embeddings"):
        path.append("weight")
    elif last in _WEIGHT:
        path[-1] = "weight"
    elif last in _BIAS:
        path[-1] = "bias"
    return ".".join(path), last != "kernel"


def _name_of(path: tuple[object, ...]) -> tuple[str, bool]:
    """Return PyTorch's name of a leaf of our parameters, and whether it is a kernel."""
    ours = jax.tree_util.keystr(path, simple=True, separator=".")
    for pattern, name in _MODULES:
        match = re.match(pattern, ours)
        if match:
            rest = ours[match.end() :].lstrip(".")
            words = [match.expand(name), *(_ENDINGS.get(w, w) for w in rest.split(".") if w)]
            return ".".join(words), ours.endswith(".W")
    raise ValueError(f"params hold {ours!r}, which is no part of a BERT")


def _template(config: Config, parts: Sequence[str], outputs: int) -> dict[str, PyTree]:
    """Return the shapes of these parts' parameters."""
    for part in parts:
        validate.choice("part", part, (*PARTS, "classifier"))
    key, ids = jax.random.key(0), jnp.zeros((1, 1), jnp.int32)
    whole = jax.eval_shape(Pretraining(config).init, key, ids)["params"]
    whole |= jax.eval_shape(Classifier(config, outputs=outputs).init, key, ids)["params"]
    return {part: whole[part] for part in parts}


# ---- trees and arrays --------------------------------------------------------------------------


def from_arrays(
    arrays: Mapping[str, np.ndarray], config: Config, parts: Sequence[str] = PARTS
) -> dict[str, PyTree]:
    """Make a model's parameters from named arrays in any layout.

    Args:
        arrays: from :func:`rnnlab.interop.array_files.read_arrays`. config: the sizes.
        parts: see :func:`load`.
    Returns:
        {"params": {part: …}}, values unchanged, kernels transposed to (in, out).
    Raises:
        ValueError: names every weight that is missing, unknown, of another shape, given twice, or
            different from the weight it is tied to.
    """
    given: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    wrong = []
    for name, array in arrays.items():
        if _NO_WEIGHT.search(name):
            continue
        standard, as_pytorch = pytorch_name(name)
        array = np.asarray(array)
        if array.ndim == 2 and not as_pytorch:
            array = array.T
        if standard in given:
            wrong.append(f"twice: {name} and {origin[standard]}")
        given[standard], origin[standard] = array, name
    for second, first in _TIED.items():
        array = given.pop(second, None)
        if array is None:
            continue
        if first not in given:
            given[first], origin[first] = array, origin[second]
        elif not np.array_equal(array, given[first]):
            wrong.append(f"not tied: {origin[second]} differs from {origin[first]}")

    outputs = given["classifier.weight"].shape[0] if "classifier.weight" in given else 2
    template = _template(config, parts, outputs)
    used = set()

    def read(path: tuple[object, ...], like: jax.ShapeDtypeStruct) -> jax.Array | None:
        name, kernel = _name_of(path)
        expected = like.shape[::-1] if kernel else like.shape
        if name not in given:
            wrong.append(f"missing: {name} {expected}")
            return None
        used.add(name)
        array = given[name].T if kernel else given[name]
        if array.shape != like.shape:
            wrong.append(f"of shape {given[name].shape}, expected {expected}: {origin[name]}")
        return jnp.asarray(array)

    params = jax.tree_util.tree_map_with_path(read, template)
    everything = _template(config, (*PARTS, "classifier"), outputs)
    known = {_name_of(path)[0] for path, _ in jax.tree_util.tree_leaves_with_path(everything)}
    wrong += [f"extra: {origin[name]}" for name in given if name not in used | known]
    if wrong:
        raise ValueError(f"{len(wrong)} weights do not fit:\n  " + "\n  ".join(sorted(wrong)))
    return {"params": params}


def to_arrays(params: Mapping[str, PyTree]) -> dict[str, np.ndarray]:
    """Return a model's parameters under PyTorch's names and in its layout, (out, in).

    Args:
        params: {"params": …} of a model in :mod:`rnnlab.bert.heads`.
    Returns:
        contiguous arrays, without the tied decoder, as in PyTorch's own files.
    """
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params["params"]):
        name, kernel = _name_of(path)
        array = np.asarray(leaf)
        arrays[name] = np.ascontiguousarray(array.T if kernel else array)
    return arrays


def save(path: str | os.PathLike[str], params: Mapping[str, PyTree], config: Config) -> None:
    """Write model.safetensors and config.json, which this module and Hugging Face's libraries read.

    Args:
        path: of the folder; created if missing.
        params: as for :func:`to_arrays`.
    """
    path = Path(path).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    write_arrays(path / WEIGHTS[0], to_arrays(params))
    described = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    described |= {theirs: getattr(config, ours) for theirs, ours in _OPTIONAL.items()}
    described |= {"hidden_act": _ACTIVATIONS[config.activation][0], "model_type": "bert"}
    (path / CONFIGS[0]).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
