"use strict";
// Lines of the explorer: panels, the marks of divergence, legend and notes.
const explorerLines = (() => {
  const {count, el, span} = explorerParts,
    {number} = explorerChart;
  const MOST_PANELS = 12,
    MOST_LINES = 2000;

  function drawLines(view, members, notes) {
    const {state, model, q} = view,
      axis = model.axis.get(state.x);
    const colored = model.axis.get(state.color);
    let lines = model.lines(q, members, state);
    // words stand side by side, those that are in use
    const used =
      axis && !axis.number
        ? [...new Set(lines.flatMap(line => line.x))].sort((a, b) => a - b)
        : null;
    const categories = used?.map(place => axis.text[place]) ?? null;
    if (used) for (const line of lines) line.x = line.x.map(place => used.indexOf(place));
    const pens = new Map(
      (colored?.text ?? [""]).map((text, k) => [text, explorerChart.pen(colored, k)]),
    );
    drawLegend(view, lines, pens);
    lines = lines.filter(line => !state.hidden.has(line.color));
    const all = lines.length;
    if (all > MOST_LINES) {
      lines = lines.slice(0, MOST_LINES);
      notes.push(
        `The first ${MOST_LINES.toLocaleString("en")} of ${count(all, "line")} are drawn: ` +
          "filter, or choose the median.",
      );
    }
    const xText = x => (categories ? categories[x] : number(x));
    view.xText = xText;
    const names = {x: state.x, y: q.name + (q.unit ? ` (${q.unit})` : "")};
    const who = line =>
      line.members
        .slice(0, 6)
        .map(m => model.memberName(m))
        .join(", ") + (line.members.length > 6 ? ` and ${line.members.length - 6} more` : "");
    const facets = [...new Set(lines.map(line => line.facet))];
    const order = model.axis.get(state.facet)?.text;
    if (order) facets.sort((a, b) => order.indexOf(a) - order.indexOf(b));
    for (const line of lines) {
      line.pen = pens.get(line.color);
      line.xs = new Map(line.x.map((x, k) => [x, k]));
      line.tip = x => {
        const k = line.xs.get(x);
        const rest =
          line.n && line.n[k] > 1
            ? [`median of ${line.n[k]}, [${number(line.lowest[k])}, ${number(line.highest[k])}]`]
            : [];
        return [
          line.label || q.name,
          ...(state.facet ? [`${state.facet}=${line.facet}`] : []),
          `${state.x} ${xText(x)}: ${number(line.y[k])}`,
          ...rest,
          who(line),
        ];
      };
    }
    const marks = axis ? axisMarks(view, lines, axis, used) : endMarks(view, lines);
    const shown = facets.slice(0, MOST_PANELS);
    if (facets.length > MOST_PANELS)
      notes.push(
        `The first ${MOST_PANELS} of ${facets.length} panels are drawn: filter ${state.facet}.`,
      );
    const perPanel = Math.max(
      0,
      ...shown.map(facet => lines.filter(line => line.facet === facet).length),
    );
    const bands = state.seeds === "median" && perPanel <= explorerChart.MOST_BANDS;
    view.full = explorerChart.width(lines, {...state, zoom: null, axis}, null);
    const settings = {...state, axis, reading: view.reading};
    const shared = {
      xRange: explorerChart.width(lines, settings, categories),
      yRange: explorerChart.range(lines, marks, settings, bands),
      bands,
      categories,
    };
    view.controls.from.value = state.zoom ? Number(state.zoom[0].toPrecision(6)) : "";
    view.controls.to.value = state.zoom ? Number(state.zoom[1].toPrecision(6)) : "";
    // all boxes first, so that each has its width
    const boxes = shown.map(facet => view.box(facet && `${state.facet}: ${facet}`));
    for (const [k, facet] of shown.entries()) {
      const inside = lines.filter(line => line.facet === facet);
      const drawn = `${names.y} against ${names.x}, ${count(inside.length, "line")}`;
      const alt = `${drawn}${facet && `, ${state.facet}=${facet}`}; values are in the table below`;
      const here = marks.filter(mark => mark.facet === facet);
      view.charts.push(
        explorerChart.panel(
          boxes[k],
          {lines: inside, marks: here, ...shared, names: {...names, alt}},
          settings,
          zoom => {
            state.zoom = zoom;
            setTimeout(() => view.draw());
          },
        ),
      );
    }
    view.lines = lines;
    lineNotes(view, lines, members, marks, bands, notes, axis);
  }

  // × where a member that diverged had its last finite value.
  function endMarks(view, lines) {
    const marks = [];
    for (const line of lines)
      for (const m of line.members) {
        const end = view.model.end(view.q, m, view.state.x);
        if (end) marks.push(mark(view, line, m, end.x, end.y));
      }
    return marks;
  }

  // × on the upper edge where a number is not finite, against an axis.
  function axisMarks(view, lines, axis, used) {
    const marks = [];
    for (const line of lines)
      for (const m of line.members) {
        const value = view.model.valueAt(view.q, m, view.state.at);
        if (
          value === undefined ||
          Number.isFinite(value) ||
          (value === -Infinity && !view.model.diverged.has(m))
        )
          continue;
        if (!view.model.diverged.has(m) && view.q.kind === "result" && !Number.isNaN(value))
          continue;
        const place = axis.of[m],
          end = view.q.kind === "result" ? null : view.model.end(view.q, m);
        marks.push(
          mark(view, line, m, used ? used.indexOf(place) : axis.number[place], end?.y ?? null),
        );
      }
    return marks;
  }

  function mark(view, line, m, x, y) {
    const {model} = view,
      step = model.diverged.get(m);
    const seed = model.seeds ? `, seed ${model.text("seed", m)}` : "";
    const said =
      step === undefined
        ? y === null
          ? "not a finite number"
          : "not finite from here"
        : step < 0
          ? "diverged"
          : `diverged at step ${step}`;
    return {
      x,
      y,
      facet: line.facet,
      pen: line.pen,
      tip: [
        `× ${model.memberName(m)}${seed}: ${said}`,
        line.label,
        y === null ? "it has no finite value" : `last finite value ${number(y)}`,
      ],
    };
  }

  function drawLegend(view, lines, pens) {
    const {state} = view,
      used = [...pens.keys()].filter(text => lines.some(line => line.color === text));
    view.legend.hidden = !state.color;
    view.legend.replaceChildren(
      ...used.map(text => {
        const button = el("button", {
          type: "button",
          "aria-pressed": String(!state.hidden.has(text)),
          title: "Show or hide",
        });
        const pen = pens.get(text),
          swatch = el("span", {className: "swatch", "aria-hidden": "true"});
        swatch.style.borderTop = `3px ${pen.dash.length ? "dashed" : "solid"} ${pen.color}`;
        button.append(swatch, text);
        button.addEventListener("click", () => {
          if (!state.hidden.delete(text)) state.hidden.add(text);
          view.draw();
          [...view.legend.children]
            .find(other => other.textContent === text)
            ?.focus({preventScroll: true});
        });
        return button;
      }),
    );
  }

  function lineNotes(view, lines, members, marks, bands, notes, axis) {
    const {state, model, q} = view,
      shown = lines.flatMap(line => line.members);
    const sizes = lines.map(line => (line.n ? Math.max(0, ...line.n) : 1));
    let text = `${count(shown.length, "member")} in ${count(lines.length, "line")}`;
    if (state.seeds === "median" && Math.max(...sizes) > 1)
      text += `: the median over ${span(sizes)} seeds${bands ? ", from lowest to highest" : ""}`;
    notes.unshift(`${text}.`);
    if (state.seeds === "median" && !bands && Math.max(...sizes) > 1)
      notes.push(
        `Intervals are left out where a panel has more than ${explorerChart.MOST_BANDS} lines: ` +
          "filter to see them.",
      );
    const differ = model
      .differing(shown)
      .filter(key => ![state.x, state.color, state.facet].includes(key));
    if (differ.length)
      notes.push(
        `Lines of one color differ in ${differ.join(", ")}: color, filter or point at them.`,
      );
    if (axis && q.kind !== "result") {
      const without = shown.length
        ? members.filter(m => model.valueAt(q, m, state.at) === undefined).length
        : 0;
      if (without)
        notes.push(
          `No value at ${q.x} ${view.reading}, for they ended before: ${count(without, "member")}.`,
        );
    }
    if (marks.length) notes.push(`× ${count(marks.length, "member")}: no finite value after it.`);
    const zero = lines.filter(line => line.y.some(value => value === -Infinity)).length;
    if (zero)
      notes.push(`−∞ (exactly zero) cannot be drawn; ${count(zero, "line")} with such values.`);
    const never = lines.filter(
      line => line.y.includes(Infinity) && !line.members.some(m => model.diverged.has(m)),
    ).length;
    if (never) notes.push(`∞ (never) cannot be drawn; ${count(never, "line")} with such values.`);
    const none = lines.filter(line => line.y.every(value => Number.isNaN(value))).length;
    if (none) notes.push(`No number in ${count(none, "line")}.`);
    const low = state.logy ? lines.filter(line => line.y.some(value => value <= 0)).length : 0;
    if (low) notes.push(`Values ≤ 0 cannot stand on a log axis; ${count(low, "line")} with some.`);
    if (state.logx && lines.some(line => line.x.some(x => x <= 0)))
      notes.push(`Places ≤ 0 of ${state.x} cannot stand on a log axis.`);
  }

  return {draw: drawLines};
})();
