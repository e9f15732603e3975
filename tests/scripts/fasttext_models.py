"""Make the small models of tests/embeddings/fasttext_models with the C++ fastText.

    pip install fasttext-wheel==0.9.2    # the original; Python 3.11 or 3.12
    python tests/scripts/fasttext_models.py

Writes NAME.bin (and one quantized .ftz) and vectors.json: {NAME: {word: its vector}}, for words
of the vocabulary and for unseen ones. test_convert_fasttext.py reads them; training is not
repeatable to the bit with several threads, so that models and vectors are made in one go.
"""

import json
import random
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "embeddings" / "fasttext_models"
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "naïve",
    "café",
    "über",
    "Straße",
    "词",
    "词向量",
    "中文",
    "слово",
    "mot",
    "été",
    "l'été",
    "I.B.M.",
    "𝄞music",
    "a",
    "where",
    "there",
]
UNSEEN = [
    "foxes",
    "brwon",
    "quickly",
    "cafés",
    "ÜBER",
    "词典",
    "中",
    "словами",
    "x",
    "𝄞",
    "wherever",
]
COMMON = {"dim": 6, "minCount": 1, "bucket": 150, "epoch": 5, "thread": 12, "verbose": 0}
MODELS = {
    "skipgram": {"model": "skipgram", "minn": 3, "maxn": 6},
    "cbow": {"model": "cbow", "minn": 1, "maxn": 3, "loss": "hs"},
    "words": {"model": "skipgram", "minn": 0, "maxn": 0},
}


def main() -> None:
    """Train, ask and write."""
    import fasttext

    random.seed(0)
    lines = [" ".join(random.choices(WORDS, k=8)) for _ in range(200)]
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("\n".join(lines), encoding="utf-8")
        for name, options in MODELS.items():
            model = fasttext.train_unsupervised(str(text), **COMMON | options)
            said[name] = _write(model, name)
        text.write_text(
            "\n".join(f"__label__{'ab'[len(line) % 2]} {line}" for line in lines),
            encoding="utf-8",
        )
        model = fasttext.train_supervised(
            str(text), **COMMON | {"minn": 2, "maxn": 4, "bucket": 300}
        )
        said["supervised"] = _write(model, "supervised")
        model.quantize(input=str(text), dsub=2)
        model.save_model(str(FOLDER / "quantized.ftz"))
    (FOLDER / "vectors.json").write_text(
        json.dumps(said, ensure_ascii=False, indent=0), encoding="utf-8"
    )


def _write(model, name):
    model.save_model(str(FOLDER / f"{name}.bin"))
    words = [*model.get_words(), *UNSEEN]
    return {word: [round(float(x), 9) for x in model.get_word_vector(word)] for word in words}


if __name__ == "__main__":
    main()
