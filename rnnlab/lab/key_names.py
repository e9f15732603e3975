"""Keys of a config that a mistyped one may mean: by its last part, a synonym, or likeness."""

from collections.abc import Iterable

from rnnlab.core.errors import CONFIG_HELP, UserError, unknown

# what other libraries call a key: the last parts of ours
_SYNONYMS = {
    "lr": ("learning_rate",),
    "rate": ("learning_rate",),
    "step_size": ("learning_rate",),
    "alpha": ("learning_rate",),
    "wd": ("weight_decay",),
    "l2": ("weight_decay",),
    "decay": ("weight_decay",),
    "clip": ("clip_norm",),
    "grad_clip": ("clip_norm",),
    "gradient_clip": ("clip_norm",),
    "max_norm": ("clip_norm",),
    "optim": ("optimizer",),
    "opt": ("optimizer",),
    "scheduler": ("schedule",),
    "lr_schedule": ("schedule",),
    "warmup": ("warmup_steps",),
    "batch": ("batch_size",),
    "bs": ("batch_size",),
    "train_batch_size": ("batch_size",),
    "epoch": ("epochs", "steps"),
    "epochs": ("epochs", "steps"),
    "num_epochs": ("epochs", "steps"),
    "iterations": ("steps",),
    "iters": ("steps",),
    "updates": ("steps",),
    "num_steps": ("steps",),
    "max_steps": ("steps",),
    "hidden": ("hidden_size",),
    "hidden_dim": ("hidden_size",),
    "units": ("hidden_size",),
    "num_units": ("hidden_size",),
    "hiddens": ("hidden_size",),
    "h": ("hidden_size",),
    "num_layers": ("layers",),
    "n_layers": ("layers",),
    "depth": ("layers",),
    "cell": ("cell.name",),
    "cell_type": ("cell.name",),
    "model": ("cell.name",),
    "emb": ("embedding_size",),
    "embedding_dim": ("embedding_size",),
    "embed_dim": ("embedding_size",),
    "task": ("task.name",),
    "dataset": ("task.source", "task.path", "task.name"),
    "data": ("task.path", "task.source"),
    "file": ("path",),
    "csv": ("path",),
    "seq_len": ("length", "max_length"),
    "seq_length": ("length", "max_length"),
    "sequence_length": ("length", "max_length"),
    "t": ("length",),
    "seeds": ("run.seeds", "seed"),
    "num_seeds": ("run.seeds",),
    "random_seed": ("seed",),
    "random_state": ("seed",),
    "drop": ("dropout",),
    "dropout_rate": ("dropout",),
    "init_h": ("w_h",),
    "bptt": ("window",),
    "eval_interval": ("eval_every",),
}


def meant(key: str, keys: Iterable[str]) -> list[str]:
    """Return the keys whose last part is that of ``key``, or what it is a synonym for.

    >>> meant("training.lr", ["seed", "training.learning_rate"])
    ['training.learning_rate']
    """
    last = key.rpartition(".")[2].lower()
    keys = sorted(keys, key=lambda known: known.count("."))
    found = []
    for name in (last, *_SYNONYMS.get(last, ())):
        found += [known for known in keys if f".{known.lower()}".endswith(f".{name}")]
    return list(dict.fromkeys(found))


def check_key(keys: Iterable[str], key: str, kind: str = "config key") -> None:
    """Refuse a key that a config does not have.

    Args:
        keys: all keys of the config, dotted.
        key: to check.
        kind: its name in the message.
    Raises:
        UserError: an unknown key, with the nearest ones; a group, with its keys.
    """
    keys = list(keys)
    if key in keys:
        return
    group = [other for other in keys if other.startswith(f"{key}.")]
    if group:
        rest = f" (`{CONFIG_HELP}` lists all {len(group)})" if len(group) > _SHOWN else ""
        shown = ", ".join(group[:_SHOWN])
        raise UserError(f"{kind} {key!r} is a group; its keys: {shown}{', …' * bool(rest)}{rest}")
    raise UserError(unknown(kind, key, keys, listing=CONFIG_HELP, first=meant(key, keys)))


_SHOWN = 6  # keys of a group
