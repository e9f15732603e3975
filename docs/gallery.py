"""The gallery: a card per experiment, from summaries of finished runs.

    python docs/gallery.py RUN [RUN ...]    write docs/gallery/NAME.json and its picture
    python docs/gallery.py                  say which experiments have none, or an old one

A summary belongs to the code of the experiment's file that made the run: comments, docstrings and
estimates of time may change. A run of other code is refused; a summary that was overtaken by an
edit stays, and its page says so. Of the config only those keys may differ that the command of the
file's docstring gives, such as the weights to start from.
"""

import ast
import hashlib
import io
import itertools
import json
import re
import sys
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import reference
from PIL import Image

from rnnlab.lab import catalog

HERE = Path(__file__).resolve().parent
TOPICS = {
    "gradients": "Gradients",
    "learning": "Learning",
    "language": "Language",
    "text_features": "Text features",
    "bert": "BERT",
    "benchmarks": "Speed",
}
CHINESE_TOPICS = {
    "gradients": "梯度",
    "learning": "学习",
    "language": "语言",
    "text_features": "文本特征",
    "bert": "BERT",
    "benchmarks": "速度",
}
MOST_BYTES = 60_000  # of a picture
_WIDTH = 960
# estimates, and how members are run: no result depends on them
_ASIDE = re.compile(r"\bseconds_per_(member|group)\b|^(REPRODUCE|PARALLEL) = ")


# ---- summaries ---------------------------------------------------------------------------------


def summarize(run: Path, root: Path) -> tuple[dict[str, Any], bytes]:
    """Return (the summary of a finished run, its first figure as WebP).

    Raises:
        ValueError: a run that has not finished, or of another text of the experiment's file.
    """
    if not (run / "claims.json").is_file() or not (run / "config.json").is_file():
        raise ValueError(f"{run}: not a finished run directory")
    config = _json(run / "config.json")
    name = config["experiment"]
    file = _files(root).get(name)
    if file is None:
        raise ValueError(f"{run}: {name} is not an experiment of this repository")
    digest = code_digest(_text(root / file))
    if code_digest(_text(run / "used" / Path(file).name)) != digest:
        raise ValueError(f"{run}: {file} has changed since the run; run it again")
    changes = config["changes"]
    changed = set(changes["config"]) - set(asked(root / file))
    if config["arg"] or changed or changes["sweep"] or changes["comparisons"]:
        raise ValueError(f"{run}: not a run of the command that {file} gives")
    figures = _json(run / "figures.json")
    drawn = [key for key in figures if (run / "figures" / f"{key}.png").is_file()]
    if not drawn:
        raise ValueError(f"{run}: no figure")
    members = [json.loads(line) for line in _text(run / "members.jsonl").splitlines()]
    summary = {
        "experiment": name,
        "sha256": digest,
        "rnnlab": config["environment"]["rnnlab"],
        "device": config["environment"]["device"],
        "cores": config["environment"]["cores"],
        "members": len(members),
        "changed": sorted(changes["config"]),
        "caption": figures[drawn[0]]["caption"],
        "claims": [
            {key: claim[key] for key in ("statement", "expected", "verdict", "measured")}
            for claim in _json(run / "claims.json")
        ],
    }
    return summary, _small(run / "figures" / f"{drawn[0]}.png")


def _small(path: Path) -> bytes:
    """Return a picture as WebP of at most MOST_BYTES bytes."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_WIDTH, _WIDTH))
    for quality in (90, 80, 70, 55, 40):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise ValueError(f"{path}: more than {MOST_BYTES} bytes at the lowest quality")


def state(root: Path) -> dict[str, str]:
    """Return, by experiment, "" for a summary of its present file, "missing" or "old"."""
    found = {}
    for name, file in _files(root).items():
        stored = _stored(root, name)
        changed = set(stored.get("changed", ())) - set(asked(root / file))
        old = stored and (changed or stored["sha256"] != code_digest(_text(root / file)))
        found[name] = "missing" if not stored else "old" * bool(old)
    return found


def _files(root: Path) -> dict[str, str]:
    """Return the path of every experiment by its name, topic by topic."""
    found = {path.stem: path for path in sorted((root / "experiments").glob("*/*.py"))}
    order = [*TOPICS]
    ranked = sorted(found.items(), key=lambda item: (order.index(item[1].parent.name), item[0]))
    return {name: path.relative_to(root).as_posix() for name, path in ranked}


def code_digest(text: str) -> str:
    """Return the SHA-256 of a file's code, whatever its comments, docstrings and estimates say."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            lines[first - 1 : last] = [""] * (last - first + 1)
    code = [line.rstrip() for line in lines if line.strip() and not _ASIDE.search(line)]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _json(path: Path) -> Any:
    return json.loads(_text(path))


# ---- pages -------------------------------------------------------------------------------------


def pages(root: Path) -> dict[str, str | bytes]:
    """Return the gallery's first page in both languages, a page per experiment and the pictures."""
    found: dict[str, str | bytes] = {
        "gallery/index.md": index(root),
        "zh/gallery/index.md": chinese_index(root),
    }
    for name, word in state(root).items():
        found[f"gallery/{name}.md"] = _page(name, word, root)
        if word != "missing":
            picture = f"gallery/{name}.webp"
            found[picture] = (root / "docs" / picture).read_bytes()
    return found


def _stored(root: Path, name: str) -> dict[str, Any]:
    """Return the summary of an experiment, empty if there is none."""
    path = root / "docs" / "gallery" / f"{name}.json"
    return _json(path) if path.is_file() else {}


def minutes(description: str) -> str:
    """Return how long a run takes in words, "" if a description does not say.

    >>> minutes("Seven schemes. About 7 minutes on 2 cores; :full takes hours.")
    'about 7 minutes on 2 cores'
    """
    text = " ".join(description.split())
    number = r"(?:\d[\d.]*|an?|one|two|three|half a)"
    found = re.search(
        rf"(?i)((?:about )?{number} minutes?|seconds)( of one core| on 2 cores)", text
    )
    if found is None:
        found = re.search(rf"(?i)((?:about )?{number} minutes?)()", text)
    return f"{found[1]}{found[2]}".lower() if found else ""


def _description(file: Path) -> str:
    return ast.get_docstring(ast.parse(_text(file))) or ""


def asked(file: Path) -> dict[str, str]:
    """Return the config keys that the command of a file's docstring gives, with their values."""
    text = re.sub(r"\\\n\s*", "", _description(file))
    runs = re.findall(rf"rnnlab run --config=\S*/{re.escape(file.name)}(.*)", text)
    return dict(re.findall(r"--config\.(\S+?)=(\S+)", runs[0])) if runs else {}


def _command(name: str, file: Path, summary: dict[str, Any]) -> str:
    """Return the command of a summary's run."""
    values = asked(file)
    flags = (
        f" --config.{key}={values[key]}" for key in summary.get("changed", ()) if key in values
    )
    return f"rnnlab run {name}{''.join(flags)}"


def _verdicts(summary: dict[str, Any]) -> str:
    verdicts = [claim["verdict"] for claim in summary["claims"]]
    counts = [(verdicts.count(v), v) for v in ("holds", "refuted", "undecided")]
    words = {"holds": "hold"}
    return ", ".join(f"{n} {words.get(v, v) if n != 1 else v}" for n, v in counts if n)


def _card(name: str, file: Path, summary: dict[str, Any]) -> str:
    description = _description(file)
    question = reference.escaped(description.partition("\n")[0])
    lines = [f":::{{grid-item-card}} {name}", f":link: {name}", ":link-type: doc"]
    lines.append(f":class-item: {_filter(file.parent.name)}")
    if summary:
        lines += [f":img-top: {name}.webp", f":img-alt: First figure of {name}"]
    lines += ["", question, ""]
    if summary and summary["claims"]:
        first = summary["claims"][0]
        statement, measured = (reference.escaped(first[key]) for key in ("statement", "measured"))
        lines += [f"**{statement}**: {first['verdict']}, {measured}.", ""]
        lines += [f"Claims: {_verdicts(summary)}.", ""]
    took = minutes(description)
    command = f"`{_command(name, file, summary)}`" + f", {took}" * bool(took)
    return "\n".join([*lines, "```{card-footer}", command, "```", ":::"])


def _filter(topic: str) -> str:
    return f"topic-{topic.replace('_', '-')}"


def index(root: Path) -> str:
    """Return the gallery's first page: a card per experiment, and a filter by topic."""
    files = _files(root)
    cards = [_card(name, root / file, _stored(root, name)) for name, file in files.items()]
    tree = "\n".join(files)
    return f"""# Gallery

Every experiment that comes with rnnlab: what it asks, what a run of its command found, and the
command that makes the figure again. A card without a figure has no committed run yet.

{_filtered(cards, TOPICS, "Topic", "All")}

```{{toctree}}
:hidden:

{tree}
```
"""


def _filtered(cards: Sequence[str], topics: Mapping[str, str], title: str, every: str) -> str:
    """Return cards in a grid, below buttons that leave one topic."""
    anchors = {"topic-all": every} | {_filter(topic): word for topic, word in topics.items()}
    inputs = [
        f'<label><input type="radio" name="topic" id="{anchor}"'
        f"{' checked' * (anchor == 'topic-all')}> {word}</label>"
        for anchor, word in anchors.items()
    ]
    filters, grid = "\n".join(inputs), "\n\n".join(cards)
    return f"""```{{raw}} html
<fieldset class="topics"><legend>{title}</legend>
{filters}
</fieldset>
```

::::{{grid}} 1 1 2 2
:gutter: 3
:class-container: gallery

{grid}
::::"""


def chinese_index(root: Path) -> str:
    """Return the gallery's first page in Chinese; titles and questions are in docs/zh/gallery.json.

    Raises:
        ValueError: an experiment without a title and a question there.
    """
    path = root / "docs" / "zh" / "gallery.json"
    captions = _json(path) if path.is_file() else {}
    files = _files(root)
    if missing := files.keys() - captions.keys():
        raise ValueError(f"{path}: no title and question for {', '.join(sorted(missing))}")
    cards = [
        _chinese_card(name, root / file, captions[name], _stored(root, name))
        for name, file in files.items()
    ]
    return f"""# 图廊

rnnlab 自带的每个实验：它问什么，按默认设置跑出什么结果，用哪条命令重画。
没有图的卡片，尚未收录运行结果。
点开卡片是该实验的英文页，有论断、配置项和源代码。

{_filtered(cards, CHINESE_TOPICS, "主题", "全部")}
"""


def _chinese_card(
    name: str, file: Path, caption: Mapping[str, str], summary: dict[str, Any]
) -> str:
    lines = [f":::{{grid-item-card}} {reference.escaped(caption['title'])}"]
    lines += [f":link: /gallery/{name}", ":link-type: doc"]
    lines.append(f":class-item: {_filter(file.parent.name)}")
    if summary:
        lines += [f":img-top: ../../gallery/{name}.webp", f":img-alt: {caption['title']}"]
    lines += ["", reference.escaped(caption["question"]), ""]
    if summary and summary["claims"]:
        verdicts = [claim["verdict"] for claim in summary["claims"]]
        words = {"holds": "成立", "refuted": "推翻", "undecided": "未定"}
        counts = [f"{verdicts.count(v)} 条{word}" for v, word in words.items() if v in verdicts]
        lines += [f"论断：{'，'.join(counts)}。", ""]
    return "\n".join(
        [*lines, "```{card-footer}", f"`{_command(name, file, summary)}`", "```", ":::"]
    )


def _page(name: str, word: str, root: Path) -> str:
    file = _files(root)[name]
    description, summary = _description(root / file), _stored(root, name)
    topic = TOPICS[Path(file).parent.name]
    first, _, rest = description.partition("\n")
    took = minutes(description)
    parts = [f"# {name}\n", f"*{topic}.* {reference.escaped(first)}\n"]
    parts.append(f"```bash\n{_command(name, root / file, summary)}\n```\n")
    if took:
        parts.append(f"It takes {took}.\n")
    if summary:
        caption = reference.escaped(summary["caption"])
        parts.append(f"![First figure of {name}]({name}.webp)\n\n*{caption}*\n")
    parts += ["## What it does\n", _prose(rest)]
    if summary and summary["claims"]:
        parts.append(f"## Claims\n\n{_verdicts(summary).capitalize()}.\n")
        parts += ["| claim | expected | verdict | measured |", "|---|---|---|---|"]
        for claim in summary["claims"]:
            cells = (claim[key] for key in ("statement", "expected", "verdict", "measured"))
            parts.append(f"| {' | '.join(reference.escaped(cell) for cell in cells)} |")
        parts.append("")
    if summary:
        old = " The experiment's file has been edited since." if word == "old" else ""
        parts.append(
            f"From a run of {summary['members']} members with rnnlab {summary['rnnlab']}, "
            f"{summary['device'].upper()}, {summary['cores']} cores.{old}\n"
        )
    keys = reference.key_table(reference.described(root / file))
    parts.append(
        "## Keys of its config\n\nEach with its default; `--config.KEY=VALUE` changes it.\n\n"
        f"::::{{dropdown}} All keys\n\n{keys}\n::::\n"
    )
    code = _text(root / file).rstrip()
    parts.append(
        f"## Source\n\n`{file}`\n\n::::{{dropdown}} Code\n\n````python\n{code}\n````\n::::"
    )
    return "\n".join(parts)


def _shown(text: str) -> str:
    """Return a docstring's words as Markdown: its roles and double backticks are code.

    >>> _shown("a rule (:mod:`rnnlab.theory`) and ``--sweep``")
    'a rule (`rnnlab.theory`) and `--sweep`'
    """
    found = re.split(r"(:\w+:`[^`]+`|``.+?``)", text)
    codes = (re.sub(r"^:\w+:", "", part).strip("`~") for part in found[1::2])
    words = (reference.escaped(part) for part in found[::2])
    pairs = itertools.zip_longest(words, codes)
    return "".join(word + (f"`{code}`" if code else "") for word, code in pairs)


def _prose(text: str) -> str:
    """Return a docstring's paragraphs as Markdown, its indented lines as commands."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith("    "):
            code = "\n".join(line.removeprefix("    ") for line in block.splitlines())
            parts.append(f"```bash\n{code}\n```\n")
        elif block.strip():
            parts.append(f"{_shown(' '.join(block.split()))}\n")
    return "\n".join(parts)


def main(runs: Sequence[str]) -> int:
    """Write the summaries of runs, and print the experiments that lack one."""
    root = HERE.parent
    names = {found.name for found in catalog.find_shipped()}
    status = 0
    for run in runs:
        try:
            summary, picture = summarize(Path(run), root)
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 2
            continue
        stored = HERE / "gallery" / f"{summary['experiment']}.json"
        stored.parent.mkdir(exist_ok=True)
        text = json.dumps(summary, ensure_ascii=False, indent=1)
        stored.write_text(f"{text}\n", encoding="utf-8")
        stored.with_suffix(".webp").write_bytes(picture)
        print(f"{stored.relative_to(root)}: {len(picture)} bytes of picture")
    for name, word in state(root).items():
        if word and name in names:
            print(f"{word}: {name}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
