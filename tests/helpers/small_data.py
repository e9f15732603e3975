"""Shared by the tests of what a run stores: a small data set of each kind, and ways to spoil it."""

import importlib
from pathlib import Path

RHYME = "Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe 猫;\n" * 8
TEXTS = {  # task: texts that a trained member is asked
    "tagging": ["ann saw rome", "nan xyz saw ann lee"],
    "sentiment": ["good film nan", "a bad one"],
    "characters": ["the cat", "a mat sat"],
    "translation": ["a b", "c nan q"],
    "series_classes": ["1,2,3:4,5,7", "3,1:2,2"],
    "forecasting": ["3 4 5.5", "1"],
}
OPTIONS = {
    "tagging": {"max_length": 5, "min_count": 1, "embedding_size": 3, "test_share": 0.5},
    "sentiment": {
        "tokenizer_name": "words",
        "max_length": 6,
        "min_count": 1,
        "embedding_size": 3,
        "test_share": 0.4,
    },
    "characters": {"batch_size": 2},
    "translation": {"max_length": 4, "embedding_size": 3, "test_share": 0.5},
    "series_classes": {"test_share": 0.5},
    "forecasting": {"source": "csv", "window": 3},
}
MODULES = ("tagging", "sentiment", "reviews", "characters", "translation", "series_classes")


def text_of(kind: str, other: bool = False) -> str:
    """Return a data set; ``other``: with more words, labels in another order, another scale."""
    match kind:
        case "tagging":
            rows = ["ann B-PER\nsaw O\nrome B-LOC\n", "nan O\nlee B-PER\nsaw O\n"]
            more = ["aaa B-ART\nzoo O\n", "xyz B-GEO\n"]
            return "\n".join([*more * 3, *rows[::-1], *rows] if other else rows * 2)
        case "sentiment":
            rows = ["good\ta good film", "bad\tnan is bad", "good\tgood one", "bad\ta bad one"]
            more = ["awful\tan awful film now", "awful\tawful now"]
            return "\n".join([*more, *rows[::-1], *rows] if other else rows * 2) + "\n"
        case "characters":
            return ("A dog ran. " if other else "the cat sat on a mat. ") * 9
        case "translation":
            rows = ["a b\tx y", "c nan\ty", "b\tz x", "a\tnan"]
            return "\n".join([*["q r\tw v"] * 2, *rows[::-1]] if other else rows) + "\n"
        case "series_classes":
            names = "zig yes no" if other else "yes no"
            rows = [f"{i},2,{3 * i}:1,{i},2:{('yes', 'no')[i % 2]}" for i in range(8)]
            more = ["50,60,70,80,90:1,2,3,4,50:zig"] * 3 if other else []
            return f"@classLabel true {names}\n@data\n" + "\n".join(more + rows) + "\n"
        case "forecasting":
            values = [i % 7 + (100 * i if other else 0) for i in range(40)]
            return "\n".join(["x", *map(str, values)]) + "\n"
    raise ValueError(kind)


def write(kind: str, folder: Path, other: bool = False) -> Path:
    """Write a data set and return its path."""
    ending = {"forecasting": "csv", "series_classes": "ts", "tagging": "conll"}.get(kind, "txt")
    path = folder / f"{kind}.{ending}"
    path.write_text(text_of(kind, other))
    return path


def task_group(kind: str, path: Path) -> dict[str, object]:
    """Return the ``task`` group of a config that reads a data set."""
    return {"name": kind, "path": str(path), **OPTIONS[kind]}


def forget() -> None:
    """Empty the caches of what was read, as a new process has them."""
    for name in [*(f"rnnlab.tasks.{m}" for m in (*MODULES, "forecasting"))]:
        for value in vars(importlib.import_module(name)).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
