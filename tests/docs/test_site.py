"""The site: what it collects, cheaply; .ci/run builds it and checks the built pages."""

import ast
import importlib
import inspect
import json
import re
import tomllib
from pathlib import Path

import docstrings
import gallery
import pages
import pytest
import reference
from PIL import Image

from rnnlab.nn import initializers
from rnnlab.tasks import registry
from tests.scripts import check_site

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXPERIMENTS = {path.stem for path in (ROOT / "experiments").glob("*/*.py")}
GENERATED = {"reference/cli.md", "reference/config-keys.md", "reference/changelog.md"}
GENERATED |= {"gallery/index.md", "zh/gallery/index.md"}
PAGES = sorted(DOCS.rglob("*.md"))


# ---- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_links_resolve(path):
    """To a page that is there or generated; one to another file is refused when it is moved."""
    name = path.relative_to(DOCS).as_posix()
    moved = pages.Links(ROOT).moved(path.read_text(encoding="utf-8"), f"docs/{name}", name)
    for target in re.findall(r"\]\(([^()\s#]+)", re.sub(r"```.*?```", "", moved, flags=re.S)):
        if "://" in target:
            continue
        place = (path.parent / target).resolve().relative_to(DOCS).as_posix()
        folder, _, file = place.rpartition("/")
        generated = (
            place in GENERATED
            or folder.startswith(("tests", "reference/api", "tutorials"))
            or place == "contributing.md"
            or (folder == "gallery" and file[:-3] in EXPERIMENTS)
        )
        assert generated or (DOCS / place).is_file(), target


def _listed(page):
    """The entries of a page's tables of contents."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.split() if not line.startswith(":")]


FOLDERS = ["howto", "start", "concepts", "reference"]


@pytest.mark.parametrize("folder", [*FOLDERS, "zh/howto", "zh/start", "zh/concepts"])
def test_every_page_is_reached_from_its_folder_s_first(folder):
    index = DOCS / folder / "index.md"
    own = {path.stem for path in (DOCS / folder).glob("*.md")} - {"index", "install"}
    assert own <= set(_listed(index))
    linked = re.findall(r"\]\(([\w-]+)\.md\)", index.read_text(encoding="utf-8"))
    assert own <= set(linked)


def test_every_notebook_is_a_tutorial():
    stems = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert stems == set(_listed(DOCS / "tutorials/index.md"))


def test_names_that_pages_refer_to_exist():
    """Sphinx leaves a role without a target as it is, and says nothing."""
    found = set()
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"\{py:\w+\}`(?:[^`<]*<)?([\w.]+)>?`", text))
    assert len(found) > 20
    for name in found:
        if not _is_module(name):
            module, _, member = name.rpartition(".")
            assert hasattr(importlib.import_module(module), member), name
            assert getattr(importlib.import_module(module), member).__module__ == module, name


def _is_module(name):
    path = ROOT / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _plain(latex):
    """An equation as docstrings write it, without blanks."""
    for tex, plain in {
        r"\\sqrt\{([^{}]+)\}": r"√(\1)",
        r"\\dfrac\{([^{}]+)\}\{([^{}]+)\}": r"(\1)/\2",
        r"\\mathrm\{(\w+)\}": r"\1",
        r"\\overrightarrow\{h\}": "h→",
        r"\\overleftarrow\{h\}": "h←",
        r"\\tilde (\w)": "\\1\u0303",
        r"\\odot": "*",
        r"\\cdot": "·",
        r"\\sigma": "σ",
        r"\\mu": "μ",
        r"\\varepsilon": "ε",
        r"\\tanh": "tanh",
        r"\^2": "²",
        "-": "−",
        r"_\{(\w+)\}": r"_\1",
        r"[$ ]": "",
    }.items():
        latex = re.sub(tex, plain, latex)
    return latex


@pytest.mark.parametrize("language", ["", "zh/"])
def test_the_concepts_have_every_equation(language):
    """A row per function of equations.py, with its docstring's equation and its test."""
    page = DOCS / language / "concepts/equations.md"
    text = page.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\$.+\$) \| \{py:\w+\}`(\w+) <rnnlab\.([\w.]+)\.\2>` \| \[(\w+)\]\((\S+)\) \|$",
        text,
        re.M,
    )
    tree = ast.parse((ROOT / "rnnlab/nn/equations.py").read_text(encoding="utf-8"))
    public = {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"}
    assert {name for _, name, home, _, _ in rows if home == "nn.equations"} == public
    assert len(rows) == len(public) + 2
    for equation, name, home, test, file in rows:
        shown = getattr(importlib.import_module(f"rnnlab.{home}"), name)
        first = (inspect.getdoc(shown) or " ").splitlines()[0]
        assert _plain(equation) in first.replace(" ", "")
        assert test == f"test_{name.lower()}"
        assert f"def {test}(" in (page.parent / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["", "zh/"])
def test_the_concepts_have_every_scheme(language):
    text = (DOCS / language / "concepts/initialization.md").read_text(encoding="utf-8")
    for name in initializers.SCHEMES:
        assert f"`{name}" in text, name


def test_the_reference_has_every_experiment_and_task():
    text = (DOCS / "reference/experiments.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(\S+/(\w+)\.py\) \| \S+", text, re.M)
    assert sorted(rows) == sorted((name, name) for name in EXPERIMENTS)
    listed = re.findall(
        r"^\| (`\w+`.*?) \|", (DOCS / "reference/tasks.md").read_text("utf-8"), re.M
    )
    shipped = [name for name, home in registry.TASKS.items() if isinstance(home, str)]
    assert sorted(re.findall(r"`(\w+)`", " ".join(listed))) == sorted(shipped)


def test_links_become_those_of_the_site():
    links = pages.Links(ROOT)
    text = (
        "[a](../../experiments/learning/chrono.py) [b](../claims.md#x) [c](https://d.e/f.py)\n"
        "```text\n[d](../none.py)\n```\n[e](../../CHANGELOG.md) [f](#here)\n"
        "[test_rnn_hidden](../../tests/nn/test_equations.py) ![g](../../notebooks/gradients.png)"
    )
    assert links.moved(text, "docs/howto/x.md", "howto/x.md") == (
        "[a](../gallery/chrono.md) [b](../claims.md#x) [c](https://d.e/f.py)\n"
        "```text\n[d](../none.py)\n```\n[e](../reference/changelog.md) [f](#here)\n"
        "[test_rnn_hidden](../tests/nn/test_equations.md#test_rnn_hidden) "
        "![g](../tutorials/gradients.png)"
    )
    (page,) = links.cited_pages().items()
    assert page[0] == "tests/nn/test_equations.md"
    assert "## test_rnn_hidden\n\n````python\n" in page[1]
    assert "def test_rnn_hidden(" in page[1]
    assert page[1].count("## ") == 1
    with pytest.raises(ValueError, match=r"docs/x.md links to \.\./none\.py, which is not there"):
        links.moved("[a](../none.py)", "docs/x.md", "x.md")


def test_pages_that_did_not_change_keep_their_time(tmp_path):
    pages.write({"a/b.md": "one", "c.md": b"two"}, tmp_path)
    before = (tmp_path / "c.md").stat().st_mtime_ns
    pages.write({"c.md": "two", "d.md": "three"}, tmp_path)
    assert (tmp_path / "c.md").stat().st_mtime_ns == before
    assert {p.name for p in tmp_path.rglob("*.md")} == {"c.md", "d.md"}


# ---- reference ---------------------------------------------------------------------------------


def test_the_extra_has_what_the_site_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {re.split(r"[>=<]", line)[0] for line in project["optional-dependencies"]["docs"]}
    (listed,) = re.findall(r"^extensions = (\[.*?\])", (DOCS / "conf.py").read_text(), re.M | re.S)
    for extension in ast.literal_eval(listed):
        name = "sphinx" if extension.startswith("sphinx.") else extension
        assert re.sub(r"[._]", "-", name) in extra, extension


def test_every_module_is_in_the_reference():
    files = [p for p in (ROOT / "rnnlab").rglob("*.py") if p.name != "__main__.py"]
    names = reference.modules(ROOT)
    assert len(names) == len(files) == len(set(names))
    assert "rnnlab.nn.cells" in names
    assert "rnnlab.nn" in names
    packages = {Path(p).relative_to(ROOT / "rnnlab").parts[0].removesuffix(".py") for p in files}
    packages = {name for name in packages if not name.startswith("_")}
    assert packages == reference.GROUPS.keys()


def test_a_docstring_is_written_as_it_is_meant():
    text = docstrings.to_rst(
        "h_t = z_t*h_{t−1} + (1−z_t)*h̃_t.\n\nSee :func:`~rnnlab.unroll`, ``h_t`` and *all* a|b.\n"
        "2. no list\n\nArgs:\n    h_tilde: h̃_t (..., H). W_hh, b: two\n        lines.\n"
        "Source: the notes, 14.\n\n>>> 1 + 1\n2\n\n- one\n- two_\n\n    code * x\n"
    )
    for part in (
        ".. rst-class:: equation\n\n\\ h\\ :sub:`t`\\  = z\\ :sub:`t`\\ \\*h\\ :sub:`t−1`\\  ",
        "\\ See \\ :func:`~rnnlab.unroll`\\ , \\ ``h_t``\\  and \\ *all*\\  a\\|b. 2. no list",
        "**Arguments:**\n\n``h_tilde``\n    \\ h̃\\ :sub:`t`\\  (..., H).\n\n``W_hh``, ``b``\n"
        "    \\ two lines.",
        "**Source:** the notes, 14.",
        ">>> 1 + 1\n2\n",
        "- one\n- two\\_",
        "::\n\n    code * x\n",
    ):
        assert part in text


def test_the_reference_has_every_command():
    text = reference.commands_page()
    for name in ("run", "list", "table", "predict", "export", "report", "new", "check"):
        assert f"\n## {name}\n" in text
    assert "--workdir=DIR" in text


def test_what_is_wrong_with_a_built_site_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(check_site, "ROOT", tmp_path)  # without modules and experiments
    (tmp_path / "a.html").write_text(
        '<html lang="en"><article><h1>A</h1><h2 id="one">One</h2><p>x <a href="b.html#two">b</a> '
        '<a href="none.html">c</a><a href="b.html#three">d</a></p>'
        '<img src="p.png"><img src="p.png" alt="p"><h2>Two</h2></article>'
        '<script src="https://cdn.example/x.js"></script>'
    )
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh/a.html").write_text('<html lang="en"><article><h1>甲</h1><p>z</p></article>')
    other = '<html lang="en"><article><h1>B</h1><p id="two">y</p></article>'
    (tmp_path / "b.html").write_text(other)
    (tmp_path / "p.png").write_bytes(b"")
    assert check_site.faults(tmp_path) == [
        "a.html: a picture without a text: p.png",
        "a.html: an empty section: Two",
        "a.html: none.html",
        "a.html: no such anchor: b.html#three",
        "a.html: loaded from elsewhere: https://cdn.example/x.js",
        "zh/a.html: its language is 'en', not 'zh-Hans'",
    ]
    (tmp_path / "experiments/x").mkdir(parents=True)
    (tmp_path / "experiments/x/study.py").write_text("")
    (tmp_path / "rnnlab").mkdir()
    (tmp_path / "rnnlab/theory.py").write_text("def one(): ...\ndef _two(): ...\n")
    missing = ["no page: rnnlab.theory", "no page of the gallery: study"]
    assert check_site.faults(tmp_path)[-2:] == missing
    page = tmp_path / "reference/api/rnnlab.theory.html"
    page.parent.mkdir(parents=True)
    page.write_text("<html lang='en'><article><h1>T</h1><p>z</p></article>")
    assert "no entry: rnnlab.theory.one" in check_site.faults(tmp_path)


# ---- gallery -----------------------------------------------------------------------------------


def test_every_experiment_has_a_card():
    """With its question, its command and its topic; the picture of those with a summary."""
    text = gallery.index(ROOT)
    cards = re.findall(r"^:::\{grid-item-card\} (\w+)\n(.*?)^:::$", text, re.M | re.S)
    assert {name for name, _ in cards} == EXPERIMENTS
    assert len(cards) == len(EXPERIMENTS)
    for name, card in cards:
        assert re.search(rf"`rnnlab run {name}( --config\.\S+)*`", card)
        (topic,) = re.findall(r":class-item: (topic-[a-z-]+)", card)
        assert f'id="{topic}"' in text
        assert f"#{topic}:checked" in (DOCS / "_static/site.css").read_text(encoding="utf-8")
        stored = (DOCS / "gallery" / f"{name}.json").is_file()
        assert stored == (f":img-top: {name}.webp" in card)


def test_summaries_are_those_of_experiments():
    for path in (DOCS / "gallery").glob("*.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))
        assert summary["experiment"] == path.stem
        assert path.stem in EXPERIMENTS
        assert {c["verdict"] for c in summary["claims"]} <= {"holds", "refuted", "undecided"}
        assert path.with_suffix(".webp").stat().st_size <= gallery.MOST_BYTES


@pytest.fixture
def repository(tmp_path):
    """One experiment, and a run of it with a figure."""
    file = tmp_path / "experiments/learning/study.py"
    file.parent.mkdir(parents=True)
    file.write_text('"""Is it?\n\nAbout 2 minutes on 2 cores."""\nx = 1\n')
    run = tmp_path / "runs/study"
    (run / "figures").mkdir(parents=True)
    Image.effect_noise((1800, 1200), 9).save(run / "figures/first.png")
    claim = {"statement": "a", "expected": "holds", "verdict": "refuted", "measured": "1 < 2"}
    (run / "used").mkdir()
    (run / "used/study.py").write_text(file.read_text())
    config = {
        "experiment": "study",
        "arg": "",
        "changes": {"config": {}, "sweep": False, "comparisons": False},
        "environment": {"rnnlab": "0.1.0", "device": "cpu", "cores": 2},
    }
    (run / "config.json").write_text(json.dumps(config))
    (run / "claims.json").write_text(json.dumps([{**claim, "source": "b"}]))
    (run / "figures.json").write_text(json.dumps({"first": {"caption": "All."}}))
    (run / "members.jsonl").write_text("{}\n{}\n")
    return tmp_path


def test_a_summary_is_made_of_a_run(repository):
    run, stored = repository / "runs/study", repository / "docs/gallery"
    assert gallery.state(repository) == {"study": "missing"}
    summary, picture = gallery.summarize(run, repository)
    assert summary["members"] == 2
    assert summary["claims"][0]["measured"] == "1 < 2"
    assert summary["caption"] == "All."
    assert picture[8:12] == b"WEBP"
    assert len(picture) <= gallery.MOST_BYTES
    stored.mkdir(parents=True)
    (stored / "study.json").write_text(json.dumps(summary))
    (stored / "study.webp").write_bytes(picture)
    assert gallery.state(repository) == {"study": ""}
    assert "1 refuted" in gallery.index(repository)
    assert ", about 2 minutes on 2 cores" in gallery.index(repository)
    file = repository / "experiments/learning/study.py"
    file.write_text('"""Is it so?"""\nx = 1\nrun = {"seconds_per_member": 2}  # for sure\n')
    assert gallery.state(repository) == {"study": ""}
    file.write_text('"""Is it?"""\nx = 2\n')
    assert gallery.state(repository) == {"study": "old"}
    with pytest.raises(ValueError, match=r"study\.py has changed since the run; run it again"):
        gallery.summarize(run, repository)


def test_a_run_may_give_the_keys_that_the_file_s_own_command_gives(repository):
    file, path = repository / "experiments/learning/study.py", repository / "runs/study/config.json"
    text = """Is it?

    rnnlab run --config=experiments/learning/first.py --config.seed=3
    rnnlab run --config=experiments/learning/study.py \\
      --config.start.path=runs/first
"""
    file.write_text(f'"""{text}"""\nx = 1\n')
    config = json.loads(path.read_text())
    for keys, accepted in (([], True), (["start.path"], True), (["start.path", "seed"], False)):
        changes = config["changes"] | {"config": dict.fromkeys(keys, "")}
        path.write_text(json.dumps(config | {"changes": changes}))
        if not accepted:
            with pytest.raises(ValueError, match="not a run of the command"):
                gallery.summarize(repository / "runs/study", repository)
            continue
        summary, picture = gallery.summarize(repository / "runs/study", repository)
        stored = repository / "docs/gallery"
        for folder in (stored, repository / "docs/zh"):
            folder.mkdir(exist_ok=True, parents=True)
        captions = {"study": {"title": "S", "question": "Q?"}}
        (repository / "docs/zh/gallery.json").write_text(json.dumps(captions))
        (stored / "study.json").write_text(json.dumps(summary))
        (stored / "study.webp").write_bytes(picture)
        command = "rnnlab run study" + " --config.start.path=runs/first" * bool(keys)
        assert f"`{command}`" in gallery.index(repository)
        assert f"`{command}`" in gallery.chinese_index(repository)
    page = gallery._page("bert_finetuning", "", ROOT)
    assert "\nrnnlab run bert_finetuning --config.pretrained=runs/pretraining\n" in page


def test_a_summary_whose_command_has_lost_a_key_is_old(repository):
    file, stored = repository / "experiments/learning/study.py", repository / "docs/gallery"
    summary, _ = gallery.summarize(repository / "runs/study", repository)
    stored.mkdir(parents=True)
    (stored / "study.json").write_text(json.dumps(summary | {"changed": ["start.path"]}))
    assert gallery.state(repository) == {"study": "old"}
    assert "`rnnlab run study`" in gallery.index(repository)
    command = "    rnnlab run --config=experiments/learning/study.py --config.start.path=runs/first"
    file.write_text(f'"""Is it?\n\n{command}\n"""\nx = 1\n')
    assert gallery.state(repository) == {"study": ""}


def test_words_of_a_docstring_are_shown_as_they_are():
    shown = gallery._prose("A rule (:mod:`rnnlab.theory`) and ``--sweep=a_b``, but a_b.")
    assert shown == "A rule (`rnnlab.theory`) and `--sweep=a_b`, but a\\_b.\n"


def test_what_is_no_finished_run_of_ours_is_refused(repository, capsys):
    path = repository / "runs/study/config.json"
    config = json.loads(path.read_text())
    for change in ({"arg": "full"}, {"changes": config["changes"] | {"config": {"seed": 1}}}):
        path.write_text(json.dumps(config | change))
        with pytest.raises(
            ValueError, match=r"not a run of the command that experiments/learning/study.py gives"
        ):
            gallery.summarize(repository / "runs/study", repository)
    (repository / "runs/study/claims.json").unlink()
    with pytest.raises(ValueError, match="not a finished run directory"):
        gallery.summarize(repository / "runs/study", repository)
    assert gallery.main([str(repository / "runs/none")]) == 2
    shown = capsys.readouterr()
    assert "not a finished run directory" in shown.err
