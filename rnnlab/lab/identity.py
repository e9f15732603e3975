"""The identity of a run directory: one config, one code, one version of rnnlab.

A directory is begun by writing config.json, and used again only for the same. What differs is said
and refused; another JAX or device is only pointed out, for it changes the last digits at most.
"""

import datetime
import hashlib
import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rnnlab.core import host, json_files, metrics, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.nested import flatten
from rnnlab.core.version import __version__
from rnnlab.lab import recorded, records
from rnnlab.lab.load import Experiment
from rnnlab.lab.plan import Plan

Record = dict[str, Any]  # of JSON, or results that become JSON


def throw_away(run_dir: Path) -> None:
    """Empty a run directory.

    Raises:
        UserError: it holds other things than a run.
    """
    paths = [path for path in run_dir.iterdir() if path.suffix != ".tmp"]
    if paths and not _holds_run(run_dir):
        raise UserError(f"{run_dir} is not empty and is no run directory: choose another")
    # config.json last: what is left by an interruption is still a run directory
    for path in sorted(run_dir.iterdir(), key=lambda path: path.name == run_files.CONFIG):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _holds_run(run_dir: Path) -> bool:
    return any((run_dir / name).is_file() for name in (run_files.CONFIG, run_files.MEMBERS))


def begin(plan: Plan, run_dir: Path, say: Callable[[str], None]) -> Record:
    """Write config.json, or check that the directory holds this run; return its content.

    Raises:
        UserError: the directory holds something else.
    """
    from rnnlab.training import stored  # it loads JAX, which reading a run does not need

    memory = stored.collect(plan.specs)
    if not (run_dir / run_files.CONFIG).exists():
        if _holds_run(run_dir):
            raise UserError(f"{run_dir} has lost its {run_files.CONFIG}: {run_files.ANEW}")
        # .…tmp: the remains of a write that was killed
        if [path for path in run_dir.iterdir() if path.suffix != ".tmp"]:
            raise UserError(f"{run_dir} is not empty and is no run directory: choose another")
        run_files.write_config(run_dir, _info(plan) | {stored.STORED: memory.entries})
        recorded.keep(plan.experiment, run_dir)
        memory.write(run_dir)
        return run_files.read_config(run_dir)
    try:
        info = run_files.read_config(run_dir)
    except UserError as error:
        raise UserError(f"{error}; {run_files.ANEW}") from None
    if info["hash"] != plan.hash:
        raise UserError(_other_run(run_dir, info, plan))
    before = info["environment"]
    if before["rnnlab"] != __version__:
        raise UserError(
            f"the run in {run_dir} began with rnnlab {before['rnnlab']}, and this is rnnlab "
            f"{__version__}: {run_files.ANEW}"
        )
    memory.check(run_dir, info.get(stored.STORED))
    memory.write(run_dir)
    if not run_files.is_finished(run_dir):
        _warn_of_environment(run_dir, before, say)
    for name in recorded.keep(plan.experiment, run_dir):
        say(f"{run_dir / name} was not what was written: it is written again")
    return info


def _other_run(run_dir: Path, info: Record, plan: Plan) -> str:
    """Return why a directory cannot be used for a plan, and what can be done."""
    keys = [key for key in plan.identity if key != "code"]
    keys += ["comparisons"] * ("comparisons" not in keys)
    now, then = ([identity.get(key) for key in keys] for identity in (plan.identity, info))
    if json_files.to_text(now) == json_files.to_text(then):  # axes in the same order, too
        changed = _changed_files(info, plan.experiment)
        return (
            f"{', '.join(changed)} {'has' if len(changed) == 1 else 'have'} changed since the run "
            f"in {run_dir} began: {run_files.ANEW}"
        )
    differences = _differences(info, plan.identity)
    if info["code"] != plan.identity["code"]:
        differences += [f"{file}: changed" for file in _changed_files(info, plan.experiment)]
    lines = "\n".join(f"  {line}" for line in differences)
    return f"{run_dir} holds a run with another config (there -> now); {run_files.ANEW}\n{lines}"


def _changed_files(info: Record, experiment: Experiment) -> list[str]:
    """Return the files that made a run and are not those of the experiment, by their paths."""

    def digests(entries: Sequence[Record]) -> dict[str, str]:
        return {
            (Path(entry["file"]).parent / source["name"]).as_posix(): source["sha256"]
            for entry in entries
            for source in entry["sources"]
        }

    now, then = digests(recorded.record_of(experiment)), digests(info["files"])
    changed = [path for path in now if now[path] not in then.values()]
    gone = [path for path in then if then[path] not in now.values()]
    return changed or gone or ["the order of --use"]


def _warn_of_environment(run_dir: Path, before: Record, say: Callable[[str], None]) -> None:
    """Say where JAX or the device is another than when the run began: results may differ."""
    now = environment()
    different = [
        f"{key} {before.get(key)} -> {now[key]}"
        for key in ("jax", "jaxlib", "device")
        if before.get(key) != now[key]
    ]
    if different:
        say(
            f"{run_dir} began on another JAX or device ({', '.join(different)}): results of the "
            "members that are left may differ in the last digits"
        )


def _info(plan: Plan) -> Record:
    return {
        **plan.identity,
        "file": plan.experiment.file,
        "file_sha256": plan.experiment.digest,
        "files": recorded.record_of(plan.experiment),
        "description": plan.experiment.description,
        "hash": plan.hash,
        "changes": plan.changes,
        **_members(plan),
        "metrics": metrics.as_json(plan.metrics),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "environment": environment(),
    }


def _members(plan: Plan) -> Record:
    """Return what config.json holds of the members, which grows with each round."""
    listed: Record = {
        "predictions_sha256": _digest(predictions(plan)),
        "members": len(plan.members),
        "overrides": json_files.encode(plan.members),
    }
    return listed | ({"phases": plan.phases, "begun": plan.begun} if plan.questions else {})


def extend(plan: Plan, run_dir: Path, say: Callable[[str], None]) -> Record:
    """List the members of another round in config.json; return its content."""
    info = run_files.read_config(run_dir) | _members(plan)
    (run_dir / run_files.PREDICTIONS).unlink(missing_ok=True)  # of fewer members
    run_files.write_config(run_dir, info)
    restore_predictions(plan, run_dir, info, say)
    return info


def caught_up(plan: Plan, info: Record) -> Plan:
    """Return the plan with the members of all rounds that an interrupted run had begun.

    Args:
        plan: of the first round.
        info: config.json of the run.
    """
    if not plan.questions or info["members"] == len(plan.members):
        return plan
    members = run_files.overrides_of(info)
    return plan.extended(members[len(plan.members) :], info["phases"], info["begun"])


def environment() -> dict[str, str | int]:
    """Return versions, device and cores: results depend on them besides the config."""
    import jax

    return {
        "rnnlab": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": host.cores(),
    }


def _differences(old: Record, new: Record) -> list[str]:
    """Return the keys in which two identities differ, as "cell.name: lstm -> gru"."""

    def flat(identity: Record) -> Record:
        axes = identity["sweep"]
        named = {str(i): a for i, a in enumerate(axes)} if isinstance(axes, list) else axes
        heads = {name: identity[name] for name in ("experiment", "arg")}
        asked = {f"comparison {entry['name']}": entry for entry in identity.get("comparisons", ())}
        return heads | flatten(identity["config"]) | flatten(named, "sweep.") | flatten(asked)

    before, now = flat(old), flat(new)
    return [
        f"{key}: {before.get(key, '(none)')} -> {now.get(key, '(none)')}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key, "(none)") != now.get(key, "(none)")
    ] or ["the axes of the sweep stand in another order"]


# ---- predictions -----------------------------------------------------------------------------


def predictions(plan: Plan) -> bytes:
    """Return predictions.json: the experiment's predictions for each member; b"" for none."""
    predict = plan.experiment.functions.predict
    if predict is None:
        return b""
    return json_files.to_text(
        [
            records.results_record(f"{plan.experiment.file}: predict", predict(config))
            for config in plan.configs
        ]
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if content else ""


def restore_predictions(
    plan: Plan, run_dir: Path, info: Record, say: Callable[[str], None]
) -> None:
    """Write predictions.json before any member runs; write it again if it is damaged.

    Raises:
        UserError: it is damaged, and something else is predicted now.
    """
    path = run_dir / run_files.PREDICTIONS
    if plan.experiment.functions.predict is None:
        return
    if run_files.digest_of(path) == info["predictions_sha256"]:
        return
    content = predictions(plan)
    if _digest(content) != info["predictions_sha256"]:
        raise UserError(
            f"{path} is not what was written, and {plan.experiment.file} predicts something else "
            f"now: {run_files.ANEW}"
        )
    if run_files.is_finished(run_dir) or path.exists():
        say(f"{path} was not what was written: it is written again")
    json_files.write_bytes(path, content)
