"""``rnnlab predict``: the answers of a trained member to new texts."""

import argparse
from typing import TYPE_CHECKING

from rnnlab.cli.parsing import (
    Commands,
    cache_switch,
    check_text_or_file,
    complain,
    count,
    path,
    real,
    refusing_in_one_line,
    seed,
)
from rnnlab.core.errors import UnknownName, UserError

if TYPE_CHECKING:
    from rnnlab.training.predict import Predictor

_SHOWN = 5  # unknown tokens that are named
_DRAWS = {"temperature": 1.0, "seed": 0, "top_k": 0}  # flags of a continuation


def add(commands: Commands) -> None:
    """Add ``predict``."""
    parser = commands.add(
        "predict",
        _predict,
        usage="DIR --text=TEXT | --file=FILE [options]",
        summary="predict with a trained member of a run",
        description="""\
Predict with a trained member of a run: the entities of a text, whether a review is good, how well
a text is predicted, or how it continues; of a series of numbers, the next one or its class. Each
text gives one line; of a .ts file, each series.""",
    )
    parser.positionals("dirs", "DIR", "a run directory")
    parser.value("text", "TEXT", "the text")
    parser.value(
        "file",
        "FILE",
        "a UTF-8 file with one text per line; a blank line is answered by a blank line. Of a .ts "
        "file, the series",
        type=path,
    )
    parser.value("member", "N", "a member of the run [the best by its task's score]", type=count)
    parser.switch(
        "stream",
        "print one token per line, as it is read; for models that read in one direction",
    )
    parser.value(
        "steps",
        "N",
        "how many tokens a language model writes after the text",
        type=count,
        default=0,
    )
    parser.value(
        "temperature",
        "T",
        f"of the tokens that it draws; 0: always the most probable [{_DRAWS['temperature']}]",
        type=real,
    )
    parser.value("seed", "N", f"of the draws [{_DRAWS['seed']}]", type=seed)
    parser.value(
        "top_k",
        "K",
        f"draw among the K most probable tokens; 0: among all [{_DRAWS['top_k']}]",
        type=count,
    )
    parser.switch(
        "trust",
        "execute the experiment's file, for the cell or task that it registers, even if it lies "
        "inside DIR",
    )
    cache_switch(parser)


def _predict(options: argparse.Namespace) -> int:
    if len(options.dirs) != 1:
        raise UserError(f"predict takes one run directory, got {len(options.dirs)}")
    check_text_or_file("predict", options)
    if options.stream and options.steps:
        raise UserError("--stream and --steps exclude each other")
    _check_draws(options, bool(options.steps), "give --steps=N to continue the text")

    from rnnlab.core import compilation_cache
    from rnnlab.data import files
    from rnnlab.training import predict

    with refusing_in_one_line(), compilation_cache.kept(options.cache):
        predictor = _loaded(options)
        if options.file is not None:
            texts = predict.asked(predictor, files.read_text(str(files.existing(options.file))))
        elif predict.is_blank(predictor, options.text):
            raise UserError(f"{options.text!r} has no token to read")
        else:
            texts = [options.text]
        if options.stream:
            for text in texts:
                if predict.is_blank(predictor, text):
                    print()
                    continue
                for token, answer in predict.streamed(predictor, text):
                    print(f"{token}\t{answer}", flush=True)
        elif options.steps:
            for text in texts:
                blank = predict.is_blank(predictor, text)
                print("" if blank else _written(predictor, text, options))
        else:
            for answer in predict.answers(predictor, texts):
                print(answer)
        _note_unknown(predict.unknown(predictor, texts))
    return 0


def _loaded(options: argparse.Namespace) -> "Predictor":
    from rnnlab.lab.recorded import load_recorded
    from rnnlab.training import predict

    run_dir, member = options.dirs[0], options.member
    try:
        return predict.load(run_dir, member)
    except UnknownName as error:  # its experiment's file may register it
        try:
            load_recorded(run_dir, trust=options.trust)
        except UserError as reason:
            raise UserError(f"{error}; {reason}") from None
        return predict.load(run_dir, member)


def _written(predictor: "Predictor", text: str, options: argparse.Namespace) -> str:
    from rnnlab.training import predict

    if predictor.task.feeds_back:
        _check_draws(options, False, "a forecast draws nothing")
    given = {name: getattr(options, name) for name in _DRAWS}
    draws = argparse.Namespace(
        **_DRAWS | {name: value for name, value in given.items() if value is not None}
    )
    return text + predict.written(
        predictor, text, options.steps, draws.temperature, draws.seed, draws.top_k
    )


def _check_draws(options: argparse.Namespace, effect: bool, reason: str) -> None:
    for name in _DRAWS:
        if not effect and getattr(options, name) is not None:
            raise UserError(f"--{name} has no effect here: {reason}")


def _note_unknown(tokens: list[str]) -> None:
    if tokens:
        shown = [repr(token) for token in dict.fromkeys(tokens)]
        more = ", …" if len(shown) > _SHOWN else ""
        complain(
            "read as unknown, because the member never learned them: "
            f"{', '.join(shown[:_SHOWN])}{more} ({len(tokens)} in all)"
        )
