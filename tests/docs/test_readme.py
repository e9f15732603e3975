"""The README tells the truth: its equation table, its commands, its links, its Python."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.nn import affine, equations, initializers, layers

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| `(\w+)` \| \[(\w+)\]\((tests/[\w/]+\.py)\) \|$", README, re.M)


def _functions(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _planned() -> list[str]:
    """The commands that run an experiment of ours, but for those that need a cluster or a run."""
    lines = [line.strip() for text in (README, CHINESE) for line in text.splitlines()]
    return sorted(
        {
            line
            for line in lines
            if line.startswith("rnnlab run --config=")
            and not re.search(r"HOST|FILE|pretrained=|mine\.py", line)
        }
    )


def test_the_table_has_every_equation():
    functions = {
        name
        for name, member in vars(equations).items()
        if inspect.isfunction(member) and member.__module__ == equations.__name__
    }
    assert {function for _, function, _, _ in ROWS} == functions | {"layer_norm", "Bidirectional"}
    assert len(ROWS) == 15


@pytest.mark.parametrize(("equation", "function", "test", "file"), ROWS, ids=[r[1] for r in ROWS])
def test_row(equation, function, test, file):
    home = {"Bidirectional": layers, "layer_norm": affine}.get(function, equations)
    first = (inspect.getdoc(getattr(home, function)) or " ").splitlines()[0]
    assert equation in first, f"the docstring of {function} begins with its equation"
    assert test in _functions(file)


def test_every_scheme_is_listed():
    section = README[README.index("## Initialization") : README.index("## Experiments")]
    for name in initializers.SCHEMES:
        assert f"`{name}" in section, name


@pytest.mark.parametrize("text", [README, CHINESE], ids=["English", "Chinese"])
def test_links_resolve(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (ROOT / target).exists(), target


def _commands(text):
    """The lines of code, without their comments."""
    blocks = re.findall(r"```(?:bash|python)\n(.*?)```", text, re.S)
    return [re.sub(r"\s*#.*", "", line) for block in blocks for line in block.splitlines()]


def _names(text):
    """The names in `code` in the text, without the blocks."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    return sorted(re.findall(r"`([^`\n]+)`", prose))


PARTS = {
    "commands": _commands,
    "names": _names,
    "links": lambda text: sorted(re.findall(r"\]\(([^)#]+)\)", text)),
    "numbers": lambda text: sorted(re.findall(r"\d*\.\d+x?|\d+[x%]|10⁻[⁰-⁹·]+", text)),
    "headings": lambda text: re.findall(r"^#+(?= )", text, re.M),
    "tables": lambda text: [line.count(" | ") for line in re.findall(r"^\|.*\|$", text, re.M)],
}


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_say_the_same(part):
    """The same commands, links and figures: a change of one README is to be made in both."""
    one, other = (PARTS[part](text) for text in (README, CHINESE))
    if part == "links":
        one.remove("README.zh.md")
        other.remove("README.md")
    assert one == other


def test_experiments_are_listed():
    for path in (ROOT / "experiments").rglob("*.py"):
        assert f"]({path.relative_to(ROOT).as_posix()})" in README


def _python(text):
    """The Python of a README, block after block."""
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_python_blocks_run():
    """In both languages, which are one program, to the end: the cell in it is trained."""
    blocks = _python(README)
    assert len(blocks) >= 3
    programs = {ast.dump(ast.parse("\n".join(_python(text)))) for text in (README, CHINESE)}
    assert len(programs) == 1
    # smaller, since only the names and shapes are at stake
    code = "\n".join(blocks).replace("(32, 1000, 1)", "(2, 12, 1)")
    code = code.replace(
        "net.init(jax.random.key(0), input_size=1)", "net.init(jax.random.key(0), 1)"
    )
    keep = r"\1\ntrained.append(dict(globals()))"
    code, count = re.subn(r"^(state, progress = rnnlab\.make_train.*)$", keep, code, flags=re.M)
    trained: list[dict] = []
    try:
        exec(compile(code, "README.md", "exec"), {"trained": trained})
    finally:
        initializers.SCHEMES.pop("halves", None)
    assert len(trained) == count == 2
    for names in trained:
        assert names["state"].step == 40
        assert np.isfinite(names["progress"].train_loss).all()
    assert type(trained[-1]["setup"].model.layer.cell).__name__ == "Leaky"
    W = trained[-1]["state"].params["params"]["recurrent"].W_hh
    assert not np.array_equal(W, trained[-1]["params"]["params"]["recurrent"].W_hh)


def test_the_experiment_of_one_file_runs(tmp_path):
    code = re.search(r"```python\n(# mine.py\n.*?)```", README, re.S)
    assert code
    (tmp_path / "mine.py").write_text(code[1], encoding="utf-8")
    table = rnnlab.run(tmp_path / "mine.py", workdir=tmp_path / "run", progress=False).table
    assert len(table) == 6
    (claim,) = rnnlab.load_run(tmp_path / "run").claims
    assert claim.verdict == "holds"


@pytest.mark.parametrize("line", _planned(), ids=lambda line: line[:70])
def test_commands_can_be_planned(line, tmp_path, monkeypatch):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    rows = "\n".join(",".join(str((i * j) % 7) for j in range(1, 9)) for i in range(1, 300))
    (tmp_path / "mine.csv").write_text(rows)
    monkeypatch.chdir(tmp_path)
    args = shlex.split(line, comments=True)[1:]
    if "--config=bert_pretraining" in args and "task.limit" not in line:
        args.append("--config.task.limit=1200")  # less text to learn pieces of words from
    assert cli.main([*args, *([] if "--dry_run" in args else ["--dry_run"])]) == 0


def test_ci_runs_the_readme_s_test_command():
    block = re.search(r"<!-- tests -->\n```bash\n(.*?)```", README, re.S)
    assert block
    assert "pytest" in block[1]
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_cell_names_of_configs_build():
    for name in layers.names():
        assert layers.by_name(name, 4, initializers.InitScheme()).output_size in (4, 8)
