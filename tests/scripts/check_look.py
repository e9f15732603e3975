"""Look at pages in a browser: contrast, and width on a phone.

    python docs/build.py && python -m tests.scripts.check_look [FOLDER | PAGE...]   (default: site)

In light and dark, on a screen and on a phone of 360 pixels: every word has a contrast of 4.5 with
what is behind it (3 for large ones), and nothing but what scrolls by itself is wider than the
screen. Of a folder, a page of each kind is opened. Needs chromium.
"""

import sys
import tempfile
from pathlib import Path

from tests.helpers.browser import BROWSER, Browser

# of a site: one page of every kind
KINDS = (
    "index.html",
    "start/first-run.html",
    "start/report.html",
    "tutorials/*.html",
    "howto/index.html",
    "howto/compare-fairly.html",
    "howto/train.html",
    "concepts/adjoint.html",
    "concepts/mean-field.html",
    "concepts/claims.html",
    "gallery/index.html",
    "gallery/adding_problem.html",
    "notes.html",
    "claims.html",
    "glossary.html",
    "reference/config-keys.html",
    "reference/cli.html",
    "reference/benchmarks.html",
    "reference/run-directory.html",
    "reference/api/rnnlab.nn.cells.html",
    "search.html",
    "zh/index.html",
    "zh/howto/index.html",
    "zh/concepts/equations.html",
)
WIDTHS, SCHEMES = (1280, 360), ("light", "dark")
SHOWN = 3  # words of a page that are named

LOOK = r"""
(() => {
  const parse = text => (text.match(/[\d.]+/g) || []).map(Number);
  const over = (top, under) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => a * top[i] + (1 - a) * under[i]);
  };
  const light = rgb => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  // the color of an element's words and what is behind them, null over a picture
  const colors = element => {
    const layers = [];  // from the root to the element: what is under each, and its opacity
    for (let e = element; e; e = e.parentElement) layers.unshift(getComputedStyle(e));
    if (layers.some(style => style.backgroundImage !== "none")) return null;  // looked at by eye
    const darkPage = getComputedStyle(document.documentElement).colorScheme.includes("dark");
    let back = darkPage && dark ? [18, 18, 18] : [255, 255, 255];
    const under = layers.map(style => {
      const behind = back, color = parse(style.backgroundColor);
      if (color.length) back = over(color, back);
      return behind;
    });
    let words = over(parse(layers.at(-1).color), back);
    layers.forEach((_, i) => {  // an element's opacity mixes all within it with what is under it
      const at = layers.length - 1 - i, opacity = +layers[at].opacity;
      [words, back] = [words, back].map(color => over([...color, opacity], under[at]));
    });
    return {words, back};
  };
  const seen = element => {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= 0 || box.left >= innerWidth) return false;
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.visibility === "hidden" || style.display === "none" || +style.opacity === 0)
        return false;
      if (e.matches("svg, .katex-mathml, [aria-hidden=true], [disabled], dialog:not([open])"))
        return false;
    }
    return true;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const words = node.data.trim(), element = node.parentElement;
    if (!words || !seen(element)) continue;
    const style = getComputedStyle(element), found = colors(element);
    if (!found) continue;
    const [a, b] = [light(found.words), light(found.back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005)
      faint.push(`${ratio.toFixed(2)}: ${words.slice(0, 40)}`);
  }
  return {faint, wide: document.documentElement.scrollWidth};
})()
"""


def pages_of(folder: Path) -> list[Path]:
    """Return a page of every kind of a site.

    Raises:
        SystemExit: there is none of a kind.
    """
    found = []
    for kind in KINDS:
        matches = sorted(folder.glob(kind))
        if not matches:
            raise SystemExit(f"{folder} has no page {kind}")
        found.append(matches[-1])
    return found


def faults(browser: Browser, page: Path) -> list[str]:
    """Return what is wrong with the look of a page, a line each."""
    found = []
    for scheme in SCHEMES:
        for width in WIDTHS:
            browser.open(page.resolve().as_uri(), width=width, scheme=scheme)
            shown = browser.js(LOOK)
            place = f"{page}, {scheme}, {width} pixels"
            if shown["wide"] > width:  # a phone makes its window as wide as the page
                found.append(f"{place}: {shown['wide']} pixels wide")
            if faint := list(dict.fromkeys(shown["faint"])):
                found.append(f"{place}: {len(faint)} faint: {'; '.join(faint[:SHOWN])}")
    return found


def main(given: list[str]) -> int:
    """Check the pages; return 1 if any has a fault.

    Raises:
        SystemExit: no chromium, or no such page.
    """
    if not BROWSER:
        raise SystemExit("nothing is looked at: there is no chromium (apt-get install chromium)")
    paths = [Path(path) for path in given or ["site"]]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SystemExit(f"no such page: {', '.join(missing)}")
    pages = [page for path in paths for page in (pages_of(path) if path.is_dir() else [path])]
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile))
        try:
            found = [fault for page in pages for fault in faults(browser, page)]
        finally:
            browser.close()
    print("\n".join(found) or f"{len(pages)} pages looked at, no fault")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
