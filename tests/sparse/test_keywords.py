"""Keywords against loops over the formula, and the command."""

import math
from collections import Counter

import pytest

from rnnlab import cli
from rnnlab.sparse.keywords import keywords
from rnnlab.text.tokenizers import Whitespace

TEXTS = ["the cat sat on the mat the cat", "the dog sat on a rug", "birds sing on the roof"]


@pytest.mark.parametrize("idf", ["notes", "smooth"])
def test_weights_equal_a_loop(idf):
    tokens = [text.split() for text in TEXTS]
    df = Counter(word for own in tokens for word in set(own))
    for own, found in zip(
        tokens, keywords(TEXTS, 50, idf=idf, tokenizer=Whitespace()), strict=True
    ):
        weights = {}
        for word, count in Counter(own).items():
            inverse = math.log(3 / (1 + df[word]))
            if idf == "smooth":
                inverse = math.log(4 / (1 + df[word])) + 1
            weights[word] = count / len(own) * inverse
        above = {word: weight for word, weight in weights.items() if weight > 0}
        assert dict(found) == pytest.approx(above, abs=1e-4)
        assert [weight for _, weight in found] == sorted(dict(found).values(), reverse=True)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="top must be a whole number of at least 1, got 0"):
        keywords(TEXTS, 0)
    with pytest.raises(ValueError, match="idf"):
        keywords(TEXTS, idf="note")


def test_the_command_prints_keywords_and_refuses_bad_arguments(tmp_path, capsys):
    for name, text in zip("abc", TEXTS, strict=True):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in "abc"]
    assert cli.main(["keywords", *files, "--top=2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == files
    assert [row[1].split()[0] for row in rows] == ["cat", "dog", "birds"]
    # one file: a line a document
    (tmp_path / "lines").write_text("\n".join(TEXTS))
    assert cli.main(["keywords", str(tmp_path / "lines"), "--top=1"]) == 0
    assert capsys.readouterr().out.split() == ["1", "cat", "2", "dog", "3", "birds"]
    for arguments, message in (
        ([], "keywords takes a file or more"),
        ([str(tmp_path / "none")], "no file"),
        ([*files, "--tokenizer=word"], "did you mean 'words'"),
        ([*files, "--top=0"], "--top: expected a whole number of at least 1"),
    ):
        assert cli.main(["keywords", *arguments]) == 2
        assert message in capsys.readouterr().err
