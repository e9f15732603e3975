"use strict";
// Heat maps of the explorer: of two axes, and of members' own arrays.
const explorerGrids = (() => {
  const {count, extent, span} = explorerParts;
  const MOST_PANELS = 12;

  function depth(q, members) {
    const deep = Math.max(0, ...members.map(m => (q.of[m][0].length === 3 ? q.of[m][0][0] : 0)));
    return Array.from({length: deep}, (_, k) => k);
  }

  // Cells of two axes; what else differs is pooled, and named.
  function drawGrid(view, members, notes) {
    const {state, model, q} = view,
      x = model.axis.get(state.x),
      rows = model.axis.get(state.rows);
    const facets = state.facet ? model.axis.get(state.facet).text : [""];
    const cells = at =>
      facets.map(facet =>
        rows.text.map((_, r) =>
          x.text.map((_, c) => {
            const values = (inside.get(`${facet}|${r}|${c}`) ?? [])
              .map(m => model.valueAt(q, m, at))
              .filter(value => value !== undefined);
            return values.length ? explorerModel.spread(values, q.better).median : null;
          }),
        ),
      );
    const inside = new Map();
    for (const m of members) {
      const key = `${state.facet ? model.text(state.facet, m) : ""}|${rows.of[m]}|${x.of[m]}`;
      inside.set(key, [...(inside.get(key) ?? []), m]);
    }
    const scale = (
      view.places.length > 40
        ? view.places.filter((_, k) => k % Math.ceil(view.places.length / 40) === 0)
        : view.places
    ).concat(state.at);
    const range = extent(
      (q.kind === "result" ? [Infinity] : scale).flatMap(at => cells(at).flat(2)),
    );
    const values = cells(state.at);
    facets.forEach((facet, k) => {
      if (!values[k].flat().some(value => value !== null)) return;
      const keptRows = rows.text
        .map((_, r) => r)
        .filter(r => values[k][r].some(value => value !== null));
      const keptColumns = x.text
        .map((_, c) => c)
        .filter(c => values[k].some(row => row[c] !== null));
      heat(
        view,
        facet && `${state.facet}: ${facet}`,
        keptRows.map(r => rows.text[r]),
        keptColumns.map(c => x.text[c]),
        keptRows.map(r => keptColumns.map(c => values[k][r][c])),
        range,
        state.x,
        state.rows,
      );
    });
    const pooled = [...inside.values()],
      differ = new Set(pooled.flatMap(group => model.differing(group)));
    notes.unshift(
      `${count(members.length, "member")} in ${count(pooled.length, "cell")}: the median of ` +
        `${span(pooled.map(group => group.length))}. A crossed cell is not finite.`,
    );
    if (differ.size)
      notes.push(
        `Cells pool members that differ in ${[...differ].join(", ")}: ` +
          "filter it, or give it a panel per value.",
      );
  }

  // A member's own array, the median over seeds; the slider goes over the first of three axes.
  function drawArrays(view, members, notes) {
    const {model, q, state} = view,
      keys = model.differing(members);
    const groups = new Map();
    for (const m of members) {
      const key = [...keys, ...(state.facet ? [state.facet] : [])]
        .map(key => `${key}=${model.text(key, m)}`)
        .join(", ");
      const shape = q.of[m][0].join("×"),
        id = `${key}|${shape}`;
      groups.set(id, {title: key, members: [...(groups.get(id)?.members ?? []), m]});
    }
    const shown = [...groups.values()].slice(0, MOST_PANELS),
      drawn = [];
    for (const {title, members: group} of shown) {
      const arrays = group.map(m => model.array(q, m)),
        shape = arrays[0].shape;
      const [height, wide] = shape.slice(-2),
        slice = shape.length === 3 ? Math.min(view.reading ?? 0, shape[0] - 1) * height * wide : 0;
      const values = Array.from({length: height}, (_, r) =>
        Array.from(
          {length: wide},
          (_, c) =>
            explorerModel.spread(
              arrays.map(array => array.y[slice + r * wide + c]),
              q.better,
            ).median,
        ),
      );
      drawn.push({title, values});
    }
    const range = extent(
      shown.flatMap(({members: group}) => group.flatMap(m => Array.from(model.array(q, m).y))),
    );
    for (const {title, values} of drawn)
      heat(
        view,
        title,
        values.map((_, r) => String(r)),
        values[0].map((_, c) => String(c)),
        values,
        range,
        "column",
        "row",
      );
    if (groups.size > MOST_PANELS)
      notes.push(`The first ${MOST_PANELS} of ${groups.size} panels are drawn: filter.`);
    const sizes = [...groups.values()].map(group => group.members.length);
    notes.unshift(
      `${count(members.length, "member")} in ${count(groups.size, "panel")}: the median over ` +
        `${span(sizes)} seeds. Colors are the same at every lag.`,
    );
  }

  function heat(view, title, rows, columns, values, range, x, y) {
    const {q} = view,
      box = view.box(title);
    view.panels.classList.toggle("single", view.panels.children.length < 2);
    const alt = `${q.name} by ${y} and ${x}, ${rows.length} × ${columns.length} cells`;
    explorerHeat.draw(box, {rows, columns, values, range, names: {x, y, alt}});
  }

  return {depth, drawArrays, drawGrid};
})();
