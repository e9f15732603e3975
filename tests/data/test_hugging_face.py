"""Texts and tables through ``datasets``, and the order of examples."""

import socket
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi

from rnnlab.data import hugging_face


@pytest.fixture
def offline(monkeypatch):
    """Any use of the network fails the test."""

    def refused(*arguments, **options):
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture
def answers(monkeypatch):
    """A hub that answers."""
    monkeypatch.setattr(HfApi, "dataset_info", lambda *arguments, **options: None)


ROWS = {"text": ["一 two", "", "three"], "n": [1, 2, 3]}


def write(folder, kind):
    file = folder / f"a{kind}"
    if kind == ".txt":
        file.write_text("\n".join(ROWS["text"]) + "\n", encoding="utf-8")
    elif kind in (".csv", ".tsv"):
        sep = "," if kind == ".csv" else "\t"
        rows = [f'"{text}"{sep}{n}' for text, n in zip(*ROWS.values(), strict=True)]
        file.write_text("\n".join([f"text{sep}n", *rows]) + "\n", encoding="utf-8")
    elif kind == ".parquet":
        with file.open("wb") as out:
            datasets.Dataset.from_dict(ROWS).to_parquet(out)
    else:
        records = [
            f'{{"text": "{text}", "n": {n}}}' for text, n in zip(*ROWS.values(), strict=True)
        ]
        both = "\n".join(records) if kind == ".jsonl" else f"[{', '.join(records)}]"
        file.write_text(both, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("kind", [".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_local_files_are_read_without_the_network_and_memory_mapped(tmp_path, offline, kind):
    file, cache = write(tmp_path, kind), tmp_path / "cache"
    text = hugging_face.load_text(file, cache=str(cache))
    assert text.column_names == ["text"]
    expected = [t or None for t in ROWS["text"]] if kind in (".csv", ".tsv") else ROWS["text"]
    assert text["text"][:] == expected
    (mapped,) = text.cache_files
    assert Path(mapped["filename"]).is_relative_to(cache)
    if kind != ".txt":
        table = hugging_face.load_table(file, cache=str(cache))
        assert table["n"][:] == [1, 2, 3]
        numbers = hugging_face.load_text(file, column="n", cache=str(cache))
        assert numbers.column_names == ["n"]


def test_a_changed_file_is_read_anew(tmp_path, offline):
    file = tmp_path / "a.txt"
    file.write_text("old\n")
    assert hugging_face.load_text(str(file), cache=str(tmp_path / "c"))["text"][:] == ["old"]
    file.write_text("quite new\n")
    assert hugging_face.load_text(str(file), cache=str(tmp_path / "c"))["text"][:] == ["quite new"]


def test_progress_bars_and_logs_are_as_before(tmp_path, offline):
    before = datasets.utils.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    hugging_face.load_text(write(tmp_path, ".txt"), cache=str(tmp_path / "c"))
    with pytest.raises(FileNotFoundError):
        hugging_face.load_text("none.txt")
    after = datasets.utils.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    assert before == after


def test_what_cannot_be_read_is_told_in_one_line(tmp_path, offline):
    def refused(error, words, function, *arguments, **options):
        with pytest.raises(error, match=words) as caught:
            function(*arguments, cache=str(tmp_path / "c"), **options)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def file(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    csv = file("a.csv", b"a,b\n1,2\n")
    refused(ValueError, "expected, got ''", hugging_face.load_text, "")
    for name in ("none.txt", "none.csv", "./none", "/none/at/all", "~/none-at-all", "a/b/c"):
        refused(FileNotFoundError, f"^no file '{name}'$", hugging_face.load_text, name)
        refused(FileNotFoundError, f"^no file '{name}'$", hugging_face.load_table, name)
    refused(ValueError, r"no column 'text', only \['a', 'b'\]", hugging_face.load_text, csv)
    refused(ValueError, "one split 'train', got 'test'", hugging_face.load_table, csv, split="test")
    refused(ValueError, "a table must be one of .csv", hugging_face.load_table, file("a.txt", b"x"))
    refused(ValueError, "is empty", hugging_face.load_text, file("b.txt", b""))
    refused(ValueError, "codec can't decode", hugging_face.load_text, file("c.txt", b"\xe9\xe9\n"))
    refused(
        ValueError,
        "Expected 2 fields",
        hugging_face.load_table,
        file("d.csv", b"a,b\n1,2\n3,4,5\n"),
    )
    refused(ValueError, "cannot be read", hugging_face.load_table, file("e.jsonl", b'{"a":'))
    refused(ValueError, "cannot be read", hugging_face.load_table, file("f.parquet", b"no"))


def refused(*arguments, **options):
    raise socket.gaierror("no network here")


@pytest.fixture
def unreachable(monkeypatch):
    """A machine without a network, and with no time to try again."""
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waits for {seconds} s"))


@pytest.mark.parametrize("name", ["ag_news", "someone/some", "someone/some:big"])
@pytest.mark.parametrize("offline", [False, True], ids=["no network", "HF_HUB_OFFLINE"])
def test_out_of_reach_says_so_at_once(monkeypatch, unreachable, tmp_path, name, offline):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    words = f"no file '{name}', and the hub cannot be reached .* give a local file"
    with pytest.raises(ConnectionError, match=words) as caught:
        hugging_face.load_table(name, cache=str(tmp_path))
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert datasets.config.HF_HUB_OFFLINE == huggingface_hub.constants.HF_HUB_OFFLINE == offline


def test_an_invalid_name_is_refused_without_the_network(unreachable, tmp_path):
    with pytest.raises(ValueError, match="'no name!', split 'train' cannot be loaded: Repo id"):
        hugging_face.load_table("no name!", cache=str(tmp_path))


def test_out_of_reach_the_cache_is_read(unreachable, tmp_path):
    """The cache that load_dataset writes online, written here from files."""
    folder = tmp_path / "someone___some" / "default" / "0.0.0" / ("0" * 40)
    folder.mkdir(parents=True)
    table = datasets.Dataset.from_dict(ROWS)
    table.save_to_disk(str(tmp_path / "saved"))
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    arrow.rename(folder / "some-train.arrow")
    info = datasets.DatasetInfo(
        features=table.features,
        builder_name="parquet",
        dataset_name="some",
        config_name="default",
        version="0.0.0",
        splits={"train": {"name": "train", "num_bytes": 1, "num_examples": 3}},
    )
    info.write_to_directory(str(folder))
    found = hugging_face.load_table("someone/some", cache=str(tmp_path))
    assert found.to_dict() == ROWS
    assert Path(found.cache_files[0]["filename"]).parent == folder


@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
        (DatasetNotFoundError("x"), FileNotFoundError, "no public data set"),
        (ConnectionError("x"), ConnectionError, "cannot be reached"),
        (ValueError('Unknown split "dev".\nmore'), ValueError, r'split \'dev\'.*split "dev"\.$'),
    ],
)
def test_a_hub_s_errors_are_ours(monkeypatch, answers, raised, error, words):
    def load(*arguments, **options):
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(error, match=words) as caught:
        hugging_face.load_table("someone/some", split="dev")
    assert type(caught.value) is error
    assert "someone/some" in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_hub_s_name_may_carry_a_configuration(monkeypatch, answers):
    asked = []

    def load(*arguments, **options):
        asked.append((arguments, options["split"]))
        return datasets.Dataset.from_dict(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert hugging_face.load_text("a/b:c", split="test")["text"][:] == ROWS["text"]
    assert hugging_face.load_table("plain")["n"][:] == [1, 2, 3]
    assert asked == [(("a/b", "c"), "test"), (("plain", None), "train")]


def test_datasets_is_imported_when_used_and_not_before():
    code = (
        "import sys, rnnlab.data.hugging_face, rnnlab.tasks.characters, rnnlab.tasks.pixel_digits\n"
        "import rnnlab.tasks.forecasting\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not {"datasets", "huggingface_hub", "sklearn"} & set(done.stdout.split())
