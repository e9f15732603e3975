"""Damage each file of small run directories in six ways; nothing may go wrong in silence.

    python tests/scripts/fuzz_run_dirs.py

Three runs are damaged: one that trains, the same interrupted after a checkpoint, and one whose
members run one by one. After each damage the run is read (load_run, report, compare, predict) and
the command that began it is given again. Each must refuse in one line, or answer as for the
undamaged run; a command that succeeds must leave what the undamaged run has. All of it happens in
this process. tests/results/test_run_dir.py does a sample.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import rnnlab
from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import repair

ONE_BY_ONE = '''
"""Members that run one by one, with predictions, a figure and a claim."""

import helper
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.results.claims import Claim


def get_config(arg=None):
    return ConfigDict({"seed": 0, "task": {"scale": 2.0}}).lock()


def get_sweep(config):
    return {"seed": range(3)}


def predict(config):
    return {"predicted": helper.twice(config.seed)}


def run(config, key, log):
    for step in range(3):
        log(step=step, loss=config.task.scale / (1 + step + config.seed))
    return {"loss": 0.5 + config.seed}


def figures(table):
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot(table.stack("loss"))
    return {"losses": (figure, "The losses.")}


def claims(table):
    def below():
        return bool(table.stack("loss").max() < 3), f"max {table.stack('loss').max()}"

    return [Claim("losses are below 3", "nobody", "max below 3", "holds", below)]
'''
HELPER = "def twice(seed):\n    return 2 * seed\n"
TRAINED = '''
"""Two members that train."""

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import InitScheme, training
from rnnlab.training import runner

run = runner.run


def get_config(arg=None):
    return ConfigDict({
        "seed": 0,
        "task": {"name": "forecasting", "points": 80, "window": 8},
        "cell": {"name": "rnn-tanh", "hidden_size": 3, "layers": 1},
        "init": InitScheme.config(),
        "training": training.config(
            steps=40, eval_every=10, batch_size=2, eval_batch_size=2, stop_when_solved=False
        ),
        "run": runner.config(checkpoint_seconds=0.0),
    }).lock()


def get_sweep(config):
    return {"seed": range(2)}


def figures(table):
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot(table.stack("loss"))
    return {"losses": (figure, "The losses.")}


def claims(table):
    return []
'''


# ---- damages -----------------------------------------------------------------------------------


def _pieces(content: bytes) -> list[bytes]:
    """Return the lines of a text, or pieces of a binary file."""
    if content.startswith((b"\x89PNG", b"PK")):
        return [content[at : at + 64] for at in range(0, len(content), 64)]
    return content.splitlines(keepends=True)


def truncated(path: Path, content: bytes) -> bytes | None:
    """Return the first half."""
    del path
    return content[: len(content) // 2]


def garbage(path: Path, content: bytes) -> bytes | None:
    """Return the content with other bytes in its middle."""
    del path
    middle = len(content) // 2
    return content[:middle] + b"\xff\x007" + content[middle + 3 :]


def doubled_line(path: Path, content: bytes) -> bytes | None:
    """Return the content with its middle line twice."""
    del path
    pieces = _pieces(content)
    at = len(pieces) // 2
    return b"".join([*pieces[:at], pieces[at], *pieces[at:]])


def missing_line(path: Path, content: bytes) -> bytes | None:
    """Return the content without its middle line."""
    del path
    pieces = _pieces(content)
    at = len(pieces) // 2
    return b"".join([*pieces[:at], *pieces[at + 1 :]])


def wrong_shape(path: Path, content: bytes) -> bytes | None:
    """Return a file of the same kind that holds something else."""
    if path.suffix == ".npz":
        packed = io.BytesIO()
        np.savez(packed, something=np.zeros(3, np.float32))
        return packed.getvalue()
    if path.suffix == ".jsonl":
        _, *lines = content.splitlines(keepends=True)
        return b"".join([b'{"member": 0, "overrides": [], "step": 1}\n', *lines])
    if path.suffix == ".json":
        return b"[]\n" if content.startswith(b"{") else b"{}\n"
    return b"something else\n"


def deleted(path: Path, content: bytes) -> bytes | None:
    """Return None: no file."""
    del path, content
    return None


Damage = Callable[[Path, bytes], bytes | None]
DAMAGES: tuple[Damage, ...] = (truncated, garbage, doubled_line, missing_line, wrong_shape, deleted)


# ---- runs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A run directory to damage, and the command that began it.

    Args:
        name: of the case.
        kept: the directory as it was left, "out" in a folder of its own.
        command: the arguments of ``rnnlab``; the run directory is "out".
        expected: what the finished, undamaged run left: see :func:`left_by`.
        text: for ``rnnlab predict``; "": it is not asked.
        finished: whether the run was finished.
    """

    name: str
    kept: Path
    command: list[str]
    expected: dict[str, Any]
    text: str = ""
    finished: bool = True

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        paths = sorted((self.kept / "out").rglob("*"))
        return [path.relative_to(self.kept / "out").as_posix() for path in paths if path.is_file()]


def left_by(run_dir: Path) -> dict[str, Any]:
    """Return what a finished run has, read without rnnlab's own readers; times are left out."""

    def lines(name: str) -> list[dict[str, Any]]:
        path = run_dir / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    members, metrics = {}, dict[int, list[Any]]()
    for line in lines("members.jsonl"):
        result = {key: v for key, v in line["result"].items() if key != "ms_per_step"}
        assert line["member"] not in members, "a member twice"
        members[line["member"]] = (line["overrides"], result)
    for line in lines("metrics.jsonl"):
        metrics.setdefault(line.pop("member"), []).append(line)
    files = ["claims.json", "figures.json", "predictions.json"]
    files += [path.relative_to(run_dir).as_posix() for path in run_dir.rglob("*/*")]
    whole = {
        name: (run_dir / name).read_bytes()
        for name in files
        if (run_dir / name).is_file() and not name.startswith("checkpoints")
    }
    return {"members": members, "metrics": metrics, "files": whole}


def make_cases(folder: Path, names: tuple[str, ...]) -> list[Case]:
    """Begin and finish the undamaged runs."""
    cases = []
    for name in names:
        kept = folder / name
        kept.mkdir(parents=True)
        (kept / "mine.py").write_text(ONE_BY_ONE if name == "one by one" else TRAINED)
        (kept / "helper.py").write_text(HELPER)
        command = ["run", "--config=mine.py", "--workdir=out"]
        with contextlib.chdir(kept):
            said = call(command)
            assert said.status == 0, said
            expected = left_by(Path("out"))
            if name == "interrupted":
                shutil.rmtree("out")
                _interrupt(command)
        text = "" if name == "one by one" else "0.1 0.2 0.3 0.4"
        cases.append(Case(name, kept, command, expected, text, name != "interrupted"))
    return cases


def _interrupt(command: list[str]) -> None:
    """Stop a training run after its second checkpoint, between two calls of its program."""
    append, count = repair.Metrics.append, 0

    def stopping(self: repair.Metrics, *args: Any) -> None:
        nonlocal count
        count += 1
        if count > 5:
            raise RuntimeError("stopped")
        append(self, *args)

    with mock.patch.object(repair.Metrics, "append", stopping):
        said = call(command)
    assert "stopped" in said.trace, said
    assert list(Path("out/checkpoints").glob("*/*")), "no checkpoint"


# ---- calls -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """The outcome of a command: exit status, stdout, stderr, and the traceback if it raised."""

    status: int
    out: str
    err: str
    trace: str = ""

    @property
    def refused(self) -> bool:
        """Whether it was refused in one line."""
        return self.status == 2 and self.err.count("\n") == 1


def call(args: list[str]) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    trace, status = "", -1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(args)
        except BaseException:  # whatever a user would see as a traceback
            trace = traceback.format_exc()
    return Said(status, out.getvalue(), err.getvalue(), trace)


def _read(run_dir: Path) -> tuple[str, Any]:
    """Return ("", what load_run reads), or (the reason why it refuses, None)."""
    try:
        run = rnnlab.load_run(run_dir)
    except UserError as error:
        return str(error), None
    members = [
        (m.index, m.config, {k: v for k, v in m.result.items() if k != "ms_per_step"}, m.metrics)
        for m in run.table
    ]
    pictures = {name: (path.read_bytes(), words) for name, (path, words) in run.figures.items()}
    return "", json_files.to_line({"members": members, "claims": [str(c) for c in run.claims]}) + (
        repr(sorted(pictures.items())).encode()
    )


def outcomes(case: Case, damage: Callable[[], None], commands: tuple[str, ...]) -> Iterator[str]:
    """Yield "refused", "equal", or what went wrong, for each reader and for the command.

    Args:
        case: the run; its folder is the current one.
        damage: damages "out".
        commands: among "load_run", "report", "compare", "predict" and "again".
    """
    for command in commands:
        _restore(case)
        if command == "compare":
            shutil.copytree(case.kept / "out", "other", dirs_exist_ok=True)
        undamaged = _answer(case, command) if command != "again" and case.finished else None
        _restore(case)
        damage()
        yield f"{command}: {_judged(case, command, undamaged)}"


def _restore(case: Case) -> None:
    shutil.rmtree("out", ignore_errors=True)
    shutil.copytree(case.kept / "out", "out")


def _answer(case: Case, command: str) -> Any:
    if command == "load_run":
        return _read(Path("out"))
    args = {
        "report": ["report", "out"],
        "compare": ["compare", "out", "other", "--out=page.html"],
        "predict": ["predict", "out", f"--text={case.text}"],
        "again": case.command,
    }[command]
    return call(args)


def _judged(case: Case, command: str, undamaged: Any) -> str:
    try:
        answer = _answer(case, command)
    except Exception:
        return f"TRACEBACK {traceback.format_exc()}"
    if command == "load_run":
        reason, found = answer
        if reason:
            return "refused" if "\n" not in reason else f"MANY LINES {reason}"
        return "equal" if undamaged is None or found == undamaged[1] else "SILENT DIFFERENCE"
    if answer.trace:
        return f"TRACEBACK {answer.trace}"
    if answer.refused and command == "again" and run_files.AGAIN in answer.err:
        return f"NOT MENDED {answer.err}"  # it was given again
    if answer.refused:
        return "refused"
    if command == "again" or (command == "report" and case.finished):
        if answer.status != 0:
            return f"FAILED {answer.err}"
        left = left_by(Path("out"))
        if left != case.expected:
            wrong = [key for key in left if left[key] != case.expected[key]]
            return f"SILENT DIFFERENCE in {', '.join(wrong)}: {answer.err}"
        return "equal" if not _read(Path("out"))[0] else f"STILL DAMAGED {_read(Path('out'))[0]}"
    if undamaged is None:
        return "equal"
    return "equal" if answer.out == undamaged.out else f"SILENT DIFFERENCE {answer.out}"


def fuzz(case: Case, pairs: list[tuple[str, Damage]], commands: tuple[str, ...]) -> list[str]:
    """Return an outcome per damaged file and command: "FILE, DAMAGE, COMMAND: OUTCOME"."""
    found = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("mine.py", "helper.py"):
            shutil.copy(case.kept / name, folder)
        os.chdir(folder)
        try:
            for name, damage in pairs:
                content = (case.kept / "out" / name).read_bytes()
                broken = damage(Path(name), content)
                if broken == content:
                    continue

                def strike(name: str = name, broken: bytes | None = broken) -> None:
                    path = Path("out", name)
                    path.unlink() if broken is None else path.write_bytes(broken)

                words = f"{case.name}, {name}, {getattr(damage, '__name__', damage)}"
                found += [f"{words}, {outcome}" for outcome in outcomes(case, strike, commands)]
        finally:
            os.chdir(before)
    return found


def is_right(outcome: str) -> bool:
    """Whether an outcome of :func:`fuzz` is as it should be."""
    return outcome.endswith((": refused", ": equal"))


def main() -> None:
    """Damage the runs and print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="one by one,trained,interrupted")
    parser.add_argument("--every", type=int, default=1, help="do every Nth damage only")
    options = parser.parse_args()
    started, counts = time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        import jax

        jax.config.update("jax_compilation_cache_dir", f"{folder}/compiled")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        for case in make_cases(Path(folder), tuple(options.runs.split(","))):
            commands = ("load_run", "again")
            if case.finished:
                commands = (
                    "load_run",
                    "report",
                    "compare",
                    *["predict"] * bool(case.text),
                    "again",
                )
            pairs = [(name, damage) for name in case.files for damage in DAMAGES]
            for outcome in fuzz(case, pairs[:: options.every], tuple(commands)):
                counts[outcome.rpartition(": ")[2] if is_right(outcome) else "WRONG"] += 1
                if not is_right(outcome):
                    print(outcome, flush=True)
    words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{counts.total()} outcomes in {time.monotonic() - started:.0f} s: {words}")
    assert not counts["WRONG"]


if __name__ == "__main__":
    main()
