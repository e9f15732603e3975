"""Fitted transformers as JSON files: their options, and what they have learned."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.core.json_files import Json, read_json, write_json
from rnnlab.text.tokenizers import TOKENIZERS, by_name

_VERSION = 1


def described(options: Mapping[str, Any]) -> dict[str, Json]:
    """Return the options of a transformer as JSON holds them.

    A tokenizer of :mod:`rnnlab.text.tokenizers` is kept by its name and fields; of a function only
    the name, for :func:`restored` to ask for it.

    >>> from rnnlab.text.tokenizers import Words
    >>> described({"tokenizer": Words(), "ngram_range": (1, 2), "analyzer": str.split})
    {'tokenizer': {'named': 'words', 'lowercase': True, 'min_length': 1}, 'ngram_range': [1, 2], \
'analyzer': {'function': 'str.split'}}
    """
    return {name: _described(name, value) for name, value in options.items()}


def _described(name: str, value: Any) -> Json:
    if type(value) in TOKENIZERS.values():
        return {"named": value.name} | {f.name: getattr(value, f.name) for f in fields(value)}
    if name == "dtype" and isinstance(value, type | np.dtype):
        return {"dtype": np.dtype(value).str}
    if callable(value):  # also a class, such as list
        return {"function": getattr(value, "__qualname__", type(value).__qualname__)}
    if isinstance(value, Mapping):  # a vocabulary, {term: column}
        return sorted(value, key=value.__getitem__)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return value
    return list(value)


def restored(
    path: object, described: Mapping[str, Json], given: Mapping[str, object]
) -> dict[str, Any]:
    """Return the options that :func:`described` wrote, with the functions given again.

    Raises:
        ValueError: a function that is not given, or one for an option that was none or that is
            unknown.
    """
    if unknown := given.keys() - described.keys():
        raise ValueError(f"{path} has no option {min(unknown)!r}: leave out {min(unknown)}=")
    options: dict[str, Any] = {}
    for name, value in described.items():
        function = value.get("function") if isinstance(value, dict) else None
        if name in given:
            if function is None:
                raise ValueError(f"{path} has its own {name}: leave out {name}=")
            options[name] = given[name]
        elif function is not None:
            raise ValueError(
                f"{path} was saved with {name}={function}, and a file holds no functions: "
                f"give it again: load(path, {name}=…)"
            )
        elif isinstance(value, dict) and "named" in value:
            options[name] = by_name(
                value["named"], **{k: value[k] for k in value.keys() - {"named"}}
            )
        elif isinstance(value, dict):
            options[name] = np.dtype(value["dtype"])
        else:
            options[name] = tuple(value) if name == "ngram_range" else value
    return options


def write(
    path: str | os.PathLike[str],
    kind: str,
    options: Mapping[str, Any],
    learned: Mapping[str, object],
) -> None:
    """Write a transformer's options and what it has learned.

    Raises:
        UserError: the path is a folder, or its folder is not there.
    """
    format_ = {"format": f"rnnlab {kind}", "version": _VERSION}
    write_json(path, format_ | {"options": described(options), "learned": learned})


def read(
    path: str | os.PathLike[str], kind: str, given: Mapping[str, object]
) -> tuple[dict[str, Any], dict[str, Json]]:
    """Return the options and what was learned from a file that :func:`write` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: a file of another kind; functions missing, see
            :func:`restored`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    content = read_json(path)
    expected = f"rnnlab {kind}"
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected or content.get("version") != _VERSION:
        raise ValueError(
            f"{path}: a saved {kind} ({expected!r}, version 1) expected, got {found!r}"
        )
    return restored(path, content["options"], given), content["learned"]
