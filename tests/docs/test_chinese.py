"""The site's Chinese pages: in step with their English twins, and linked with them."""

import json
import re
from pathlib import Path

import gallery
import pages
import pytest

from tests.docs.markdown import PARTS, program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHINESE = sorted((DOCS / "zh").rglob("*.md"))
TWINS = [page.relative_to(DOCS / "zh") for page in CHINESE]
EXPERIMENTS = {path.stem for path in (ROOT / "experiments").glob("*/*.py")}
# pages of contents: the Chinese ones say what is in English only
CONTENTS = {"index.md", "howto/index.md"}
SHARED = ("commands", "headings", "tables", "numbers")


@pytest.mark.parametrize("name", TWINS, ids=lambda name: name.as_posix())
def test_a_page_says_what_its_twin_says(name):
    """The same code, headings, tables and figures: a change of one page is to be made in both."""
    english, chinese = ((DOCS / folder / name).read_text(encoding="utf-8") for folder in ("", "zh"))
    if name.as_posix() not in CONTENTS:
        for part in SHARED:
            assert PARTS[part](chinese) == PARTS[part](english), part
        assert program(chinese) == program(english)


def test_what_is_to_be_there_is():
    """Getting started, all concepts, and the first five how-to pages."""
    for folder in ("start", "concepts"):
        stems = [{p.stem for p in (DOCS / f / folder).glob("*.md")} for f in ("", "zh")]
        assert stems[0] == stems[1]
    howto = (DOCS / "howto/index.md").read_text(encoding="utf-8")
    first = re.findall(r"^- \[.*\]\((\S+)\)$", howto, re.M)[:5]
    assert {Path("howto", name) for name in first} <= set(TWINS)


def test_links_to_english_pages_say_so():
    """Links lead to the Chinese page where there is one; others are marked as English."""
    for page in CHINESE:
        text = page.read_text(encoding="utf-8")
        for label, target, after in re.findall(r"(?<!!)\[([^]]+)\]\(([^)\s]+)\)(（英文)?", text):
            if not target.endswith(".md"):
                continue
            place = (page.parent / target).resolve().relative_to(DOCS)
            if place.parts[0] != "zh":
                assert not (DOCS / "zh" / place).exists(), f"{page.name}: {label}"
                said = after or "只有英文" in text[: text.index(f"({target})")]
                assert said, f"{page.name}: {label}"


def test_pages_of_both_languages_link_to_each_other():
    """And a line's end within a Chinese sentence is no blank; code stays."""
    code = "```python\nx = 1  # 一，\ny\n```\n"
    english, chinese = "# B\n\nOne.\n", f"# 乙\n\n一\n二，\n`c`。\n| x |\n{code}"
    found = pages.in_two_languages({"a/b.md": english, "zh/a/b.md": chinese, "c.md": "# C\n"})
    switch = "\n\n:::{{div}} language\n[{}]({})\n:::\n\n"
    assert found == {
        "a/b.md": f"# B{switch.format('中文', '../zh/a/b.md')}One.\n",
        "zh/a/b.md": f"# 乙{switch.format('English', '../../a/b.md')}一二，`c`。\n| x |\n{code}",
        "c.md": "# C\n",
    }


def test_the_gallery_has_a_caption_for_every_experiment(tmp_path):
    captions = json.loads((DOCS / "zh/gallery.json").read_text(encoding="utf-8"))
    assert captions.keys() == EXPERIMENTS
    text = gallery.chinese_index(ROOT)
    cards = re.findall(r"^:::\{grid-item-card\} [^\n]+\n(.*?)^:::$", text, re.M | re.S)
    links = [re.findall(r"^:link: /gallery/(\w+)$", card, re.M) for card in cards]
    assert sorted(links) == [[name] for name in sorted(EXPERIMENTS)]
    for caption in captions.values():
        assert caption["question"].endswith("？")
        assert caption["title"] in text
    (tmp_path / "experiments/learning").mkdir(parents=True)
    (tmp_path / "experiments/learning/study.py").write_text('"""Is it?"""\n')
    with pytest.raises(ValueError, match=r"gallery\.json: no title and question for study"):
        gallery.chinese_index(tmp_path)
