"""Build the site: pages, notebooks, gallery and reference, by Sphinx.

    python docs/build.py [FOLDER]     (default: site; needs rnnlab[docs])

The pages of docs/, the notebooks and the change log are collected in build/docs, links between
them made those of the site, and what is generated is written beside them: the reference from
docstrings, the command line and the configs, the gallery from the summaries in docs/gallery.
"""

import shutil
import sys
from pathlib import Path

import pages

from rnnlab.core.errors import install

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

try:
    from sphinx.cmd.build import main as sphinx
except ImportError:
    sys.exit(f"the site is built by Sphinx: {install('docs')}")


def build(folder: Path) -> int:
    """Write the site into a folder and return Sphinx's exit status; a warning is an error."""
    staged = ROOT / "build" / "docs"
    pages.write(pages.collect(ROOT), staged / "pages")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ".buildinfo").is_file():
        sys.exit(f"{folder} holds something else than a site: name an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    shared = ["-q", "-b", "html", "-W", "--keep-going", "-c", str(HERE)]
    status = sphinx([*shared, "-d", str(staged / "doctrees"), str(staged / "pages"), str(folder)])
    if status:  # a page that warned is read again
        shutil.rmtree(staged / "doctrees", ignore_errors=True)
    return status


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    if target.name.startswith("-"):
        sys.exit(__doc__)
    if status := build(target):
        sys.exit(status)
    print(f"{len(list(target.rglob('*.html')))} pages: {target / 'index.html'}")
