"""BERT's published weights, read and written: every layout's names recognized by themselves.

A weight's name says its layout, so that a file may even mix them:

    bert.encoder.layer.0.attention.self.query.weight    PyTorch: (out, in)
    bert.embeddings.LayerNorm.gamma                      PyTorch of 2018
    bert/encoder/layer_0/attention/self/query/kernel     TensorFlow 1, Google's: (in, out)
    bert/encoder/layer_._0/attention/self/query/kernel:0 TensorFlow 2
    bert.encoder.layer.0.attention.self.query.kernel     Flax

Files: ``.safetensors`` and ``.npz``. Nothing is unpickled: other kinds of file are refused.
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
from rnnlab.bert.encoder import Config
from rnnlab.bert.heads import Classifier, Pretraining
from rnnlab.core.errors import UserError, unknown
from rnnlab.interop.array_files import read_arrays, write_arrays

PARTS = ("encoder", "pooler", "masked_words", "next_sentence")
CONFIGS = ("config.json", "bert_config.json")
WEIGHTS = ("model.safetensors", "model.npz")

# our name of g: the names that it has in config.json, the first of which is written
_ACTIVATIONS = {
    "gelu": ("gelu", "gelu_python"),
    "gelu_tanh": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_tanh"),
    "relu": ("relu",),
}
_SIZES = {  # our name of a size or rate: config.json's
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
_OPTIONAL = {"layer_norm_eps": "norm_eps"}  # Google's files leave it out: 1e-12

# our place in the tree of parameters -> PyTorch's name of the module, first match wins
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

# what other layouts call PyTorch's weight and bias
_WEIGHT = {"weight", "kernel", "gamma", "scale", "embedding", "embeddings", "output_weights"}
_BIAS = {"bias", "beta", "output_bias"}
# not weights: buffers, and what TensorFlow's optimizers leave in a checkpoint
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
    """A BERT that was read."""

    config: Config
    params: dict[str, Any]  # of a model in rnnlab.bert.heads: {"params": {part: …}}


# ---- from files --------------------------------------------------------------------------------


def load(
    path: str | os.PathLike[str],
    parts: Sequence[str] = PARTS,
    config: Config | None = None,
) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a ``.safetensors`` or ``.npz`` file, or a folder with one of :data:`WEIGHTS`.
        parts: what to read, of :data:`PARTS` and "classifier": ``("encoder",)`` suffices for
            contextual vectors. Parts that are left out may be there or not.
        config: its sizes; None: as config.json (bert_config.json) beside the weights says.
    Raises:
        UserError: no such files, another kind of file, a config that is none of a BERT.
        ValueError: weights that are missing, too many or of another shape, all of them by name.
    """
    file = _weights_file(Path(path).expanduser())
    config = read_config(file.parent) if config is None else config
    return Checkpoint(config, from_arrays(read_arrays(file), config, parts))


def read_config(path: str | os.PathLike[str], **changes: Any) -> Config:
    """The :class:`~rnnlab.bert.encoder.Config` that a config.json describes.

    Args:
        path: the file, or the folder it is in.
        changes: fields to set otherwise, ``dtype="bfloat16"`` for instance.
    Raises:
        UserError: no such file, or one that describes no BERT.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        found = [path / name for name in CONFIGS if (path / name).is_file()]
        if not found:
            raise UserError(f"no config.json in {path}: give the sizes as config=Config(...)")
        path = found[0]
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [key for key in (*_SIZES.values(), "hidden_act") if key not in said]
    if missing:
        raise UserError(f"{path} describes no BERT: it lacks {', '.join(missing)}")
    if said.get("position_embedding_type", "absolute") != "absolute":
        raise UserError(f"{path}: positions are {said['position_embedding_type']!r}, not absolute")
    names = {theirs: ours for ours, all_ in _ACTIVATIONS.items() for theirs in all_}
    if said["hidden_act"] not in names:
        raise UserError(f"{path}: {unknown('hidden_act', said['hidden_act'], names)}")
    fields: dict[str, Any] = {ours: said[theirs] for ours, theirs in _SIZES.items()}
    fields |= {ours: said[theirs] for theirs, ours in _OPTIONAL.items() if theirs in said}
    try:
        return Config(**{**fields, "activation": names[said["hidden_act"]], **changes})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def load_tokenizer(path: str | os.PathLike[str]) -> wordpiece.Tokenizer:
    """The tokenizer of a checkpoint: a tokenizer.json, or a vocab.txt.

    Args:
        path: the file, or the folder it is in; of both files tokenizer.json is read. For a
            vocab.txt, ``do_lower_case`` of a tokenizer_config.json beside it counts, else the
            text is lowercased unless the folder's name says "cased".
    Raises:
        UserError: no such file, or one that holds no WordPiece with BERT's special tokens.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        found = [path / n for n in ("tokenizer.json", "vocab.txt") if (path / n).is_file()]
        if not found:
            raise UserError(f"neither tokenizer.json nor vocab.txt in {path}")
        path = found[0]
    try:
        if path.suffix != ".json":
            pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            return wordpiece.of_vocabulary(pieces, _lowercase(path))
        tokenizer = wordpiece.tokenizers_package().Tokenizer.from_file(str(path))
    except UserError:
        raise
    except Exception as error:  # the library raises bare ones
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [token for token in wordpiece.SPECIALS if tokenizer.token_to_id(token) is None]
    if missing:
        raise UserError(f"{path} holds no BERT's tokens: it lacks {', '.join(missing)}")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _lowercase(vocab: Path) -> bool:
    told = vocab.with_name("tokenizer_config.json")
    if told.is_file():
        said = json.loads(told.read_text(encoding="utf-8"))
        if "do_lower_case" in said:
            return bool(said["do_lower_case"])
    name = vocab.absolute().parent.name.lower()
    return "uncased" in name or "cased" not in name


def _weights_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = [path / name for name in WEIGHTS if (path / name).is_file()]
    if not found:
        raise UserError(
            f"no weights at {path}: a .safetensors or .npz file is wanted, or a folder "
            f"with {' or '.join(WEIGHTS)}"
        )
    return found[0]


# ---- names -------------------------------------------------------------------------------------


def pytorch_name(name: str) -> tuple[str, bool]:
    """A weight's name in any layout -> (its name in PyTorch's, whether it lies as in PyTorch).

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
    else:  # of a model that is nothing but a BERT
        path = ["bert", *(path[1:] if path[0] in ("params", "model") else path)]
    last = path[-1]
    if last.endswith("_embeddings"):
        path.append("weight")
    elif last in _WEIGHT:
        path[-1] = "weight"
    elif last in _BIAS:
        path[-1] = "bias"
    return ".".join(path), last != "kernel"


def _name_of(place: str) -> tuple[str, bool]:
    """A place in our tree of parameters -> (PyTorch's name, whether it is a kernel)."""
    for pattern, name in _MODULES:
        found = re.match(pattern, place)
        if found:
            rest = place[found.end() :].lstrip(".")
            words = [found.expand(name), *(_ENDINGS.get(w, w) for w in rest.split(".") if w)]
            return ".".join(words), place.endswith(".W")
    raise ValueError(f"params hold {place!r}, which is no part of a BERT")


def _template(config: Config, parts: Sequence[str], outputs: int) -> dict[str, Any]:
    """The shapes of the parameters of these parts."""
    for part in parts:
        if part not in (*PARTS, "classifier"):
            raise ValueError(unknown("part", part, (*PARTS, "classifier")))
    key, ids = jax.random.key(0), jnp.zeros((1, 1), jnp.int32)
    whole = jax.eval_shape(Pretraining(config).init, key, ids)["params"]
    whole |= jax.eval_shape(Classifier(config, outputs=outputs).init, key, ids)["params"]
    return {part: whole[part] for part in parts}


# ---- trees and arrays --------------------------------------------------------------------------


def from_arrays(
    arrays: Mapping[str, np.ndarray], config: Config, parts: Sequence[str] = PARTS
) -> dict[str, Any]:
    """Parameters of a model, from named arrays in any layout.

    Args:
        arrays: as :func:`rnnlab.interop.array_files.read_arrays` gives them. config: the sizes.
        parts: see :func:`load`.
    Returns:
        {"params": {part: …}}, every array as it was, kernels turned to (in, out).
    Raises:
        ValueError: names every weight that is missing, that belongs to no BERT, of another shape,
            given twice or tied to one that it does not equal.
    """
    given: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    wrong = []
    for name, array in arrays.items():
        if _NO_WEIGHT.search(name):
            continue
        own, as_pytorch = pytorch_name(name)
        array = np.asarray(array)
        if array.ndim == 2 and not as_pytorch:
            array = array.T
        if own in given:
            wrong.append(f"twice: {name} and {origin[own]}")
        given[own], origin[own] = array, name
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

    def read(place: Any, shape: Any) -> Any:
        name, kernel = _name_of(jax.tree_util.keystr(place, simple=True, separator="."))
        if name not in given:
            wrong.append(f"missing: {name} {shape.shape[::-1] if kernel else shape.shape}")
            return None
        used.add(name)
        array = given[name].T if kernel else given[name]
        if array.shape != shape.shape:
            wanted = shape.shape[::-1] if kernel else shape.shape
            wrong.append(f"of shape {given[name].shape}, expected {wanted}: {origin[name]}")
        return jnp.asarray(array)

    params = jax.tree_util.tree_map_with_path(read, template)
    known = {
        _name_of(jax.tree_util.keystr(place, simple=True, separator="."))[0]
        for place, _ in jax.tree_util.tree_leaves_with_path(
            _template(config, (*PARTS, "classifier"), outputs)
        )
    }
    wrong += [f"extra: {origin[name]}" for name in given if name not in used | known]
    if wrong:
        raise ValueError(f"{len(wrong)} weights do not fit:\n  " + "\n  ".join(sorted(wrong)))
    return {"params": params}


def to_arrays(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A model's parameters under PyTorch's names and in its layout: (out, in).

    Args:
        params: {"params": …} of a model in :mod:`rnnlab.bert.heads`.
    Returns:
        arrays, contiguous; the tied decoder is left out, as PyTorch's own files leave it out.
    """
    arrays = {}
    for place, leaf in jax.tree_util.tree_leaves_with_path(params["params"]):
        name, kernel = _name_of(jax.tree_util.keystr(place, simple=True, separator="."))
        array = np.asarray(leaf)
        arrays[name] = np.ascontiguousarray(array.T if kernel else array)
    return arrays


def save(path: str | os.PathLike[str], params: Mapping[str, Any], config: Config) -> None:
    """Write a folder that this module and Hugging Face's libraries read.

    Args:
        path: of the folder, made where it is missing: model.safetensors and config.json.
        params: as :func:`to_arrays` takes them.
    """
    path = Path(path).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    write_arrays(path / WEIGHTS[0], to_arrays(params))
    said = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    said |= {theirs: getattr(config, ours) for theirs, ours in _OPTIONAL.items()}
    said |= {"hidden_act": _ACTIVATIONS[config.activation][0], "model_type": "bert"}
    (path / CONFIGS[0]).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
