"""``rnnlab predict``: the answers of a trained member to new texts."""

import argparse

from rnnlab.cli.parsing import Commands, check_text_or_file, real, refusing_in_one_line, whole
from rnnlab.core.errors import UserError


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
    parser.value("file", "FILE", "a UTF-8 file with one text per line")
    parser.value(
        "member", "N", "a member of the run [the best by its task's score]", type=whole, default=-1
    )
    parser.switch(
        "stream",
        "print one token per line, as it is read; for models that read in one direction",
    )
    parser.value(
        "steps",
        "N",
        "how many tokens a language model writes after the text",
        type=whole,
        default=0,
    )
    parser.value(
        "temperature",
        "T",
        "of the tokens that it draws; 0: always the most probable [%(default)s]",
        type=real,
        default=1.0,
    )
    parser.value("seed", "N", "of the draws [%(default)s]", type=whole, default=0)
    parser.value(
        "top_k",
        "K",
        "draw among the K most probable tokens; 0: among all [%(default)s]",
        type=whole,
        default=0,
    )


def _predict(options: argparse.Namespace) -> int:
    if len(options.dirs) != 1:
        raise UserError(f"predict takes one run directory, got {len(options.dirs)}")
    check_text_or_file("predict", options)
    if options.stream and options.steps:
        raise UserError("--stream and --steps exclude each other")

    from rnnlab.data import files
    from rnnlab.training import predict

    with refusing_in_one_line():
        member = None if options.member == -1 else options.member
        predictor = predict.load(options.dirs[0], member)
        texts = [options.text]
        if options.file is not None:
            texts = predict.asked(predictor, files.read_text(str(files.existing(options.file))))
        if options.stream:
            for text in texts:
                for token, answer in predict.streamed(predictor, text):
                    print(f"{token}\t{answer}", flush=True)
        elif options.steps:
            for text in texts:
                continuation = predict.written(
                    predictor,
                    text,
                    options.steps,
                    options.temperature,
                    options.seed,
                    options.top_k,
                )
                print(text + continuation)
        else:
            print(*predict.answers(predictor, texts), sep="\n")
    return 0
