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
    const split = [state.x, state.rows].includes(state.facet) ? "" : state.facet;
    const inside = new Map();
    for (const m of members) {
      const key = `${split ? model.text(split, m) : ""}|${rows.of[m]}|${x.of[m]}`;
      inside.set(key, [...(inside.get(key) ?? []), m]);
    }
    const cell = (facet, r, c) => {
      const values = (inside.get(`${facet}|${r}|${c}`) ?? [])
        .map(m => model.valueAt(q, m, state.at))
        .filter(value => value !== undefined);
      return values.length ? explorerModel.spread(values, q.better).median : null;
    };
    const panels = [];
    for (const facet of split ? model.axis.get(split).text : [""]) {
      const values = rows.text.map((_, r) => x.text.map((_, c) => cell(facet, r, c)));
      const some = list => list.some(value => value !== null);
      const keptRows = [...rows.text.keys()].filter(r => some(values[r]));
      const keptColumns = [...x.text.keys()].filter(c => some(values.map(row => row[c])));
      if (!keptRows.length) continue;
      panels.push({
        title: facet && `${split}: ${facet}`,
        rows: keptRows.map(r => rows.text[r]),
        columns: keptColumns.map(c => x.text[c]),
        values: keptRows.map(r => keptColumns.map(c => values[r][c])),
      });
    }
    show(view, panels, extent(panels.flatMap(panel => panel.values.flat())), notes, {
      x: state.x,
      y: state.rows,
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
      keys = model.differing(members),
      groups = new Map();
    if (state.facet && !keys.includes(state.facet)) keys.push(state.facet);
    for (const m of members) {
      const title = keys.map(key => `${key}=${model.text(key, m)}`).join(", ");
      const id = `${title}|${q.of[m][0].join("×")}`;
      groups.set(id, {title, members: [...(groups.get(id)?.members ?? []), m]});
    }
    const panels = [...groups.values()].slice(0, MOST_PANELS + 1).map(({title, members: group}) => {
      const arrays = group.map(m => model.array(q, m)),
        {shape} = arrays[0],
        [height, wide] = shape.slice(-2);
      const start = shape.length === 3 ? Math.min(view.reading, shape[0] - 1) * height * wide : 0;
      const median = place =>
        explorerModel.spread(
          arrays.map(array => array.y[place]),
          q.better,
        ).median;
      const values = Array.from({length: height}, (_, r) =>
        Array.from({length: wide}, (_, c) => median(start + r * wide + c)),
      );
      const names = size => Array.from({length: size}, (_, k) => String(k));
      return {title, rows: names(height), columns: names(wide), values};
    });
    const known = members.filter(m => model.array(q, m).y.some(Number.isFinite));
    const range = extent(known.flatMap(m => extent(model.array(q, m).y)));
    show(view, panels, range, notes, {x: "column", y: "row"});
    const sizes = [...groups.values()].map(group => group.members.length);
    notes.unshift(
      `${count(members.length, "member")} in ${count(groups.size, "panel")}: the median over ` +
        `seeds, of ${span(sizes)}. Colors are the same at every lag.`,
    );
  }

  function show(view, panels, range, notes, names) {
    if (panels.length > MOST_PANELS)
      notes.push(`The first ${MOST_PANELS} panels are drawn: filter to see others.`);
    const shown = panels.slice(0, MOST_PANELS);
    const boxes = shown.map(panel => view.box(panel.title)); // all, then each has its width
    shown.forEach(({rows, columns, values}, k) => {
      const {x, y} = names;
      const alt = `${view.q.name} by ${y} and ${x}, ${rows.length} × ${columns.length} cells`;
      explorerHeat.draw(boxes[k], {rows, columns, values, range, names: {x, y, alt}});
    });
  }

  return {depth, drawArrays, drawGrid};
})();
