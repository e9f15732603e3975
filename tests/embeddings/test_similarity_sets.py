"""similarity_sets.py: sets of word pairs in the layouts in which they are published."""

import pytest

from rnnlab.embeddings import evaluation

PAIRS = [("tiger", "cat", 7.35), ("book", "paper", 7.46), ("New York", "city", 6.0)]
WORDS = PAIRS[:2]

LAYOUTS = {  # file: its pairs
    "plain": ("tiger\tcat\t7.35\nbook\tpaper\t7.46\nNew York\tcity\t6\n", PAIRS),
    "WordSim-353, combined.tab": (
        "Word 1\tWord 2\tHuman (mean)\ntiger\tcat\t7.35\nbook\tpaper\t7.46\n",
        WORDS,
    ),
    "WordSim-353, combined.csv": (
        "Word 1,Word 2,Human (mean)\r\ntiger,cat,7.35\r\nbook,paper,7.46\r\n",
        WORDS,
    ),
    "WordSim-353, set1.tab": (
        "Word 1\tWord 2\tHuman (mean)\t1\t2\ntiger\tcat\t7.35\t9\t7\nbook\tpaper\t7.46\t8\t8\n",
        WORDS,
    ),
    "SimLex-999": (
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\tAssoc(USF)\n"
        "tiger\tcat\tN\t7.35\t4.1\t0.2\nbook\tpaper\tN\t7.46\t2\t1\n",
        WORDS,
    ),
    "SimVerb-3500": (
        "tiger\tcat\tV\t7.35\tSYNONYMS\nbook\tpaper\tV\t7.46\tNONE\n",
        WORDS,
    ),
    "MEN": ("tiger cat 7.350000\nbook paper 7.460000\n", WORDS),
    "Rare Words": ("tiger\tcat\t7.35\t5\t10\nbook\tpaper\t7.46\t7\t8\n", WORDS),
    "semicolons": ("tiger;cat;7.35\nbook;paper;7.46\n", WORDS),
    "a header of spaces": ("Word 1 Word 2 Human (mean)\ntiger cat 7.35\nbook paper 7.46\n", WORDS),
    "blanks and comments": (
        "\ufeff# of 2002\n\n  \n tiger \t cat\t 7.35\t\n\nbook\tpaper\t7.46\n\n",
        WORDS,
    ),
    "quotes": ('"tiger","cat",7.35\n"New York", city, 6\n', [PAIRS[0], PAIRS[2]]),
    "other columns first": (
        "id,relation,word1,word2,score\n1,is a,tiger,cat,7.35\n2,x,book,paper,7.46\n",
        WORDS,
    ),
    "words that headers have": (
        "first\tword\t3\nterm\tw\t4\n",
        [("first", "word", 3), ("term", "w", 4)],
    ),
    "such words with a tag": (
        "word\tterm\tN\t3\ntiger\tcat\tN\t4\n",
        [("word", "term", 3), ("tiger", "cat", 4)],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout, tmp_path):
    content, pairs = LAYOUTS[layout]
    file = tmp_path / "set"
    file.write_bytes(content.encode())
    assert evaluation.pairs(file) == pairs


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tiger\tcat\tN/A\nbook\tpaper\t7\n", "line 1: word, word and number expected"),
        ("tiger\tcat\t7,35\nbook\tpaper\t7,46\n", "line 1: word, word and number expected"),
        ("tiger\tcat\t7\nbook paper 7\nold\tnew\t1\n", "line 2: .* got 'book paper 7'"),
        ("tiger\tcat\t7\t\nbook\tpaper\t7\t3\n", "line 2: .*as many columns"),
        ("tiger\tcat\t7\nbook\t\t3\n", "line 2: a word is empty"),
        ("tiger\tcat\tinf\n", "line 1: word, word and number expected"),
        ("t\ttiger\tcat\t7.35\n", "line 1: word, word and number expected"),
        ("word1\tword2\tPOS\tx\ntiger\tcat\tN\t3\n", "line 1: the header names no column 'score'"),
        ("Word 1\tWord 2\tHuman (mean)\n", "holds no pair of words"),
        ("# nothing\n\n", "holds no pair of words"),
    ],
)
def test_other_lines_are_refused_by_number(content, words, tmp_path):
    file = tmp_path / "set"
    file.write_text(content)
    with pytest.raises(ValueError, match=words):
        evaluation.pairs(file)
