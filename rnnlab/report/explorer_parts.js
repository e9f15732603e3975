"use strict";
// Pieces of a page: elements, tables, counts in words.
const explorerParts = (() => {
  function el(tag, settings = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(settings))
      if (key.includes("-") || key === "role" || key === "for") node.setAttribute(key, value);
      else node[key] = value;
    node.append(...children);
    return node;
  }

  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const span = values =>
    Math.min(...values) === Math.max(...values)
      ? String(values[0])
      : `${Math.min(...values)} to ${Math.max(...values)}`;

  function extent(values) {
    let low = Infinity,
      high = -Infinity;
    for (const value of values)
      if (Number.isFinite(value) && value !== null) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    return low > high ? [0, 1] : [low, high];
  }

  function table(name, label, head, body) {
    const row = (tag, cells) =>
      el("tr", {}, ...cells.map(text => el(tag, tag === "th" ? {scope: "col"} : {}, text)));
    return el(
      "div",
      {className: `scroll ${name}`, role: "region", tabIndex: 0, "aria-label": label},
      el(
        "table",
        {},
        el("thead", {}, row("th", head)),
        el("tbody", {}, ...body.map(cells => row("td", cells))),
      ),
    );
  }

  return {count, el, extent, span, table};
})();
