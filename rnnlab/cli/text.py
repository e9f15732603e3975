"""``rnnlab keywords`` and ``rnnlab spell``: texts, without a run."""

import argparse

from rnnlab.cli.parsing import (
    Commands,
    cache_switch,
    check_text_or_file,
    count,
    path,
    positive,
    refusing_in_one_line,
)
from rnnlab.core.errors import UserError


def add(commands: Commands) -> None:
    """Add ``keywords`` and ``spell``."""
    parser = commands.add(
        "keywords",
        _keywords,
        usage="FILE... [options]",
        summary="print the words that set each text apart, by TF-IDF",
        description="""\
Print the heaviest words of each file by TF-IDF, against the other files; of a single file, those of
each line against the other lines. Each output line has the file, or the line's number, then its
words.""",
    )
    parser.positionals("files", "FILE", "a UTF-8 text")
    parser.value("top", "N", "words per file or line [%(default)s]", type=positive, default=10)
    parser.value(
        "tokenizer",
        "NAME",
        "words, whitespace, characters or chinese [%(default)s]",
        default="words",
    )
    parser.value(
        "idf",
        "NAME",
        "notes (needs three texts or more), smooth, plain or none [%(default)s]",
        default="notes",
    )
    parser = commands.add(
        "spell",
        _spell,
        usage="FILE --text=TEXT | --file=TEXTS [options]",
        summary="repair misspelled words, by FastText",
        description="""\
Repair misspelled words: a word that is not in FILE's vocabulary is replaced by the known word that
is fewest keystrokes away among those with the nearest FastText vectors.""",
    )
    parser.positionals(
        "files",
        "FILE",
        "vectors with sub-words, saved by rnnlab (.safetensors) or fastText (.bin, .bin.gz; a .vec "
        "file has none); or a UTF-8 "
        "text to learn them from",
    )
    parser.value("text", "TEXT", "the text")
    parser.value("file", "TEXTS", "a UTF-8 file with one text per line", type=path)
    parser.value(
        "furthest",
        "N",
        "keystrokes at most; words further away stay unchanged [%(default)s]",
        type=count,
        default=2,
    )
    parser.value(
        "suggest",
        "N",
        "print N suggestions for each unknown word instead [%(default)s]",
        type=count,
        default=0,
    )
    cache_switch(parser)


def _keywords(options: argparse.Namespace) -> int:
    if not options.files:
        raise UserError("keywords takes a file or more, got none")

    from rnnlab.data import files
    from rnnlab.sparse.keywords import keywords
    from rnnlab.text import tokenizers

    with refusing_in_one_line():
        labels = list(options.files)
        texts = [files.read_text(str(files.existing(path))) for path in labels]
        if len(texts) == 1:  # its lines, each by its number
            lines = [(str(n), line) for n, line in enumerate(files.split_lines(texts[0]), 1)]
            lines = [(n, line) for n, line in lines if line.strip()]
            labels, texts = [n for n, _ in lines], [line for _, line in lines]
        # "words" leaves out words of one character, which say little except in Chinese
        tokenizer = None if options.tokenizer == "words" else tokenizers.by_name(options.tokenizer)
        heaviest = keywords(texts, options.top, idf=options.idf, tokenizer=tokenizer)
    for label, weighted_words in zip(labels, heaviest, strict=True):
        print(f"{label}\t{' '.join(word for word, _ in weighted_words)}")
    return 0


def _spell(options: argparse.Namespace) -> int:
    if len(options.files) != 1:
        raise UserError(f"spell takes one file of vectors or text, got {len(options.files)}")
    check_text_or_file("spell", options)

    from rnnlab.core import compilation_cache
    from rnnlab.data import files
    from rnnlab.embeddings import spelling
    from rnnlab.text.tokenizers import Words

    with refusing_in_one_line(), compilation_cache.kept(options.cache):
        texts = [options.text]
        if options.file is not None:
            texts = files.read_lines(options.file)
        vectors = spelling.read(str(files.existing(options.files[0])))
        for text in texts:
            if not options.suggest:
                print(spelling.repair(vectors, text, options.furthest))
                continue
            for word in dict.fromkeys(Words()([text]).lists()[0]):
                if word not in vectors and vectors.has(word):
                    suggestions = spelling.suggestions(vectors, word, options.suggest)
                    print(
                        word,
                        ", ".join(
                            f"{known} ({keystrokes})" for known, keystrokes, _ in suggestions
                        ),
                        sep="\t",
                    )
    return 0
