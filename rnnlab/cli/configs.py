"""The experiment that a command's flags name, and its config with the values that they set."""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.core.errors import CONFIG_HELP, UserError, did_you_mean, nearest

if TYPE_CHECKING:
    from absl import flags
    from ml_collections import ConfigDict

    from rnnlab.lab.load import Experiment
    from rnnlab.lab.sweep import Value


def experiment_of(command: str, options: argparse.Namespace) -> "Experiment":
    """Load the experiment that a command was given.

    Raises:
        UserError: none was named, or there are unknown flags.
    """
    from rnnlab.lab.load import load_experiment

    named = target(options)
    experiment = load_experiment(named, use=options.use or ()) if named else None
    for flag, near in options.unknown.items():
        raise _unknown_flag(flag, near, experiment)
    if experiment is None:
        raise UserError(f"{command} needs --config=FILE; `rnnlab list` shows the experiments")
    return experiment


def target(options: argparse.Namespace) -> str:
    """Return the experiment that was named, "" if none was."""
    if options.experiment and options.config:
        raise UserError(
            f"{options.experiment[0]!r} and --config={options.config} both name an experiment"
        )
    return options.experiment[0] if options.experiment else options.config or ""


def _unknown_flag(flag: str, near: Sequence[str], experiment: "Experiment | None") -> UserError:
    """Return the error for a flag that is none, with the flags and keys that it may mean."""
    hints = list(near)
    if experiment is not None:
        from rnnlab.lab import sweep
        from rnnlab.lab.key_names import meant

        keys = list(sweep.flat_config(experiment.get_config()))
        hints = [f"--config.{key}" for key in meant(flag, keys)] + hints
        hints = hints or [f"--config.{key}" for key in nearest(flag, keys)]
    listing = f" (`{CONFIG_HELP}` lists all)"
    return UserError(f"unknown flag '--{flag}'{did_you_mean(hints) or listing}")


def config_of(
    experiment: "Experiment", options: argparse.Namespace
) -> "tuple[ConfigDict, dict[str, dict[str, list[Value]]]]":
    """Return the experiment's config with the values of --config.KEY, and the lists of the others.

    The lists are by group ("sweep", "compare" and "tune") and key.
    """
    from absl import flags
    from ml_collections import config_flags

    from rnnlab.lab import sweep
    from rnnlab.lab.key_names import check_key

    config, dotted = experiment.get_config(), options.dotted
    flat = sweep.flat_config(config)
    lists = {group: keys_in(dotted, group) for group in ("sweep", "compare", "tune")}
    for key in keys_in(dotted, "config"):
        check_key(flat, key)
        if _type_at(config, key) is type(None):
            raise UserError(
                f"--config.{key}: its value is None, which has no type: "
                "use a config_dict.placeholder(type) in the experiment's file"
            )
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict(
        "config", config, flag_values=values, sys_argv=["rnnlab", *dotted]
    )
    for group, keys in lists.items():
        for key in keys:
            check_key(flat, key, f"{group} key")
            flags.DEFINE_multi_string(f"{group}.{key}", None, "a list", flag_values=values)
    _parse_dotted(values, dotted)
    given: dict[str, dict[str, list[Value]]] = {group: {} for group in lists}
    for group, keys in lists.items():
        for key in keys:
            texts: list[str] = values[f"{group}.{key}"].value or []
            if len(texts) > 1:
                raise UserError(f"--{group}.{key} is given twice: separate its values by commas")
            given[group][key] = sweep.parse_values(config, key, texts[0], group)
    config = sweep.apply(experiment.get_config(), sweep.flat_config(config))  # checks tuples too
    return config, given


def keys_in(dotted: Sequence[str], group: str) -> list[str]:
    """Return the keys of --GROUP.KEY among the arguments, each once, in order."""
    matches = (re.match(rf"--?(?:no)?{group}\.([^=]*)", arg) for arg in dotted)
    return list(dict.fromkeys(match[1] for match in matches if match))


def _parse_dotted(values: "flags.FlagValues", dotted: Sequence[str]) -> None:
    """Let absl read the arguments into ``values``, with error messages of one line."""
    from absl import flags

    try:
        rest = values(["rnnlab", *dotted])[1:]
    except flags.IllegalFlagValueError as error:
        flag = re.match(r"flag --(.+?)=", str(error))
        default = values[flag[1]].default if flag else None
        given = re.sub(r": (invalid literal|could not convert|\('Non-bool).*", "", str(error))
        raise UserError(f"{given}: expected {type(default).__name__}, as {default!r} is") from None
    except flags.Error as error:
        raise UserError(str(error)) from None
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}: a value follows =, as in --config=FILE")


def _type_at(config: "ConfigDict", key: str) -> type:
    from ml_collections import ConfigDict

    *path, last = key.split(".")
    group = config
    for name in path:
        group = group[name]
        assert isinstance(group, ConfigDict)
    return group.get_type(last)
