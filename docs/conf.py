"""Sphinx's settings for the site. ``python docs/build.py`` collects its pages and runs Sphinx."""

import inspect
from typing import Any

import docstrings
import jax

import rnnlab

jax.Array.__qualname__ = "Array"  # in signatures: its own is jaxlib._jax.Array

project = "rnnlab"
author = "The rnnlab authors"
project_copyright = "the rnnlab authors, MIT license"
release = rnnlab.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.katex",
]
nb_execution_mode = "off"  # notebooks are kept with what they printed and drew
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# KaTeX comes with its Python package; MathML needs neither its fonts nor its style sheet
katex_options = '{output: "mathml", throwOnError: true}'
katex_css_path = "katex-math.css"

autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "ignore-module-all": True,  # a name is documented where it is defined
    "member-order": "bysource",
}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"
toc_object_entries = False

html_theme = "sphinx_book_theme"
html_title = "rnnlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "collapse_navbar": True,
    "home_page_in_toc": True,
    "max_navbar_depth": 3,
    "navbar_persistent": [],  # the search field stands in the side bar
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}
copybutton_exclude = ".linenos, .gp, .go"


def _rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = docstrings.to_rst("\n".join(lines)).splitlines()


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields without a text of their own, and what other projects' classes bring."""
    text = inspect.getdoc(obj) or ""
    made = text.startswith(("Alias for field number ", "Create new instance of "))
    routing = name.startswith("set_") and name.endswith("_request")  # scikit-learn's
    plain = not (callable(obj) or isinstance(obj, property)) and not text
    foreign = getattr(obj, "__module__", None) or "rnnlab"
    outside = callable(obj) and foreign.split(".")[0] != "rnnlab"
    return True if made or routing or plain or outside else None


def _language(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Name the language of Chinese pages in their HTML."""
    if page.startswith("zh/"):
        context["language"] = "zh-Hans"


def setup(app: Any) -> None:
    """Connect what rewrites docstrings, leaves out names, and names a page's language."""
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("autodoc-skip-member", _skip)
    app.connect("html-page-context", _language)
