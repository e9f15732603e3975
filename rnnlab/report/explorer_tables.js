"use strict";
// Tables of the explorer: the values of its lines, and the members that diverged.
const explorerTables = (() => {
  const {count, el, table} = explorerParts,
    {number} = explorerChart,
    {nearest} = explorerModel;
  const MOST_ROWS = 100;

  function valuesTable(view) {
    const {state, model, q, lines} = view;
    if (!lines.length || state.draw === "heat") return null;
    const axis = model.axis.get(state.x),
      {xText} = view;
    const keys = [
      ...new Set([
        ...(state.facet ? [state.facet] : []),
        ...lines.flatMap(line => line.words.map(([key]) => key)),
      ]),
    ];
    const rows = lines.map(line => {
      const words = new Map(line.words);
      if (state.facet) words.set(state.facet, line.facet);
      const k = axis
        ? -1
        : state.at === Infinity
          ? line.x.length - 1
          : line.x.length && state.at <= line.x[line.x.length - 1]
            ? nearest(line.x, state.at)
            : q.kind === "metric" && !line.members.some(m => model.atWork.has(m))
              ? line.x.length - 1
              : -1;
      const diverged = line.members.filter(m => model.diverged.has(m)).length;
      const inView = line.y
        .map((value, i) => [value, line.x[i]])
        .filter(
          ([value, x]) =>
            Number.isFinite(value) && (!state.zoom || (x >= state.zoom[0] && x <= state.zoom[1])),
        );
      const best = sign =>
        inView.reduce(
          (found, pair) => (found && sign * found[0] <= sign * pair[0] ? found : pair),
          null,
        );
      return {
        line,
        words,
        k,
        diverged,
        low: best(1),
        high: best(-1),
        // of a diverged member alone nothing that it logged counts as its last value
        read:
          k < 0
            ? undefined
            : state.at === Infinity && diverged === line.members.length
              ? NaN
              : line.y[k],
      };
    });
    const sort = state.sort || (q.better === "lower" ? "lowest" : "highest"),
      sign = sort === "lowest" ? 1 : -1;
    const rank = row => {
      const value = axis ? ((sort === "lowest" ? row.low : row.high)?.[0] ?? NaN) : row.read;
      return value === undefined ||
        Number.isNaN(value) ||
        (sign > 0 ? value === -Infinity && row.diverged : value === Infinity)
        ? Infinity
        : sign * value;
    };
    rows.sort((a, b) => rank(a) - rank(b));
    const head = [
      ...keys,
      ...(axis ? [] : [`at ${state.x} ${state.at === Infinity ? "(last)" : number(view.reading)}`]),
      `lowest (at ${state.x})`,
      `highest (at ${state.x})`,
      "members",
      "diverged",
    ];
    const at = pair => (pair ? `${number(pair[0])} (${xText(pair[1])})` : "–");
    const body = rows
      .slice(0, MOST_ROWS)
      .map(({line, words, k, diverged, low, high, read}) => [
        ...keys.map(key => words.get(key) ?? "–"),
        ...(axis
          ? []
          : [
              number(read) +
                (k >= 0 && line.n && line.n[k] > 1
                  ? ` [${number(line.lowest[k])}, ${number(line.highest[k])}]`
                  : ""),
            ]),
        at(low),
        at(high),
        String(line.members.length),
        diverged ? `× ${diverged}` : "",
      ]);
    const order = el(
      "select",
      {name: "sort", "aria-label": "Order of the rows"},
      new Option("highest first", "highest"),
      new Option("lowest first", "lowest"),
    );
    order.value = sort;
    order.addEventListener("change", () => {
      state.sort = order.value;
      view.draw();
      view.host.querySelector("[name=sort]").focus({preventScroll: true});
    });
    const better = q.better ? ` ${q.better === "lower" ? "Lower" : "Higher"} is better.` : "";
    const cut = rows.length > MOST_ROWS ? ` The first ${MOST_ROWS} of ${rows.length} rows.` : "";
    const caption = `${q.name}, a row per line.${better}${cut}`;
    return el(
      "section",
      {},
      el("h3", {}, "Values ", order),
      el("p", {className: "note"}, caption),
      table("values", "Values of the lines", head, body),
    );
  }

  function divergedTable(view, members) {
    const {model, q} = view,
      found = members.filter(m => model.diverged.has(m));
    const head = el("h3", {}, `Diverged: ${found.length} of ${count(members.length, "member")}`);
    if (!found.length) return el("section", {className: "diverged"}, head);
    const axes = view.axes().filter(axis => !axis.result);
    const body = found.slice(0, MOST_ROWS).map(m => {
      const step = model.diverged.get(m),
        end = q.kind === "metric" || q.kind === "curve" ? model.end(q, m) : null;
      return [
        model.memberName(m),
        ...axes.map(axis => axis.text[axis.of[m]]),
        step < 0 ? "–" : String(step),
        end && end.y !== null ? number(end.y) : "none",
      ];
    });
    const more =
      found.length > MOST_ROWS
        ? [el("p", {className: "note"}, `The first ${MOST_ROWS} of ${found.length}.`)]
        : [];
    return el(
      "section",
      {className: "diverged"},
      head,
      ...more,
      table(
        "diverged",
        "Members that diverged",
        [
          "member",
          ...axes.map(axis => axis.key),
          "at step",
          `last finite ${q.kind === "metric" || q.kind === "curve" ? q.name : "value"}`,
        ],
        body,
      ),
    );
  }

  return {divergedTable, valuesTable};
})();
