"use strict";
// Numbers by value, -inf first; words after numbers; nan and empty cells last, whichever way.
function sortBy(th, descending) {
  const table = th.closest("table"), body = table.tBodies[0], column = th.cellIndex;
  const keys = [...body.rows].map((row, place) => {
    const cell = row.cells[column], number = cell.dataset.number;
    const value = number === undefined ? cell.textContent : Number(number);
    const last = value === "" || Number.isNaN(value);
    return {row, place, value, rank: last ? 2 : typeof value === "string" ? 1 : 0};
  });
  const compare = (a, b) => typeof a === "string"
    ? a.localeCompare(b, undefined, {numeric: true}) : (a > b) - (a < b);
  keys.sort((a, b) => a.rank - b.rank
    || (a.rank < 2 ? (descending ? -1 : 1) * compare(a.value, b.value) : 0) || a.place - b.place);
  body.append(...keys.map(key => key.row));
  for (const other of th.parentNode.cells) other.setAttribute("aria-sort", "none");
  th.setAttribute("aria-sort", descending ? "descending" : "ascending");
}
function sortByHash() {  // #sort=seconds, #sort=-seconds
  const match = /^#sort=(-?)(.+)$/.exec(location.hash);
  const column = match && decodeURIComponent(match[2]);
  for (const th of document.querySelectorAll("[data-sortable] th"))
    if (th.dataset.column === column) sortBy(th, match[1] === "-");
}
for (const th of document.querySelectorAll("[data-sortable] th"))
  th.firstElementChild.addEventListener("click", () =>
    sortBy(th, th.getAttribute("aria-sort") === "ascending"));
for (const zoom of document.querySelectorAll(".zoom"))
  zoom.addEventListener("click", () =>
    zoom.setAttribute("aria-pressed", zoom.getAttribute("aria-pressed") !== "true"));
addEventListener("hashchange", sortByHash);
sortByHash();
// For tests in a browser.
addEventListener("load", () => {
  const root = document.documentElement, images = [...document.images];
  root.dataset.drawn = images.filter(image => image.naturalWidth > 0).length;
  root.dataset.images = images.length;
  root.dataset.width = root.clientWidth;
  root.dataset.overflow = root.scrollWidth - root.clientWidth;
});
