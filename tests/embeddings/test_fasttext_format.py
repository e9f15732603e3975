"""fasttext_format.py: models of the C++ tool give its own vectors, and gensim's.

The models and what the C++ tool says of them were made by fasttext_script.py.
"""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from gensim.models import FastText
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model
from gensim.test.utils import datapath

from rnnlab.embeddings import fasttext_format

FOLDER = Path(__file__).parent / "fasttext_models"
SAID = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
ARGUMENTS = 4 + 4 + 12 * 4 + 8  # bytes before the dictionary


@pytest.mark.parametrize("name", ["skipgram", "cbow", "supervised"])
def test_vectors_are_those_of_the_tool(name):
    v = fasttext_format.read_bin(FOLDER / f"{name}.bin")
    unseen = [word for word in SAID[name] if word not in v]
    assert len(unseen) == 11
    assert set(v.words) <= set(SAID[name])
    for word, said in SAID[name].items():
        np.testing.assert_allclose(v[word], said, atol=1e-6 * np.abs(said).max())
    assert v.words[0] == "</s>"
    assert v.counts[0] == 199
    assert (v.counts[:-1] >= v.counts[1:]).all()


def test_a_model_without_ngrams_has_no_vectors_for_unseen_words():
    v = fasttext_format.read_bin(FOLDER / "words.bin")
    for word in v.words:
        np.testing.assert_allclose(v[word], SAID["words"][word], atol=1e-7)
    assert v.subwords is None
    with pytest.raises(KeyError, match="no vector for 'foxes'"):
        v["foxes"]


@pytest.mark.parametrize(
    "file", ["lee_fasttext_new.bin", "crime-and-punishment.bin", "toy-model.bin", "skipgram"]
)
def test_vectors_are_gensims(file):
    path = str(FOLDER / "skipgram.bin") if file == "skipgram" else datapath(file)
    ours, theirs = fasttext_format.read_bin(path), load_facebook_vectors(path)
    assert list(ours.words) == theirs.index_to_key
    for word in [*ours.words, "unseenword", "naïveté", "词词"]:
        if word != "</s>":  # which has n-grams in gensim, and none in the C++ tool
            np.testing.assert_allclose(ours[word], theirs[word], atol=1e-6)
    assert ours.counts.tolist() == [theirs.get_vecattr(w, "count") for w in ours.words]


def test_models_that_gensim_writes_are_read(tmp_path):
    texts = [["one", "two", "three", "naïve"] * 5] * 20
    model = FastText(texts, vector_size=5, min_count=1, bucket=50, epochs=1, workers=1, seed=1)
    save_facebook_model(model, str(tmp_path / "m.bin"))
    v = fasttext_format.read_bin(tmp_path / "m.bin")
    for word in ["one", "naïve", "ones", "nine"]:
        np.testing.assert_allclose(v[word], model.wv[word], atol=1e-6)


def test_vec_files_are_read():
    v = fasttext_format.read_vec(datapath("lee_fasttext.vec"))
    assert len(v) == 1762
    assert v.dimension == 10
    assert v.words[0] == "the"


def test_compressed_models_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fasttext_format, "_AT_ONCE", 1000)  # several reads
    whole, path = (FOLDER / "skipgram.bin").read_bytes(), tmp_path / "m.bin.gz"
    path.write_bytes(gzip.compress(whole))
    ours, plain = fasttext_format.read_bin(path), fasttext_format.read_bin(FOLDER / "skipgram.bin")
    assert ours.words == plain.words
    np.testing.assert_array_equal(ours.matrix, plain.matrix)
    np.testing.assert_array_equal(ours["foxes"], plain["foxes"])
    packed = path.read_bytes()
    for content in (packed[: len(packed) // 2], gzip.compress(whole[: len(whole) // 2])):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"m\.bin\.gz is cut off"):
            fasttext_format.read_bin(path)


def test_words_made_equal_by_decoding_are_kept_once(tmp_path):
    data, path = (FOLDER / "skipgram.bin").read_bytes(), tmp_path / "m.bin"
    plain = fasttext_format.read_bin(FOLDER / "skipgram.bin")
    a, b = [word for word in plain.words if len(word) == 3][:2]
    path.write_bytes(
        data.replace(a.encode() + b"\0", b"\xe9at\0").replace(b.encode() + b"\0", b"\xe8at\0")
    )
    with pytest.warns(UserWarning, match=rf"{path}, word \d+: the word .*at' occurs again"):
        v = fasttext_format.read_bin(path, errors="replace")
    assert len(v) == len(plain) - 1 == len(v.counts) == len(v.subwords.word_rows)
    last = plain.words[-1]
    np.testing.assert_array_equal(v[last], plain[last])


# ---- what is refused ---------------------------------------------------------------------------


def test_quantized_models_are_refused_by_name():
    with pytest.raises(ValueError, match=r"quantized\.ftz is a quantized model"):
        fasttext_format.read_bin(FOLDER / "quantized.ftz")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    whole, path = (FOLDER / "skipgram.bin").read_bytes(), tmp_path / "m.bin"
    for cut in [*range(0, 400, 7), 1000, 3000, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"is cut off: \d+ bytes expected for .*, got \d+"):
            fasttext_format.read_bin(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="1 bytes are left after the model"):
        fasttext_format.read_bin(path)


@pytest.mark.parametrize(
    ("place", "form", "value", "words"),
    [
        (0, "<i", 5, "is no fastText model: it begins with 5, expected 793712314"),
        (4, "<i", 13, r"version 13 .* expected one of \(11, 12\)"),
        (8, "<i", -6, "malformed: dim = -6"),
        (8, "<i", 7, r"the input matrix is \(175, 6\), expected \(175, 7\)"),
        (40, "<i", 10**9, r"the input matrix is \(175, 6\), expected \(1000000025, 6\)"),
        (ARGUMENTS, "<i", 99, "a dictionary of 99 entries, 25 words and 0 labels"),
        (ARGUMENTS + 20, "<q", 3, "is a pruned model"),
        (ARGUMENTS + 41, "<b", 1, "entry 1 of the dictionary, b'</s>', is of type 1"),
    ],
)
def test_a_malformed_file_is_refused(place, form, value, words, tmp_path):
    data, path = bytearray((FOLDER / "skipgram.bin").read_bytes()), tmp_path / "m.bin"
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words):
        fasttext_format.read_bin(path)


def test_no_memory_is_asked_for_what_a_file_cannot_hold(tmp_path):
    data, path = bytearray((FOLDER / "words.bin").read_bytes()), tmp_path / "m.bin"
    matrix = data.index(struct.pack("<2q", 25, 6))
    struct.pack_into("<2q", data, matrix, 25, 2**50)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"is cut off: .* for the input matrix"):
        fasttext_format.read_bin(path)


def test_old_files_and_no_files_are_refused():
    with pytest.raises(ValueError, match="is no fastText model"):
        fasttext_format.read_bin(datapath("lee_fasttext.bin"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fasttext_format.read_bin("nowhere")


def test_words_that_are_not_utf8_can_be_kept(tmp_path):
    data, path = (FOLDER / "skipgram.bin").read_bytes(), tmp_path / "m.bin"
    path.write_bytes(data.replace("café".encode(), b"caf\xe9\xe9"))
    with pytest.raises(ValueError, match=r"b'caf\\xe9\\xe9' is not UTF-8"):
        fasttext_format.read_bin(path)
    v = fasttext_format.read_bin(path, errors="surrogateescape")
    assert v["caf\udce9\udce9"].shape == (6,)
