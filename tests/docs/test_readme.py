"""The READMEs tell the truth: their commands, links and Python, and both languages alike."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.nn import initializers, layers
from tests.docs.markdown import PARTS, program, python

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
PAGES = [ROOT / "docs" / name for name in ("start/first-run.md", "howto/bert.md")]
EXPERIMENTS = {path.stem: path for path in (ROOT / "experiments").rglob("*.py")}


def _planned() -> list[str]:
    """The commands that run an experiment of ours, but for those that need a cluster or a run."""
    texts = [README, CHINESE, *(page.read_text(encoding="utf-8") for page in PAGES)]
    lines = [re.sub(r"\s*#.*", "", line) for text in texts for line in text.splitlines()]
    elsewhere = r"HOST|FILE|pretrained=|mine\.py|--use|--help|sales\.csv|\\$"
    return sorted(
        {line for line in lines if line.startswith("rnnlab run") and not re.search(elsewhere, line)}
    )


# ---- shape -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [README, CHINESE], ids=["English", "Chinese"])
def test_it_is_short(text):
    """Short enough to be read, and wide enough for a terminal; a table's rows are long."""
    lines = text.splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100 and line[0] not in "|!"] == []


@pytest.mark.parametrize("text", [README, CHINESE], ids=["English", "Chinese"])
def test_links_resolve(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (ROOT / target).exists(), target


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_say_the_same(part):
    """The same commands, links and figures: a change of one README is to be made in both."""
    one, other = (PARTS[part](text) for text in (README, CHINESE))
    if part == "links":  # the Chinese one leads to the Chinese page, where there is one
        one.remove("README.zh.md")
        other.remove("README.md")
        for target in other:
            twin = ROOT / re.sub("^docs/(?!zh/)", "docs/zh/", target)
            assert "/zh/" in target or twin == ROOT / target or not twin.is_file(), target
        other = sorted(target.replace("docs/zh/", "docs/") for target in other)
    assert one == other


# ---- commands ----------------------------------------------------------------------------------


def test_there_are_commands_to_plan():
    assert len(_planned()) >= 5


@pytest.mark.parametrize("line", _planned(), ids=lambda line: line[:70])
def test_commands_can_be_planned(line, tmp_path, monkeypatch):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    rows = "\n".join(",".join(str((i * j) % 7) for j in range(1, 9)) for i in range(1, 300))
    (tmp_path / "mine.csv").write_text(rows)
    monkeypatch.chdir(tmp_path)
    args = shlex.split(line)[1:]
    if "--config=bert_pretraining" in args and "task.limit" not in line:
        args.append("--config.task.limit=1200")  # less text to learn pieces of words from
    planned = {"--dry_run", "--dry-run"} & set(args)
    assert cli.main([*args, *([] if planned else ["--dry_run"])]) == 0


def test_results_name_experiments():
    names = re.findall(r"`rnnlab run (\w+)` \|$", README, re.M)
    assert len(names) == 6
    assert set(names) <= EXPERIMENTS.keys()


def test_the_output_shown_is_of_the_main_job():
    """Its claims, word for word; each with the verdict that its file expects."""
    source = EXPERIMENTS["gradient_vanishing"].read_text(encoding="utf-8")
    shown = re.findall(r"^([✓✗]) ([^:\n]+)", README, re.M)
    assert len(shown) == 4
    for mark, statement in shown:
        after = source[source.index(f'"{statement}') :]
        expected = re.search(r'"(holds|refuted)"', after)
        assert expected
        assert (expected[1] == "holds") == (mark == "✓"), statement


def test_ci_runs_the_readme_s_test_command():
    block = re.search(r"<!-- tests -->\n```bash\n(.*?)```", README, re.S)
    assert block
    assert "pytest" in block[1]
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_cell_names_of_configs_build():
    for name in layers.names():
        assert layers.by_name(name, 4, initializers.InitScheme()).output_size in (4, 8)


# ---- Python ------------------------------------------------------------------------------------


def test_python_runs():
    """In both languages, which are one program."""
    assert program(README) == program(CHINESE)
    (code,) = python(README)
    assert 10 <= len([line for line in code.splitlines() if line]) <= 12
    names: dict = {}
    exec(code.replace("(32, 1000, 1)", "(2, 12, 1)"), names)  # only names and shapes matter here
    assert names["ys"].shape == (2, 12, 128)
    for norms in (names["curve"].h, names["curve"].C):
        assert norms.shape == (2, 12)
        assert np.isfinite(norms).all()


# ---- citation ----------------------------------------------------------------------------------


def test_the_citation_is_that_of_the_package():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    fields = dict(re.findall(r"^([\w-]+): (\S.*)$", text, re.M))
    assert fields["version"] == project["version"] == rnnlab.__version__
    assert fields["license"] == project["license"]
    assert re.findall(r"^  - name: (.+)$", text, re.M) == [a["name"] for a in project["authors"]]
    bibtex = (ROOT / "docs/start/cite.md").read_text(encoding="utf-8")
    assert f"title   = {{{fields['title'].strip(chr(34))}}}" in bibtex
    assert f"version = {{{fields['version']}}}" in bibtex
