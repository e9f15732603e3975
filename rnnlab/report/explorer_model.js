"use strict";
// What is to be drawn: members by axis, their curves unpacked, medians over seeds. No drawing here.
const explorerModel = (() => {
  // Invert pack() of explorer_data.py.
  function unpack(code, from) {
    const log = code[from] === 1,
      digits = code[from + 1],
      start = from + 2;
    const values = new Float64Array(code.length - start);
    const scale = 10 ** Math.abs(digits);
    let whole = 0;
    for (let k = 0; k < values.length; k++) {
      const token = code[start + k];
      if (token === null) values[k] = NaN;
      else if (token === "+") values[k] = Infinity;
      else if (token === "-") values[k] = log ? 0 : -Infinity;
      else {
        whole += token;
        values[k] = log ? 10 ** (whole / 1e4) : digits < 0 ? whole * scale : whole / scale;
      }
    }
    return values;
  }

  const asNumber = value =>
    value === "nan" ? NaN : value === "inf" ? Infinity : value === "-inf" ? -Infinity : value;

  // Median, lowest and highest; NaN counts as worst, as in the table of results. Without a number
  // the median is NaN.
  function spread(values, better) {
    if (values.every(Number.isNaN))
      return {median: NaN, lowest: NaN, highest: NaN, n: values.length};
    const worst = better === "higher" ? -Infinity : Infinity;
    const sorted = values.map(value => (Number.isNaN(value) ? worst : value)).sort((a, b) => a - b);
    const half = sorted.length >> 1,
      low = sorted[half - 1],
      high = sorted[half];
    const median = sorted.length % 2 || low === high ? high : low / 2 + high / 2;
    return {median, lowest: sorted[0], highest: sorted[sorted.length - 1], n: sorted.length};
  }

  class Model {
    constructor(data) {
      this.data = data;
      this.size = data.ids.length;
      this.axes = data.axes;
      this.axis = new Map(data.axes.map(axis => [axis.key, axis]));
      this.quantities = new Map(data.quantities.map(q => [`${q.kind}:${q.name}`, q]));
      this.diverged = new Map(data.diverged.map(entry => [entry.member, entry.step]));
      this.atWork = new Set(data.at_work);
      this.cache = new Map();
      this.seeds = this.axis.has("seed");
    }

    text(key, m) {
      const axis = this.axis.get(key);
      return axis.text[axis.of[m]];
    }

    // What a member is called: its place in the sweep, and its run where there are several.
    memberName(m) {
      const run = this.axis.has("run") ? `${this.text("run", m)}: ` : "";
      return `${run}member ${this.data.ids[m]}`;
    }

    // A member's curve as {x, y}; null where it has none.
    curve(q, m, over = "") {
      const code = q.of[m];
      if (!code) return null;
      const key = `${q.kind}:${q.name}:${m}`;
      if (!this.cache.has(key)) this.cache.set(key, {x: this.data.xs[code[0]], y: unpack(code, 1)});
      const curve = this.cache.get(key),
        list = this.data.lists[over];
      return list && list.length === curve.y.length ? {x: list, y: curve.y} : curve;
    }

    array(q, m) {
      const code = q.of[m];
      if (!code) return null;
      const key = `array:${q.name}:${m}`;
      if (!this.cache.has(key)) this.cache.set(key, {shape: code[0], y: unpack(code, 1)});
      return this.cache.get(key);
    }

    // All places at which curves have a point, sorted.
    places(q, members, over = "") {
      const lists = new Set();
      for (const m of members) {
        const curve = this.curve(q, m, over);
        if (curve) lists.add(curve.x);
      }
      return [...new Set([...lists].flat())].sort((a, b) => a - b);
    }

    // Whether a member has a value, if only that it diverged.
    has(q, m) {
      return q.of[m] !== null || (q.kind === "result" && q.better !== "" && this.diverged.has(m));
    }

    // A member's number: a result, or its curve read at x (Infinity: where it ends). NaN where a
    // diverged one has ended, whose score is of the parameters before. One that has stopped, as a
    // solved one does, keeps what it logged last; undefined where another curve has ended.
    valueAt(q, m, at, over = "") {
      if (q.kind === "result" && q.better && this.diverged.has(m)) return NaN;
      if (q.kind === "result") return q.of[m] === null ? undefined : asNumber(q.of[m]);
      const curve = this.curve(q, m, over);
      if (!curve || !curve.y.length) return undefined;
      const last = curve.y.length - 1;
      if (at > curve.x[last] && this.diverged.has(m)) return NaN;
      if (at === Infinity) return curve.y[last];
      if (at > curve.x[last])
        return q.kind === "metric" && !this.atWork.has(m) ? curve.y[last] : undefined;
      return curve.y[nearest(curve.x, at)];
    }

    // The last finite point of a member whose curve ends in nan or inf, or that has diverged; its
    // y is null where a diverged one has none.
    end(q, m, over = "") {
      const curve = this.curve(q, m, over);
      if (!curve || !curve.y.length) return null;
      const last = curve.y[curve.y.length - 1];
      if (!this.diverged.has(m) && !Number.isNaN(last) && last !== Infinity) return null;
      let k = curve.y.length - 1;
      while (k >= 0 && !Number.isFinite(curve.y[k])) k--;
      if (k >= 0) return {x: curve.x[k], y: curve.y[k]};
      return this.diverged.has(m) ? {x: curve.x[0], y: null} : null;
    }

    // Whether a quantity is positive and spans more than three decades: a log axis shows it better.
    wide(q) {
      let low = Infinity,
        high = -Infinity;
      const take = value => {
        if (value < low) low = value;
        if (value > high && value < Infinity) high = value;
      };
      for (let m = 0; m < this.size; m++) {
        if (q.of[m] === null) continue;
        if (q.kind === "result") take(asNumber(q.of[m]));
        else this.curve(q, m).y.forEach(take);
      }
      return low > 0 && high / low > 1e3;
    }

    members(filters) {
      const found = [];
      for (let m = 0; m < this.size; m++) {
        let kept = true;
        for (const [key, off] of filters)
          if (off.size && off.has(this.text(key, m))) {
            kept = false;
            break;
          }
        if (kept) found.push(m);
      }
      return found;
    }

    // Axes of the config in which these members differ, seed aside.
    differing(members) {
      return this.axes
        .filter(
          axis =>
            axis.key !== "seed" &&
            !axis.result &&
            members.some(m => axis.of[m] !== axis.of[members[0]]),
        )
        .map(axis => axis.key);
    }

    // One line per combination of all axes but x; seeds are pooled, or have a line each.
    lines(q, members, state) {
      const pooled = state.seeds === "median",
        groups = new Map();
      const split = this.differing(members).filter(key => key !== state.x);
      for (const key of [state.color, state.facet])
        if (key && key !== "seed" && key !== state.x && !split.includes(key)) split.push(key);
      const bySeed = state.color === "seed" || state.facet === "seed" || !pooled;
      for (const m of members) {
        if (!this.has(q, m)) continue;
        const parts = split.map(key => this.axis.get(key).of[m]);
        if (bySeed && state.x !== "seed") parts.push(this.seeds ? this.text("seed", m) : `#${m}`);
        const key = parts.join("|");
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(m);
      }
      const named = split.filter(key => key !== state.facet);
      return [...groups.values()].map(group => {
        const words = named.map(key => [key, this.text(key, group[0])]);
        if (bySeed && this.seeds && state.x !== "seed" && state.facet !== "seed")
          words.push(["seed", this.text("seed", group[0])]);
        const line = {
          members: group,
          words,
          label: words.map(([key, value]) => `${key}=${value}`).join(", "),
          color: state.color ? this.text(state.color, group[0]) : "",
          facet: state.facet ? this.text(state.facet, group[0]) : "",
        };
        return Object.assign(
          line,
          this.axis.has(state.x)
            ? this.overAxis(q, group, state)
            : this.overPlaces(q, group, state),
        );
      });
    }

    overPlaces(q, group, state) {
      if (group.length === 1) {
        const {x, y} = this.curve(q, group[0], state.x);
        return {x, y: Array.from(y), lowest: null, highest: null, n: null};
      }
      const x = this.places(q, group, state.x),
        line = empty(x);
      for (const at of x) {
        const values = group.map(m => this.valueAt(q, m, at, state.x));
        push(
          line,
          values.filter(value => value !== undefined),
          q.better,
        );
      }
      return line;
    }

    overAxis(q, group, state) {
      const axis = this.axis.get(state.x),
        byValue = new Map();
      for (const m of group) {
        const value = this.valueAt(q, m, state.at, "");
        if (value === undefined) continue;
        if (!byValue.has(axis.of[m])) byValue.set(axis.of[m], []);
        byValue.get(axis.of[m]).push(value);
      }
      const places = [...byValue.keys()].sort((a, b) => a - b);
      const line = empty(places.map(place => (axis.number ? axis.number[place] : place)));
      for (const place of places) push(line, byValue.get(place), q.better);
      return line;
    }
  }

  const empty = x => ({x, y: [], lowest: [], highest: [], n: []});

  function push(line, values, better) {
    const {median, lowest, highest, n} = spread(values, better);
    line.y.push(median);
    line.lowest.push(lowest);
    line.highest.push(highest);
    line.n.push(n);
  }

  function nearest(sorted, value) {
    let low = 0,
      high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low > 0 && value - sorted[low - 1] <= sorted[low] - value ? low - 1 : low;
  }

  return {Model, nearest, spread, unpack};
})();
