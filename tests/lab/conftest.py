"""The small experiment of tests/helpers/fake_experiment.py, where plans and runs look for it."""

from pathlib import Path

import pytest

from tests.helpers.fake_experiment import SOURCE


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Path:
    """The experiment, as experiments/fake.py in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    Path("experiments").mkdir()
    path = Path("experiments/fake.py")
    path.write_text(SOURCE)
    return path
