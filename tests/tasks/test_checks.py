"""What tasks leave out of a user's texts is said, once, with its number."""

import warnings

import pytest

from rnnlab.bert.finetuning import TagPieces
from rnnlab.core.notices import LeftOut
from rnnlab.tasks.characters import Characters, _encoded
from rnnlab.tasks.checks import few_of
from rnnlab.tasks.sentiment import Sentiment
from rnnlab.tasks.tagging import Tagging
from rnnlab.tasks.translation import Translation


def said(task, read="load"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(task, read)()
    assert all(issubclass(warning.category, LeftOut) for warning in caught)
    return [str(warning.message) for warning in caught]


def write(folder, content, name="a.txt"):
    (folder / name).write_text(content)
    return str(folder / name)


# sentences of 1, 2 and 3 tokens, the second twice
COLUMNS = "a O\n\na O\nb O\n\na O\nb O\n\na B-PER\nb O\nc O\n"
OTHERS = COLUMNS.replace("a ", "x ")


def test_tagging(tmp_path):
    path = write(tmp_path, COLUMNS)
    test = write(tmp_path, OTHERS, "b.txt")
    whole = Tagging(path=path, test_path=test, max_length=3, min_count=1)
    assert said(whole) == []
    assert said(Tagging(path=path, test_path=test, max_length=2, min_count=1, limit=4)) == [
        "1 of 4 sentences to learn from are cut to task.max_length=2: 1 of 8 tokens are left out",
        "1 of 4 sentences held out are cut to task.max_length=2: 1 of 8 tokens are left out",
    ]
    assert said(Tagging(path=path, test_share=0.3, min_count=1, limit=1)) == [
        f"{path}: left out 1 of 4 sentences, repeated ones",
        "1 of 2 sentences to learn from are used (task.limit)",
    ]


def test_tagging_in_pieces(tmp_path):
    pytest.importorskip("tokenizers")
    path = write(tmp_path, COLUMNS)
    test = write(tmp_path, OTHERS, "b.txt")
    options = {"path": path, "test_path": test, "min_count": 1, "vocab_size": 20}
    assert said(TagPieces(max_length=5, **options)) == []
    assert said(TagPieces(max_length=4, **options)) == [
        f"1 of 8 words of the sentences {part} are left out, past the 4 pieces of task.max_length"
        for part in ("to learn from", "held out")
    ]


def test_sentiment(tmp_path):
    lines = [f"{label}\t{text}" for label in ("good", "bad") for text in ("ab", "abc", "abcd")]
    path = write(tmp_path, "\n".join(f"{line}{i}" for i, line in enumerate(lines)))
    test = write(tmp_path, "good\txyz1\nbad\txyza2\n", "b.txt")
    options = {"path": path, "test_path": test, "min_count": 1}
    assert said(Sentiment(max_length=5, **options)) == []
    found = said(Sentiment(max_length=4, limit=5, **options))
    assert found == [
        "5 of 6 texts to learn from are used (task.limit)",
        "2 of 6 texts to learn from are cut to task.max_length=4: 2 of 24 tokens are left out",
        "1 of 2 texts held out are cut to task.max_length=4: 1 of 9 tokens are left out",
    ]
    both = write(tmp_path, "good\tab0\nbad\txyz\n", "c.txt")
    assert said(Sentiment(path=path, test_path=both, min_count=1)) == [
        f"{path}: left out 1 of 6 texts, which are held out in {both}"
    ]
    assert said(Sentiment(path=path, limit=99, min_count=1)) == [
        "task.limit=99 is more than the 4 texts to learn from: all are used"
    ]


def test_translation(tmp_path):
    path = write(tmp_path, "a\tx\tme\na\ty\tyou\nb c\tx\tme\nd\tx\tme\ne\tz\tme\n")
    test = write(tmp_path, "d\tx\n", "b.txt")
    assert said(Translation(path=path, test_path=test, max_length=1, limit=1)) == [
        f"{path}: set aside column 3",
        f"{path}: left out 1 of 5 pairs, of a source seen before",
        f"{path}: left out 1 of 4 pairs, with more than 1 tokens on a side (task.max_length)",
        f"{path}: left out 1 of 3 pairs, whose source is held out in {test}",
        "1 of 2 pairs to learn from are used (task.limit)",
    ]
    ragged = write(tmp_path, "a\tx\nb\tx\tme\n", "c.txt")
    with pytest.raises(ValueError, match="line 2: expected 2 columns as in the first pair, got 3"):
        Translation(path=ragged).load()


def test_characters(tmp_path):
    path = write(tmp_path, "abab" * 20)
    assert said(Characters(path, batch_size=2)) == []
    assert said(Characters(path, batch_size=2, limit=60)) == [
        "60 of 80 characters of the text are used (task.limit)"
    ]


def test_notices_are_one_line_and_said_once(tmp_path, monkeypatch):
    path, shown = write(tmp_path, "abab" * 21), []
    with warnings.catch_warnings():
        warnings.simplefilter("default", LeftOut)
        monkeypatch.setattr(
            warnings, "showwarning", lambda *a: shown.append(warnings.formatwarning(*a[:4]))
        )
        for limit in (60, 61, 60):
            _encoded.cache_clear()
            Characters(path, batch_size=2, limit=limit).load()
    assert shown == [
        f"rnnlab: {limit} of 84 characters of the text are used (task.limit)\n"
        for limit in (60, 61)
    ]


def test_few_of_a_small_file(recwarn):
    assert few_of(10, 11, "run.few_labels", "texts") == 10
    assert not recwarn.list
    with pytest.warns(LeftOut, match=r"run\.few_labels=11 is not fewer than the 11 texts: 2 are"):
        assert few_of(11, 11, "run.few_labels", "texts") == 2
    with pytest.warns(LeftOut, match="1 are used"):
        assert few_of(9, 2, "run.few_labels", "texts") == 1
    with pytest.raises(ValueError, match=r"run\.few_labels: fewer than all texts needs 2 or more"):
        few_of(9, 1, "run.few_labels", "texts")
