"""Spans and F1 against seqeval (conlleval's rules), columns read, the People's Daily."""

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from rnnlab.text import entities

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def drawn(seed, n=200, labels=LABELS):
    """Random sentences of labels, sound or not, as a model without a field gives them."""
    rng = np.random.default_rng(seed)
    return [[str(s) for s in rng.choice(labels, rng.integers(1, 9))] for _ in range(n)]


@pytest.mark.parametrize("labels", [LABELS, [*LABELS, "E-PER", "S-PER", "S-LOC"]])
def test_spans_equal_seqeval(labels):
    for sentence in drawn(0, labels=labels):
        expected = [(first, last + 1, kind) for kind, first, last in get_entities(sentence)]
        assert entities.spans(sentence) == expected


def test_score_equals_seqeval():
    ours, theirs = drawn(1), drawn(1)
    rng = np.random.default_rng(2)
    for sentence in ours:  # some of it right
        sentence[rng.integers(len(sentence))] = "O"
    found = entities.score(ours, theirs)
    assert 0.1 < found.f1 < 0.9
    assert found.f1 == pytest.approx(f1_score(theirs, ours), abs=1e-12)
    assert found.precision == pytest.approx(precision_score(theirs, ours), abs=1e-12)
    assert found.recall == pytest.approx(recall_score(theirs, ours), abs=1e-12)
    assert entities.score([["O"]], [["O"]]).f1 == 0
    with pytest.raises(ValueError, match="a sentence of 2 labels has 1 predicted"):
        entities.score([["O"]], [["O", "O"]])


@pytest.mark.parametrize(
    "labels",
    [
        "I-PER I-PER O I-LOC B-LOC",  # IOB1
        "B-PER I-PER O B-LOC B-LOC",  # IOB2
        "B-PER E-PER O S-LOC S-LOC",  # IOBES
    ],
)
def test_columns_of_any_scheme_become_iob2(tmp_path, labels):
    tokens = ["Ann", "Lee", "saw", "Rome", "Bern"]
    lines = [f"{token}\tNN\t{label}" for token, label in zip(tokens, labels.split(), strict=True)]
    file = tmp_path / "a.conll"
    file.write_text("-DOCSTART- -X- O\n\n" + "\n".join(lines) + "\n\n\nyes\tUH\tO")
    wanted = ("B-PER", "I-PER", "O", "B-LOC", "B-LOC")
    assert entities.read_columns(str(file)) == [(tuple(tokens), wanted), (("yes",), ("O",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a O\nb", r"line 2: expected a token and a label such as B-PER or O, got 'b'"),
        ("a PER", r"line 1: expected a token and a label"),
        ("a N O\n\nNew York N O", r"line 3: expected 3 columns as in the first line of a token"),
        ("a\tO\n\tO", r"line 2: expected a token and a label"),
        ("\n\n", "holds no sentence"),
    ],
)
def test_malformed_column_files_are_refused(tmp_path, content, message):
    file = tmp_path / "a.conll"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        entities.read_columns(str(file))


def test_columns_between_tabs_may_hold_blanks_and_be_empty(tmp_path):
    file = tmp_path / "a.conll"
    file.write_bytes(
        '\ufeffNew York\t\tB-LOC\r\n"\t\tO\r\n\t\r\n'.encode()
        + "\u3000\t\tO\na\u2028b\tN\tO\n\x85\tN\tO\n".encode()
    )
    assert entities.read_columns(str(file)) == [
        (("New York", '"'), ("B-LOC", "O")),
        (("\u3000", "a\u2028b", "\x85"), ("O",) * 3),
    ]


def test_the_peoples_daily():
    found = entities.people_daily()
    assert len(found) == len(set(found))
    assert found[1] == (
        tuple("中共中央总书记、国家主席江泽民"),
        ("B-ORG", "I-ORG", "I-ORG", "I-ORG", *["O"] * 8, "B-PER", "I-PER", "I-PER"),
    )
    people = {
        "".join(s.tokens[i:j])
        for s in found
        for i, j, kind in entities.spans(s.labels)
        if kind == "PER"
    }
    assert {"江泽民", "李鹏", "乔石", "朱镕基", "柴可夫斯基"} <= people
    assert not any("江泽民李" in name for name in people)
    ends = [i for s in found for i, token in enumerate(s.tokens[:-1]) if token in "。！？；"]
    assert not ends


def test_the_peoples_daily_as_text():
    found = entities.people_daily_texts(paragraphs=3)
    first = found[0].split("\n")
    assert len(first) == 3
    assert first[1] == "中共中央总书记、国家主席江泽民"
    assert "".join(found).replace("\n", "").count("江泽民") > 400
    text = "".join(found)
    assert all("".join(sentence.tokens) in text for sentence in entities.people_daily()[:2000])
