"""The .ts format: equal to sktime's own loader, and what does not fit is refused by its line."""

from pathlib import Path

import numpy as np
import pytest
import sktime
from sktime.datasets import load_from_tsfile

from rnnlab.data import series_files

FOLDER = Path(sktime.__file__).parent / "datasets" / "data"
GOOD = """# a comment
% another
@problemName Two
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true left right

@data
1.5,2, -3e-1:0.1,0.2,0.3:right
7:8:left
"""


def test_a_file_by_hand(tmp_path):
    file = tmp_path / "good.ts"
    file.write_text(GOOD)
    series, labels, classes = series_files.read(file)
    assert [values.tolist() for values in series] == [[[1.5, 0.1], [2, 0.2], [-0.3, 0.3]], [[7, 8]]]
    assert (labels.tolist(), classes) == ([1, 0], ("left", "right"))


@pytest.mark.parametrize("name", ["JapaneseVowels", "ItalyPowerDemand"])
def test_equals_sktime(name):
    """Ragged with 12 channels; and one channel."""
    file = FOLDER / name / f"{name}_TRAIN.ts"
    ours = series_files.read(file)
    frame, labels = load_from_tsfile(str(file), return_data_type="nested_univ")
    assert [ours.classes[i] for i in ours.labels] == list(labels)
    assert len(ours.series) == len(frame)
    for values, (_, row) in zip(ours.series, frame.iterrows(), strict=True):
        assert np.array_equal(values, np.stack([channel.to_numpy() for channel in row], axis=1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@data\n", "", r"line 11: expected a line that begins with @ before @data, got '1\.5,2"),
        (GOOD[GOOD.index("@data") :], "", "is not a .ts file: it has no line @data"),
        (GOOD[GOOD.index("1.5") :], "", "has no series after @data"),
        ("@timeStamps false", "@timeStamps true", "@timestamps must be false, got true"),
        ("@missing false", "@missing", "@missing must be false, got nothing"),
        ("@problemName Two", "@targetLabel true", "@targetlabel must be false, got true"),
        ("true left right", "false", "@classLabel must be true, .* got false"),
        ("left right", "right right", "distinct classes, got true right right"),
        ("@classLabel true left right\n", "", "@classLabel must be true, .* got nothing"),
        ("@dimensions 2", "@dimensions 3", "@dimensions 3, but the first series has 2 channels"),
        (
            "0.1,0.2,0.3:right",
            "0.1,0.2,0.3:up",
            "line 12: a class must be one of left, right, got 'up'",
        ),
        ("7:8:left", "7:left", "line 13: expected 2 channels separated by colons, got 1"),
        ("7:8:left", "7,1:8:left", "line 13: channel 2 has 1 steps, the first has 2"),
        ("0.2,", "?,", r"line 12, channel 2, step 2: expected a finite number, got '\?'"),
        ("0.2,", "inf,", "line 12, channel 2, step 2: expected a finite number, got 'inf'"),
        ("@equalLength false", "@equalLength true", "expected 3 steps; series 2 has 1"),
        ("@equalLength false", "@equalLength true\n@seriesLength 4", "4 steps; series 1 has 3"),
    ],
)
def test_malformed_files_are_refused_by_line(old, new, message, tmp_path):
    assert old in GOOD
    file = tmp_path / "bad.ts"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        series_files.read(file)
    assert "bad.ts" in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        series_files.read(tmp_path / "nowhere.ts")
    (tmp_path / "b.ts").write_bytes(b"@data\n\xff")
    with pytest.raises(ValueError, match="is not UTF-8"):
        series_files.read(tmp_path / "b.ts")


def test_one_channel_needs_no_dimensions(tmp_path):
    file = tmp_path / "one.ts"
    file.write_text("@univariate true\n@classLabel true 0 1\n@data\n1,2:0\n3,4:1\n")
    assert series_files.read(file).series[1].tolist() == [[3], [4]]
    file.write_text(file.read_text().replace("1,2:0", "1,2:1,2:0"))
    with pytest.raises(ValueError, match="@dimensions 1, but the first series has 2 channels"):
        series_files.read(file)
