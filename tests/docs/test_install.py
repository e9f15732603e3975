"""docs/howto/install.md and the extras of pyproject.toml say the same."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/install.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_AUTHORS = {"docs", "test"}


def test_all_is_every_extra_for_users():
    (line,) = EXTRAS["all"]
    named = set(re.fullmatch(r"rnnlab\[([a-z,]+)\]", line)[1].split(","))  # type: ignore[index]
    assert named == EXTRAS.keys() - FOR_AUTHORS - {"all", "gpu"}


def test_the_page_has_a_row_per_extra():
    rows = re.findall(r"^\| .+? \| `pip install -e '\.\[(\w+)\]'` \|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(EXTRAS.keys() - {"all"})
    assert set(rows[-3:]) == FOR_AUTHORS | {"gpu"}


def test_tensorboard_brings_what_shows_its_files():
    names = {re.split(r"[>=<\[]", line)[0] for line in EXTRAS["tensorboard"]}
    assert names == {"tensorboardX", "tensorboard"}
