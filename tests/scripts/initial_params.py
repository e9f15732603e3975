"""Digests of the parameters that every member of every experiment's default sweep draws.

    python tests/scripts/initial_params.py OUT.json          write them
    python tests/scripts/initial_params.py OLD.json NEW.json say what differs

Run it at two commits and compare: a change of layout or of wording draws the same bits. A member
that trains is drawn as training draws it. Another runs until it has drawn the first parameters,
and no further; one that draws none (counting, retrieval) has its config and key alone.
"""

import hashlib
import json
import sys
import traceback

import jax
import numpy as np

from rnnlab import training
from rnnlab.bert import encoder
from rnnlab.core import json_files
from rnnlab.embeddings import glove, trainer
from rnnlab.lab import catalog
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.nn import cells


def digest(tree):
    """SHA-256 of the leaves of a tree of arrays, their dtypes and their shapes."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        if array.dtype.kind not in "biufc":  # a name, or settings: no parameters
            continue
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


class Drawn(BaseException):
    """The first parameters of a member, which then stops."""


def stop_at(owner, name):
    """Make a function raise what it draws."""
    real = getattr(owner, name)

    def stopping(*args, **options):
        raise Drawn(digest(real(*args, **options)))

    setattr(owner, name, stopping)
    return lambda: setattr(owner, name, real)


def draw(experiment, config):
    """The digest of a member's first parameters; "" where it draws none."""
    key = jax.random.key(config.seed)
    if experiment.trains:
        return digest(training.member(config, key).params)
    places = [(cell, "init_params") for cell in (cells.RNN, cells.LSTM, cells.GRU)]
    places += [(encoder, "init_params"), (trainer, "start"), (glove, "begin")]
    undo = [stop_at(*place) for place in places]
    try:
        experiment.module.run(config, key, lambda **record: None)
    except Drawn as drawn:
        return str(drawn)
    except Exception as error:
        return f"{type(error).__name__}: {traceback.format_exc(limit=1).splitlines()[-1]}"
    finally:
        for restore in undo:
            restore()
    return ""


# nothing is drawn before minutes of counting
COUNTING = ("ngram_lm", "retrieval", "speed_sparse")


def collect():
    """{experiment: [[overrides, digest of the config, digest of the parameters], …]}."""
    found = {}
    for name in sorted(one.name for one in catalog.find_shipped()):
        experiment = load_experiment(name)
        planned = make_plan(experiment)
        rows = found[name] = []
        for overrides, config in zip(planned.members, planned.configs, strict=True):
            text = json.dumps(json_files.encode(config.to_dict()), sort_keys=True)
            drawn = "" if name in COUNTING else draw(experiment, config)
            rows.append([repr(overrides), hashlib.sha256(text.encode()).hexdigest(), drawn])
        print(name, len(rows), rows[0][2][:60], flush=True)
    return found


def compare(old, new):
    """Print every member that differs; return how many do."""
    count = 0
    for name in sorted({*old, *new}):
        before, now = old.get(name, []), new.get(name, [])
        if len(before) != len(now):
            print(f"{name}: {len(before)} members, now {len(now)}")
            count += 1
        for one, other in zip(before, now, strict=False):
            for what, a, b in zip(("overrides", "config", "parameters"), one, other, strict=True):
                if a != b:
                    print(f"{name} {one[0]}: {what}: {a[:60]} -> {b[:60]}")
                    count += 1
    print(f"{sum(map(len, new.values()))} members of {len(new)} experiments, {count} differences")
    return count


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with open(sys.argv[1]) as one, open(sys.argv[2]) as other:
            sys.exit(bool(compare(json.load(one), json.load(other))))
    found = collect()
    with open(sys.argv[1], "w") as file:
        json.dump(found, file, indent=1)
