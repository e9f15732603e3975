"""A text of a few lines for the tasks that read characters."""

import pytest

from tests.helpers.small_data import RHYME


@pytest.fixture
def rhyme(tmp_path):
    file = tmp_path / "rhyme.txt"
    file.write_text(RHYME, encoding="utf-8")
    return str(file)
