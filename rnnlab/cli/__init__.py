"""The command line: rnnlab run | predict | keywords | spell | list | report | compare |
tensorboard | reproduce.

absl flags, with a fresh ``FlagValues`` for every command and config_flags for ``--config.key``.
This file reads arguments and prints; what is done is in experiment.py. It imports nothing heavy
before it has to, so that ``--help`` answers at once.
"""

import contextlib
import errno
import os
import re
import select
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from rnnlab.cli import help
from rnnlab.core import host
from rnnlab.core.errors import NO_SPACE, unknown
from rnnlab.core.version import __version__

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rnnlab.lab.load import Experiment
    from rnnlab.lab.plan import Plan
    from rnnlab.lab.ray_cluster import Cluster
    from rnnlab.lab.reproduce import Part
    from rnnlab.lab.sweep import Sweep
    from rnnlab.results.run_dir import Run


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    0: done; 1: a verdict is unexpected or undecided under --strict, or the disk is full; 2: the
    command cannot be carried out as given; 130 and 143: interrupted by Ctrl-C and by SIGTERM; 141:
    nobody reads the output any more (``| head``).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # ∂ on a cp1252 pipe
    if not args or args[0] in ("--help", "-h", "-help", "help"):
        print(help.HELP, end="", file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    if args[0] in ("--version", "-version"):
        print(f"rnnlab {__version__}")
        return 0
    command, *rest = args
    if command not in _COMMANDS:
        return _fail(unknown("command", command, _COMMANDS))
    run, text = _COMMANDS[command]
    helps = _wants_help(rest)
    if helps and not (command == "run" and _config_given(rest)):
        print(text, end="")
        return 0

    from rnnlab.core.errors import UserError

    try:
        with _sigterm():
            status = run(rest)
            sys.stdout.flush()
            return status
    except (UserError, flags.Error) as error:
        return _fail(str(error))
    except BrokenPipeError:
        if not _unread():
            raise
        return 141
    except OSError as error:
        if error.errno in NO_SPACE:
            again = f"free some and give the same command: {_again(args)}"
            return _fail(f"no space left on the disk; what is finished is kept: {again}", 1)
        if error.errno in (errno.EACCES, errno.EROFS):
            return _fail(f"{error.strerror}: {error.filename}")
        raise
    except KeyboardInterrupt as stop:
        code = 143 if isinstance(stop, _Terminated) else 130
        runs = command in ("run", "reproduce")
        where = "; finished members are kept, go on with" if runs else ""
        return _fail(f"interrupted{where}: {_again(args)}" if where else "interrupted", code)


def _unread() -> bool:
    """Whether nobody reads the output any more; what is left of it is then thrown away."""
    output = sys.stdout.fileno()
    asked = select.poll()
    asked.register(output, 0)
    if not any(event & select.POLLERR for _, event in asked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # or Python complains again at its end
    return True


def _fail(message: str, status: int = 2) -> int:
    print(f"rnnlab: {message}", file=sys.stderr)
    if "rnnlab.training.distributed" in sys.modules:
        from rnnlab.training import distributed

        distributed.leave(status)
    return status


def _again(args: Sequence[str]) -> str:
    return shlex.join(["rnnlab", *args])


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------------------------------- flags


def _wants_help(args: Sequence[str]) -> bool:
    return any(re.fullmatch(r"-h|--?help(full|short)?", arg) for arg in args)


def _config_given(args: Sequence[str]) -> bool:
    return any(re.match(r"--?config(=|$)", arg) for arg in args)


def _take_config(args: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of --config, and the other arguments.

    config_flags would load the file by itself, a second time, through an importlib call that
    warns: the experiment is loaded once, and config_flags is given its ConfigDict.
    """
    value, rest, queue = None, [], list(args)
    while queue:
        arg = queue.pop(0)
        if not _config_given([arg]):
            rest.append(arg)
            continue
        if value is not None:
            raise flags.Error("--config is given twice")
        _, equals, value = arg.partition("=")
        if not equals:
            value = queue.pop(0) if queue else ""
        if not value:
            raise flags.Error("--config needs an experiment: --config=experiments/x.py")
    return value, rest


def _dotted(args: Sequence[str], group: str) -> list[str]:
    """The keys of --group.KEY among the arguments, each once, in order."""
    found = (re.match(rf"--?(?:no)?{group}\.([^=]*)", arg) for arg in args)
    return list(dict.fromkeys(match[1] for match in found if match))


def _parse(fv: flags.FlagValues, args: Sequence[str], positional: str = "") -> list[str]:
    """Parse the arguments; what is left over must be wanted.

    Raises:
        flags.Error: with a message of one line.
    """
    try:
        rest = fv(["rnnlab", *args])[1:]
    except flags.UnrecognizedFlagError as error:
        names = [name for name in fv if "." not in name]
        raise flags.Error(unknown("flag", error.flagname, names)) from None
    except flags.IllegalFlagValueError as error:
        flag = re.match(r"flag --(.+?)=", str(error))
        default = fv[flag[1]].default if flag else None
        given = re.sub(r": (invalid literal|could not convert|\('Non-bool).*", "", str(error))
        raise flags.Error(
            f"{given}: expected {type(default).__name__}, as {default!r} is"
        ) from None
    if rest and not positional:
        raise flags.Error(
            f"unexpected argument {rest[0]!r}: a value follows =, as in --config=FILE"
        )
    return rest


# ------------------------------------------------------------------------------------- commands


def _run(args: list[str]) -> int:
    from rnnlab.lab.load import load_experiment
    from rnnlab.lab.plan import make_plan
    from rnnlab.lab.run import follow, run_plan

    args = flags.FlagValues().read_flags_from_files(args)  # --flagfile, before we look
    target, args = _take_config(args)
    fv = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "the run directory", flag_values=fv)
    flags.DEFINE_boolean(
        "strict", False, "fail on an unexpected or undecided verdict", flag_values=fv
    )
    flags.DEFINE_boolean("dry_run", False, "print the plan only", flag_values=fv)
    _define_launchers(fv)
    if target is None:
        _parse(fv, [arg for arg in args if not re.match(r"--?(no)?(config|sweep)\.", arg)])
        raise flags.Error("run needs --config=FILE; `rnnlab list` shows the experiments")
    chosen = load_experiment(target)
    if _wants_help(args):
        print(help.RUN_HELP, _keys(chosen), sep="\n", end="")
        return 0
    config, axes = _asked(chosen, fv, args)
    cluster = _cluster(fv)
    if fv["dry_run"].value:
        plan = make_plan(chosen, config, sweep=axes)
        print(_describe(plan, fv["workdir"].value))
        return 0
    _use_all_cores()  # before a plan: to check a member is to use JAX
    _join(chosen, fv)

    from rnnlab.training import distributed

    with distributed.together():
        plan = make_plan(chosen, config, sweep=axes)
        if not distributed.leads():
            follow(plan)
            return 0
        run = run_plan(plan, fv["workdir"].value, cluster=cluster)
    _print_claims(run)
    return int(bool(fv["strict"].value) and not all(v.verdict == v.expected for v in run.claims))


def _define_launchers(fv: flags.FlagValues) -> None:
    flags.DEFINE_string("launcher", "local", "local or ray", flag_values=fv)
    flags.DEFINE_string("ray_address", "auto", "a Ray cluster's head", flag_values=fv)
    flags.DEFINE_integer("ray_cpus", 0, "CPUs a job; 0: the CPUs dealt out", flag_values=fv)
    flags.DEFINE_integer("ray_gpus", 0, "GPUs a job", flag_values=fv)
    for name in ("ray_address", "ray_cpus", "ray_gpus"):
        flags.DEFINE_alias(name.replace("_", "-"), name, flag_values=fv)
    flags.DEFINE_string("coordinator", None, "where process 0 listens", flag_values=fv)
    flags.DEFINE_integer("num_processes", None, "how many processes", flag_values=fv)
    flags.DEFINE_integer("process_id", None, "which process this is", flag_values=fv)


def _cluster(fv: flags.FlagValues) -> "Cluster | None":
    """The cluster that --launcher=ray means; None: here."""
    launcher = fv["launcher"].value
    if launcher == "ray":
        from rnnlab.lab.ray_cluster import Cluster

        cpus, gpus = (int(fv[name].value or 0) for name in ("ray_cpus", "ray_gpus"))
        return Cluster(str(fv["ray_address"].value), cpus, gpus)
    if launcher != "local":
        raise flags.Error(unknown("launcher", launcher, ("local", "ray")))
    for name in ("ray_address", "ray_cpus", "ray_gpus"):
        if fv[name].present:
            raise flags.Error(f"--{name} has no effect without --launcher=ray")
    return None


def _join(chosen: "Experiment", fv: flags.FlagValues) -> None:
    """Join the other processes of the run, if it has others."""
    coordinator, *numbers = (fv[k].value for k in ("coordinator", "num_processes", "process_id"))
    if coordinator is None:
        if numbers != [None, None]:
            raise flags.Error("--num_processes and --process_id need --coordinator=HOST:PORT")
        return
    if fv["launcher"].value == "ray":
        raise flags.Error("--coordinator and --launcher=ray exclude each other")
    if not chosen.trains:
        raise flags.Error(f"--coordinator is for members that train; {chosen.file} has none")

    from rnnlab.training import distributed

    distributed.initialize(str(coordinator), *numbers)


def _use_all_cores() -> None:
    """One CPU device a core, so that a sweep fills them; before the first JAX call or never.

    JAX_NUM_CPU_DEVICES sets another number.
    """
    if "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    import jax

    with contextlib.suppress(RuntimeError):  # JAX is running already
        jax.config.update("jax_num_cpu_devices", host.cores())


def _asked(
    chosen: "Experiment", fv: flags.FlagValues, args: list[str]
) -> "tuple[ConfigDict, Sweep]":
    """What --config.KEY and --sweep.KEY ask for; fv takes the other flags' values."""
    from ml_collections import config_flags

    from rnnlab.lab import sweep
    from rnnlab.lab.plan import check_no_axis

    config = chosen.get_config()
    flat = sweep.flat_config(config)
    set_keys, swept_keys = _dotted(args, "config"), _dotted(args, "sweep")
    for key in set_keys:
        sweep.check_key(flat, key)
        if _type(config, key) is type(None):
            raise flags.Error(
                f"--config.{key}: its value is None, which says no type: "
                "give it a config_dict.placeholder(type) in the experiment's file"
            )
    config_flags.DEFINE_config_dict("config", config, flag_values=fv, sys_argv=["rnnlab", *args])
    for key in swept_keys:
        sweep.check_key(flat, key, "sweep key")
        flags.DEFINE_multi_string(f"sweep.{key}", None, "values of an axis", flag_values=fv)
    _parse(fv, args)
    axes = {}
    for key in swept_keys:
        texts: list[str] = fv[f"sweep.{key}"].value or []
        if len(texts) > 1:
            raise flags.Error(f"--sweep.{key} is given twice: separate its values by commas")
        axes[key] = sweep.parse_values(config, key, texts[0])
    config = sweep.apply(chosen.get_config(), sweep.flat_config(config))  # tuples' types too
    whole = sweep.replace_axes(config, chosen.get_sweep(config), axes)
    now = sweep.flat_config(config)
    check_no_axis({key: now[key] for key in set_keys}, config, whole)
    return config, whole


def _type(config: "ConfigDict", key: str) -> type:
    *path, last = key.split(".")
    group: Any = config
    for name in path:
        group = group[name]
    return group.get_type(last)


def _keys(chosen: "Experiment") -> str:
    from rnnlab.lab import sweep

    config = chosen.get_config()
    lines = [f"{chosen.file} has"]
    lines += [f"  --config.{key}={value!r}" for key, value in sweep.flat_config(config).items()]
    for part in sweep.as_json(sweep.parts(config, chosen.get_sweep(config))):
        lines += [f"  --sweep.{k}={','.join(map(str, v))}" for k, v in part.items()]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _describe(plan: "Plan", workdir: str | None) -> str:
    from rnnlab.lab.plan import words

    n = len(plan.members)
    parts = [
        " x ".join(
            f"{len(rows)} {','.join(keys)}"
            if len(rows) > 1
            else words(dict(zip(keys, rows[0], strict=True)))
            for keys, rows in part.items()
        )
        or words({})
        for part in plan.parts
    ]
    shown = range(n) if n <= 6 else [0, 1, 2, 3, n - 1]
    lines = [f"  {index:>{len(str(n))}}  {words(plan.members[index])}" for index in shown]
    if n > 6:
        lines.insert(4, f"  {'...':>{len(str(n))}}  {n - 5} more")
    minutes = "unknown: the config has no run.seconds_per_member and run.seconds_per_group"
    if plan.seconds is not None:
        minutes = f"about {plan.seconds / 60:.1f} minutes"
    return "\n".join(
        [
            f"{plan.experiment.file}, dry run: nothing runs and nothing is written",
            f"sweep      {parts[0]}",
            *(f"         + {part}" for part in parts[1:]),
            f"members    {n}{', identical ones once' * (len(parts) > 1)}",
            *lines,
            f"groups     {plan.groups}",
            f"estimate   {minutes}",
            f"directory  {workdir or plan.run_dir}",
        ]
    )


def _print_claims(run: "Run") -> None:
    from rnnlab.results.claims import format_table

    print(format_table(run.claims))
    print(f"report: {run.report}")


def _list(args: list[str]) -> int:
    from rnnlab.lab import load

    _parse(flags.FlagValues(), args)
    found = load.find()
    width = max((len(e.name) for e in found), default=0)
    for e in found:
        print(f"{e.name:<{width}}  {e.description}")
    if not found:
        return _fail("no experiments in ./experiments, and none came with rnnlab", 1)
    return 0


def _predict(args: list[str]) -> int:
    fv = flags.FlagValues()
    flags.DEFINE_string("text", None, "a text", flag_values=fv)
    flags.DEFINE_string("file", None, "a text a line", flag_values=fv)
    flags.DEFINE_integer("member", -1, "of the run", flag_values=fv)
    flags.DEFINE_boolean("stream", False, "token by token", flag_values=fv)
    flags.DEFINE_integer("steps", 0, "tokens to go on with", flag_values=fv)
    flags.DEFINE_float("temperature", 1.0, "of what is drawn", flag_values=fv)
    flags.DEFINE_integer("top_k", 0, "draw among so many", flag_values=fv)
    flags.DEFINE_integer("seed", 0, "of what is drawn", flag_values=fv)
    dirs = _parse(fv, args, "DIR")
    text, file = fv["text"].value, fv["file"].value
    if len(dirs) != 1:
        raise flags.Error(f"predict takes one run directory, got {len(dirs)}")
    if (text is None) == (file is None):
        raise flags.Error("predict needs --text=TEXT or --file=FILE, one of them")
    if fv["stream"].value and fv["steps"].value:
        raise flags.Error("--stream and --steps exclude each other")

    from rnnlab.core.errors import UserError
    from rnnlab.data import files
    from rnnlab.training import predict

    member: Any = fv["member"].value
    try:
        found = predict.load(dirs[0], None if member == -1 else member)
        texts = [str(text)]
        if file is not None:
            texts = predict.asked(found, files.read_text(str(files.existing(file))))
        if fv["stream"].value:
            for line in texts:
                for token, said in predict.streamed(found, line):
                    print(f"{token}\t{said}", flush=True)
        elif fv["steps"].value:
            options: Any = [fv[name].value for name in ("steps", "temperature", "seed", "top_k")]
            for line in texts:
                print(line + predict.written(found, line, *options))
        else:
            print(*predict.answers(found, texts), sep="\n")
    except (ValueError, FileNotFoundError) as error:
        raise UserError(str(error)) from None
    return 0


def _keywords(args: list[str]) -> int:
    fv = flags.FlagValues()
    flags.DEFINE_integer("top", 10, "words of each", flag_values=fv)
    flags.DEFINE_string("tokenizer", "words", "what a word is", flag_values=fv)
    flags.DEFINE_string("idf", "notes", "which inverse document frequency", flag_values=fv)
    paths = _parse(fv, args, "FILE")
    top: Any = fv["top"].value
    if not paths:
        raise flags.Error("keywords takes a file or more, got none")

    from rnnlab.core.errors import UserError
    from rnnlab.data import files
    from rnnlab.sparse.keywords import keywords
    from rnnlab.text import tokenizers

    try:
        texts = [files.read_text(str(files.existing(path))) for path in paths]
        if len(texts) == 1:  # its lines, each by its number
            lines = [(str(n), line) for n, line in enumerate(texts[0].splitlines(), 1) if line]
            paths, texts = [n for n, _ in lines], [line for _, line in lines]
        # words of one character tell little, but for Chinese
        name = str(fv["tokenizer"].value)
        tokenizer = None if name == "words" else tokenizers.by_name(name)
        found = keywords(texts, top, idf=str(fv["idf"].value), tokenizer=tokenizer)
    except (ValueError, ImportError, FileNotFoundError) as error:
        raise UserError(str(error)) from None
    for path, words in zip(paths, found, strict=True):
        print(f"{path}\t{' '.join(word for word, _ in words)}")
    return 0


def _spell(args: list[str]) -> int:
    fv = flags.FlagValues()
    flags.DEFINE_string("text", None, "a text", flag_values=fv)
    flags.DEFINE_string("file", None, "a text a line", flag_values=fv)
    flags.DEFINE_integer("furthest", 2, "keystrokes", flag_values=fv)
    flags.DEFINE_integer("suggest", 0, "suggestions for each unknown word", flag_values=fv)
    paths = _parse(fv, args, "FILE")
    if len(paths) != 1:
        raise flags.Error(f"spell takes one file of vectors or text, got {len(paths)}")
    text, file = fv["text"].value, fv["file"].value
    top: Any = fv["suggest"].value
    furthest: Any = fv["furthest"].value
    if (text is None) == (file is None):
        raise flags.Error("spell needs --text=TEXT or --file=FILE, one of them")

    from rnnlab.core.errors import UserError
    from rnnlab.data import files
    from rnnlab.embeddings import spelling
    from rnnlab.text.tokenizers import Words

    try:
        texts = [str(text)]
        if file is not None:
            texts = files.read_text(str(files.existing(file))).splitlines()
        vectors = spelling.read(str(files.existing(paths[0])))
        for line in texts:
            if not top:
                print(spelling.repair(vectors, line, furthest))
                continue
            for word in dict.fromkeys(Words()([line]).lists()[0]):
                if word not in vectors and vectors.has(word):
                    near = spelling.suggestions(vectors, word, top)
                    print(word, ", ".join(f"{w} ({d})" for w, d, _ in near), sep="\t")
    except (ValueError, ImportError, FileNotFoundError) as error:
        raise UserError(str(error)) from None
    return 0


def _report(args: list[str]) -> int:
    from rnnlab.lab.run import rewrite

    dirs = _parse(flags.FlagValues(), args, "DIR")
    if len(dirs) != 1:
        raise flags.Error(f"report takes one run directory, got {len(dirs)}")
    _print_claims(rewrite(dirs[0]))
    return 0


def _compare(args: list[str]) -> int:
    fv = flags.FlagValues()
    flags.DEFINE_string("out", "compare.html", "the page to write", flag_values=fv)
    dirs = _parse(fv, args, "DIR")
    if len(dirs) < 2:
        raise flags.Error(f"compare takes two run directories or more, got {len(dirs)}")

    from rnnlab.report import page

    print(f"comparison: {page.compare_report(dirs, str(fv['out'].value))}")
    return 0


def _tensorboard(args: list[str]) -> int:
    fv = flags.FlagValues()
    flags.DEFINE_string("out", None, "the folder to write to", flag_values=fv)
    dirs = _parse(fv, args, "DIR")
    if len(dirs) != 1:
        raise flags.Error(f"tensorboard takes one run directory, got {len(dirs)}")

    from rnnlab.report import tensorboard

    print(f"tensorboard --logdir={shlex.quote(str(tensorboard.write(dirs[0], fv['out'].value)))}")
    return 0


def _reproduce(args: list[str]) -> int:
    from rnnlab.lab import reproduce
    from rnnlab.results.claims import format_short, summary

    fv = flags.FlagValues()
    flags.DEFINE_list("only", [], "these experiments only", flag_values=fv)
    flags.DEFINE_boolean("all", False, "the long ones too", flag_values=fv)
    flags.DEFINE_string("workdir", str(reproduce.WORKDIR), "the directory", flag_values=fv)
    flags.DEFINE_boolean("strict", False, "fail on a surprise", flag_values=fv)
    flags.DEFINE_boolean("dry_run", False, "print the plan only", flag_values=fv)
    _parse(fv, args)
    _use_all_cores()
    only = [name.strip() for name in fv["only"].value or ()]
    parts = reproduce.plan(only, everything=bool(fv["all"].value))
    if fv["dry_run"].value:
        for part in parts:
            words = part.reason
            if part.plan is not None:
                minutes = (part.plan.seconds or 0) / 60
                words = f"{len(part.plan.members)} members, about {minutes:.1f} minutes"
            print(f"{part.name:<20}  {words}")
        print(_left_out(only, parts), end="")
        return 0
    found = reproduce.run(parts, str(fv["workdir"].value))
    for name, verdicts in found.verdicts.items():
        print(f"{name} ({found.seconds[name] / 60:.1f} minutes)")
        print(format_short(verdicts))
    for name, reason in found.missing.items():
        print(f"{name} did not run: {reason}")
    print(_left_out(only, parts), end="")
    every = [v for verdicts in found.verdicts.values() for v in verdicts]
    minutes = sum(found.seconds.values()) / 60
    print(f"{len(found.verdicts)} experiments in {minutes:.1f} minutes; {summary(every)}")
    print(f"page: {found.page}")
    surprise = found.missing or not all(v.verdict == v.expected for v in every)
    return int(bool(fv["strict"].value and surprise))


def _left_out(only: Sequence[str], parts: "Sequence[Part]") -> str:
    """A line that names what the set leaves out for time, or nothing."""
    from rnnlab.lab import reproduce

    planned = {part.name for part in parts}
    rest = [] if only else [name for name in reproduce.names() if name not in planned]
    return f"left out for time (--all): {', '.join(rest)}\n" if rest else ""


_COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "run": (_run, help.RUN_HELP),
    "predict": (_predict, help.PREDICT_HELP),
    "keywords": (_keywords, help.KEYWORDS_HELP),
    "spell": (_spell, help.SPELL_HELP),
    "list": (_list, help.LIST_HELP),
    "report": (_report, help.REPORT_HELP),
    "compare": (_compare, help.COMPARE_HELP),
    "tensorboard": (_tensorboard, help.TENSORBOARD_HELP),
    "reproduce": (_reproduce, help.REPRODUCE_HELP),
}
