"use strict";
// Controls, legend, tables and notes of the explorer. window.rnnlabExplorer.open(section, data).
(() => {
  const {Model, nearest} = explorerModel, {number} = explorerChart;
  const KINDS = {metric: "Logged while training", curve: "Curves", result: "Results", array: "Arrays"};
  const MOST_PANELS = 12, MOST_LINES = 2000, MOST_ROWS = 100;

  function el(tag, settings = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(settings))
      if (key.includes("-") || key === "role" || key === "for") node.setAttribute(key, value);
      else node[key] = value;
    node.append(...children);
    return node;
  }
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const span = values => Math.min(...values) === Math.max(...values)
    ? String(values[0]) : `${Math.min(...values)} to ${Math.max(...values)}`;

  class Explorer {
    constructor(section, data) {
      this.section = section;
      this.host = section.querySelector(".explorer-body");
      this.controls = {};
      this.state = {
        show: "", draw: "lines", x: "", rows: "", color: "", facet: "", seeds: "median", logx: false,
        logy: false, at: Infinity, zoom: null, sort: "", hidden: new Set(), filters: new Map(),
      };
      this.load(data);
      section.dataset.open = "";
      const redraw = () => this.draw();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
      addEventListener("beforeprint", () => { explorerChart.printing = true; this.panels.style.maxWidth = "640px"; this.draw(); });
      addEventListener("afterprint", () => { explorerChart.printing = false; this.panels.style.maxWidth = ""; this.draw(); });
      let drawn = this.panels.clientWidth;
      new ResizeObserver(() => {
        if (Math.abs(this.panels.clientWidth - drawn) > 4) { drawn = this.panels.clientWidth; this.draw(); }
      }).observe(this.panels);
    }

    // Take data, new or changed; choices that still exist are kept.
    load(data) {
      this.model = new Model(data);
      const {state, model} = this, fresh = !model.quantities.has(state.show);
      if (fresh) this.choose();
      for (const name of ["color", "facet", "rows"]) if (!model.axis.has(state[name])) state[name] = "";
      this.build();
      this.update();
    }

    get q() { return this.model.quantities.get(this.state.show); }

    axes() { return this.model.axes.filter(axis => axis.text.length > 1); }

    // The first view: the headline, colored by one axis, a panel per value of another.
    choose() {
      const {state, model} = this, all = [...model.quantities.entries()];
      const kinds = ["metric", "curve", "result", "array"];
      const first = kinds.map(kind => all.find(([, q]) => q.kind === kind)).find(Boolean);
      state.show = first ? first[0] : "";
      const config = this.axes().filter(axis => !axis.result && axis.key !== "seed");
      const pair = config.filter(axis => axis.text.length <= 24).slice(0, 2);
      pair.sort((a, b) => b.text.length - a.text.length);
      state.color = pair[0]?.key ?? "";
      state.facet = pair[1] && pair[1].text.length <= 6 ? pair[1].key : "";
    }

    xs(q) {
      const axes = this.axes().filter(axis => !axis.result).map(axis => axis.key);
      if (q.kind === "array") return [];
      if (q.kind === "result") return axes.length ? axes : [this.model.axes[0].key];
      const longest = Math.max(...q.of.filter(Boolean).map(code => code.length - 3));
      const lists = Object.entries(this.model.data.lists).filter(([, list]) => list.length === longest);
      return [q.x, ...lists.map(([key]) => key), ...axes];
    }

    build() {
      const {model, state} = this, controls = el("form", {className: "controls", autocomplete: "off"});
      controls.addEventListener("submit", event => event.preventDefault());
      const select = (name, label) => {
        const id = `explorer-${name}`, input = el("select", {id, name});
        input.addEventListener("change", () => { state[name] = input.value; this.changed(name); });
        this.controls[name] = input;
        controls.append(el("div", {}, el("label", {for: id}, label), input));
      };
      select("show", "Show"); select("draw", "Draw as"); select("x", "x"); select("rows", "Rows");
      select("color", "Color by"); select("facet", "Panel per"); select("seeds", "Seeds");
      const show = this.controls.show;
      for (const [kind, label] of Object.entries(KINDS)) {
        const group = el("optgroup", {label});
        for (const [key, q] of model.quantities)
          if (q.kind === kind) group.append(new Option(q.name + (q.unit ? ` (${q.unit})` : ""), key));
        if (group.children.length) show.append(group);
      }
      this.fill("seeds", [["median", "median, lowest to highest"], ["every", "every seed"]]);
      const check = (name, label) => {
        const input = el("input", {type: "checkbox", name});
        input.addEventListener("change", () => { state[name] = input.checked; this.draw(); });
        this.controls[name] = input;
        return el("label", {className: "check"}, input, ` ${label}`);
      };
      controls.append(el("div", {className: "checks"}, check("logx", "log x"), check("logy", "log y")));
      controls.append(this.slider(), this.zoomFields());
      const filters = el("div", {className: "filters", role: "group", "aria-label": "Filter"});
      for (const axis of this.axes()) filters.append(this.filter(axis));
      this.legend = el("div", {className: "legend", role: "group", "aria-label": "Show or hide by color"});
      this.panels = this.panels ?? el("div", {className: "panels"});
      this.tip = el("div", {className: "tip", hidden: true, role: "status"});
      this.notes = el("div", {className: "note", "aria-live": "polite"});
      this.tables = el("div", {className: "tables"});
      this.host.replaceChildren(controls, filters, this.legend, this.panels, this.notes, this.tables, this.tip);
    }

    fill(name, options) {
      const input = this.controls[name];
      input.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
      if (options.some(([value]) => value === this.state[name])) input.value = this.state[name];
      else this.state[name] = input.value;
      input.disabled = options.length < 2;
    }

    slider() {
      const range = el("input", {type: "range", id: "explorer-at", name: "at", min: 0, step: 1});
      const exact = el("input", {type: "number", name: "exact", step: "any", "aria-label": "read at, exactly"});
      const label = el("label", {for: "explorer-at"}, "Read at");
      range.addEventListener("input", () => {
        const k = Number(range.value);
        this.state.at = k >= this.places.length - 1 ? Infinity : this.places[k];
        this.draw();
      });
      exact.addEventListener("change", () => {
        if (exact.value !== "") this.state.at = this.places[nearest(this.places, Number(exact.value))];
        this.draw();
      });
      this.controls.at = range; this.controls.exact = exact;
      this.atBox = el("div", {className: "at"}, label, range, exact);
      this.atLabel = label;
      return this.atBox;
    }

    zoomFields() {
      const box = el("div", {className: "zoomed"});
      for (const [k, name, label] of [[0, "from", "x from"], [1, "to", "x to"]]) {
        const input = el("input", {type: "number", step: "any", name, id: `explorer-${name}`});
        input.addEventListener("change", () => {
          const zoom = [this.controls.from, this.controls.to].map(field => field.value);
          const full = this.full ?? [0, 1];
          const asked = zoom.map((text, side) => text === "" ? full[side] : Number(text));
          this.state.zoom = asked[0] < asked[1] && zoom.some(text => text !== "") ? asked : null;
          this.draw();
        });
        this.controls[name] = input;
        box.append(el("div", {}, el("label", {for: input.id}, label), input));
      }
      const reset = el("button", {type: "button", name: "reset"}, "Reset zoom");
      reset.addEventListener("click", () => { this.state.zoom = null; this.draw(); });
      this.controls.reset = reset;
      box.append(reset);
      this.zoomBox = box;
      return box;
    }

    filter(axis) {
      const {filters} = this.state;
      const off = filters.get(axis.key) ?? new Set();
      for (const text of [...off]) if (!axis.text.includes(text)) off.delete(text);
      filters.set(axis.key, off);
      const boxes = axis.text.map(text => {
        const input = el("input", {type: "checkbox", checked: !off.has(text), value: text});
        input.addEventListener("change", () => {
          if (input.checked) off.delete(text); else off.add(text);
          say(); this.draw();
        });
        return el("label", {className: "check"}, input, ` ${text}`);
      });
      const summary = el("summary");
      const say = () => { summary.textContent = `${axis.key}: ${off.size ? `${axis.text.length - off.size} of ` : "all "}${axis.text.length}`; };
      const all = (label, checked) => {
        const button = el("button", {type: "button"}, label);
        button.addEventListener("click", () => {
          off.clear();
          if (!checked) axis.text.forEach(text => off.add(text));
          boxes.forEach(box => { box.firstChild.checked = checked; });
          say(); this.draw();
        });
        return button;
      };
      say();
      return el("details", {className: "filter"}, summary,
        el("div", {className: "choices", role: "group", "aria-label": axis.key}, el("div", {}, all("All", true), " ", all("None", false)), ...boxes));
    }

    changed(name) {
      const {state} = this;
      if (name === "show") { state.at = Infinity; state.logy = false; state.sort = ""; }
      if (name === "show" || name === "x" || name === "draw") state.zoom = null;
      if (name === "color") state.hidden.clear();
      this.update(name);
    }

    // Offer in each control what the quantity shown allows, then draw.
    update(name = "") {
      const {state, q, model} = this;
      if (!q) { this.notes.replaceChildren("Nothing to show yet: no member has finished or logged."); return; }
      this.controls.show.value = state.show;
      const axes = this.axes(), config = axes.filter(axis => !axis.result && axis.key !== "seed");
      const heat = q.kind === "array" ? [["heat", "heat map"]]
        : config.length > 1 ? [["lines", "lines"], ["heat", "heat map"]] : [["lines", "lines"]];
      this.fill("draw", heat);
      const isHeat = state.draw === "heat", grid = isHeat && q.kind !== "array";
      let xs = this.xs(q);
      if (grid) xs = config.map(axis => axis.key);
      if (!xs.includes(state.x)) {
        const usual = config.find(axis => axis.number && axis.text.length > 2) ?? config[0];
        state.x = q.kind === "result" && usual ? usual.key : xs[0] ?? "";
        this.controls.logx.checked = state.logx = false;
        name = "x";
      }
      this.fill("x", xs.map(x => [x, x]));
      if (grid && (!state.rows || state.rows === state.x))
        state.rows = config.find(axis => axis.key !== state.x).key;
      this.fill("rows", grid ? config.filter(axis => axis.key !== state.x).map(axis => [axis.key, axis.key]) : [["", "–"]]);
      const none = [["", "nothing"]], keys = axes.map(axis => [axis.key, axis.key]);
      this.fill("color", isHeat ? [["", "the value"]] : none.concat(keys));
      this.fill("facet", none.concat(keys));
      const axis = model.axis.get(state.x);
      if (name === "x") state.logx = Boolean(!isHeat && axis?.number && axis.number[0] > 0
        && axis.number[axis.number.length - 1] / axis.number[0] >= 20);
      this.controls.logx.checked = state.logx;
      this.controls.logy.checked = state.logy;
      for (const control of ["logx", "logy"]) this.controls[control].disabled = isHeat;
      this.controls.logx.disabled ||= Boolean(axis && !axis.number);
      this.controls.seeds.disabled = isHeat;
      this.draw();
    }

    draw() {
      const {state, model, q} = this;
      if (!q) return;
      for (const chart of this.charts ?? []) chart.destroy();
      this.charts = [];
      const top = scrollY;
      this.panels.replaceChildren();
      this.tip.hidden = true;
      const members = model.members(state.filters);
      const having = members.filter(m => q.of[m] !== null);
      const lags = q.kind === "array" ? this.depth(q, having) : q.kind === "result" ? [] : model.places(q, having, state.x);
      this.setPlaces(lags);
      const notes = [];
      if (having.length < members.length)
        notes.push(`${count(members.length - having.length, "member")} of those chosen ${members.length - having.length === 1 ? "has" : "have"} no ${q.name}.`);
      if (!having.length) notes.push("No member is left: choose more values in the filters.");
      else if (state.draw === "heat") this.drawHeat(having, notes);
      else this.drawLines(having, notes);
      this.dataNotes(notes);
      this.notes.replaceChildren(...notes.map(text => el("p", {}, text)));
      const diverged = this.divergedTable(members);
      this.tables.replaceChildren(...[this.valuesTable(), diverged].filter(Boolean));
      if (scrollY !== top) scrollTo(scrollX, top);
      this.section.dataset.lines = this.lines?.length ?? 0;
    }

    setPlaces(places) {
      const {state, q} = this, {at, exact} = this.controls;
      this.places = places;
      this.atBox.hidden = places.length < 2;
      this.zoomBox.hidden = state.draw === "heat" || (this.model.axis.has(state.x) && !this.model.axis.get(state.x).number);
      const word = q.kind === "array" ? "lag" : this.model.axis.has(state.x) ? q.x : state.x;
      const last = state.at === Infinity, k = last ? places.length - 1 : nearest(places, state.at);
      at.max = Math.max(0, places.length - 1);
      at.value = k;
      exact.value = places.length ? places[k] : "";
      this.reading = places.length ? places[k] : null;
      this.atLabel.textContent = `Read at ${word}${last ? " (last)" : ""}`;
    }

    drawLines(members, notes) {
      const {state, model, q} = this, axis = model.axis.get(state.x);
      const colored = model.axis.get(state.color);
      let lines = model.lines(q, members, state);
      const pens = new Map((colored?.text ?? [""]).map((text, k) => [text, explorerChart.pen(colored, k)]));
      this.drawLegend(lines, pens);
      lines = lines.filter(line => !state.hidden.has(line.color));
      const all = lines.length;
      if (all > MOST_LINES) { lines = lines.slice(0, MOST_LINES); notes.push(`The first ${MOST_LINES.toLocaleString("en")} of ${count(all, "line")} are drawn: filter, or choose the median.`); }
      const xText = x => axis && !axis.number ? axis.text[x] : number(x);
      const names = {x: state.x, y: q.name + (q.unit ? ` (${q.unit})` : "")};
      const who = line => line.members.slice(0, 6).map(m => model.memberName(m)).join(", ") + (line.members.length > 6 ? ` and ${line.members.length - 6} more` : "");
      const facets = [...new Set(lines.map(line => line.facet))];
      const order = model.axis.get(state.facet)?.text;
      if (order) facets.sort((a, b) => order.indexOf(a) - order.indexOf(b));
      for (const line of lines) {
        line.pen = pens.get(line.color);
        line.xs = new Map(line.x.map((x, k) => [x, k]));
        line.tip = x => {
          const k = line.xs.get(x);
          const rest = line.n && line.n[k] > 1 ? [`median of ${line.n[k]}, [${number(line.lowest[k])}, ${number(line.highest[k])}]`] : [];
          return [line.label || q.name, ...(state.facet ? [`${state.facet}=${line.facet}`] : []), `${state.x} ${xText(x)}: ${number(line.y[k])}`, ...rest, who(line)];
        };
      }
      const marks = axis ? this.axisMarks(lines, axis) : this.endMarks(lines);
      const shown = facets.slice(0, MOST_PANELS);
      if (facets.length > MOST_PANELS) notes.push(`The first ${MOST_PANELS} of ${facets.length} panels are drawn: filter ${state.facet}.`);
      const perPanel = Math.max(0, ...shown.map(facet => lines.filter(line => line.facet === facet).length));
      const bands = state.seeds === "median" && perPanel <= explorerChart.MOST_BANDS;
      this.full = explorerChart.width(lines, {...state, zoom: null, axis}, null);
      const settings = {...state, axis, reading: this.reading};
      const shared = {
        xRange: explorerChart.width(lines, settings, axis && !axis.number ? axis.text : null),
        yRange: explorerChart.range(lines, marks, settings, bands),
        bands, categories: axis && !axis.number ? axis.text : null,
      };
      this.controls.from.value = state.zoom ? Number(state.zoom[0].toPrecision(6)) : "";
      this.controls.to.value = state.zoom ? Number(state.zoom[1].toPrecision(6)) : "";
      this.panels.classList.toggle("single", shown.length < 2);
      for (const facet of shown) {
        const inside = lines.filter(line => line.facet === facet);
        const box = this.box(facet);
        const alt = `${names.y} against ${names.x}, ${count(inside.length, "line")}${facet && `, ${state.facet}=${facet}`}; the values are in the table below`;
        const here = marks.filter(mark => mark.facet === facet);
        this.charts.push(explorerChart.panel(box, {lines: inside, marks: here, ...shared, names: {...names, alt}}, settings,
          zoom => { state.zoom = zoom; setTimeout(() => this.draw()); }));
      }
      this.lines = lines;
      this.lineNotes(lines, members, marks, bands, notes, axis);
    }

    box(facet) {
      const box = el("div", {className: "chart"});
      const title = facet === "" ? [] : [el("h4", {}, `${this.state.facet}: ${facet}`)];
      this.panels.append(el("div", {className: "panel"}, ...title, box));
      return box;
    }

    // × where a member that diverged had its last finite value.
    endMarks(lines) {
      const marks = [];
      for (const line of lines)
        for (const m of line.members) {
          const end = this.model.end(this.q, m, this.state.x);
          if (end) marks.push(this.mark(line, m, end.x, end.y));
        }
      return marks;
    }

    // × on the upper edge where a number is not finite, against an axis.
    axisMarks(lines, axis) {
      const marks = [];
      for (const line of lines)
        for (const m of line.members) {
          const value = this.model.valueAt(this.q, m, this.state.at);
          if (value === undefined || Number.isFinite(value) || (value === -Infinity && !this.model.diverged.has(m))) continue;
          if (!this.model.diverged.has(m) && this.q.kind === "result" && !Number.isNaN(value)) continue;
          const place = axis.of[m], end = this.q.kind === "result" ? null : this.model.end(this.q, m);
          marks.push(this.mark(line, m, axis.number ? axis.number[place] : place, end?.y ?? null));
        }
      return marks;
    }

    mark(line, m, x, y) {
      const {model} = this, step = model.diverged.get(m);
      const seed = model.seeds ? `, seed ${model.text("seed", m)}` : "";
      const said = step === undefined ? "not finite from here" : step < 0 ? "diverged" : `diverged at step ${step}`;
      return {x, y, facet: line.facet, pen: line.pen, tip: [`× ${model.memberName(m)}${seed}: ${said}`, line.label, y === null ? "it has no finite value" : `last finite value ${number(y)}`]};
    }

    drawLegend(lines, pens) {
      const {state} = this, used = [...pens.keys()].filter(text => lines.some(line => line.color === text));
      this.legend.hidden = !state.color;
      this.legend.replaceChildren(...used.map(text => {
        const button = el("button", {type: "button", "aria-pressed": String(!state.hidden.has(text)), title: "Show or hide"});
        const pen = pens.get(text), swatch = el("span", {className: "swatch", "aria-hidden": "true"});
        swatch.style.borderTop = `3px ${pen.dash.length ? "dashed" : "solid"} ${pen.color}`;
        button.append(swatch, text);
        button.addEventListener("click", () => {
          if (!state.hidden.delete(text)) state.hidden.add(text);
          this.draw();
          [...this.legend.children].find(other => other.textContent === text)?.focus({preventScroll: true});
        });
        return button;
      }));
    }

    lineNotes(lines, members, marks, bands, notes, axis) {
      const {state, model, q} = this, shown = lines.flatMap(line => line.members);
      const sizes = lines.map(line => line.n ? Math.max(0, ...line.n) : 1);
      let text = `${count(shown.length, "member")} in ${count(lines.length, "line")}`;
      if (state.seeds === "median" && Math.max(...sizes) > 1) text += `: the median over ${span(sizes)} seeds${bands ? ", with their lowest to highest" : ""}`;
      notes.unshift(`${text}.`);
      if (state.seeds === "median" && !bands && Math.max(...sizes) > 1) notes.push(`Intervals are left out where a panel has more than ${explorerChart.MOST_BANDS} lines: filter to see them.`);
      const differ = model.differing(shown).filter(key => ![state.x, state.color, state.facet].includes(key));
      if (differ.length) notes.push(`Lines of one color differ in ${differ.join(", ")}: color, filter or point at them.`);
      if (axis && q.kind !== "result") {
        const without = shown.length ? members.filter(m => model.valueAt(q, m, state.at) === undefined).length : 0;
        if (without) notes.push(`${count(without, "member")} ended before ${q.x} ${this.reading} and have no value there.`);
      }
      if (marks.length) notes.push(`× ${count(marks.length, "member")}: no finite value after it.`);
      const zero = lines.filter(line => line.y.some(value => value === -Infinity)).length;
      if (zero) notes.push(`−∞ (exactly zero) cannot be drawn: ${count(zero, "line")} reach${zero === 1 ? "es" : ""} it.`);
      const low = state.logy ? lines.filter(line => line.y.some(value => value <= 0)).length : 0;
      if (low) notes.push(`Values ≤ 0 cannot stand on a log axis: ${count(low, "line")} ${low === 1 ? "has" : "have"} some.`);
      if (state.logx && lines.some(line => line.x.some(x => x <= 0))) notes.push(`Places ≤ 0 of ${state.x} cannot stand on a log axis.`);
    }

    dataNotes(notes) {
      const {data, size, atWork} = this.model, names = Object.keys(data.thinned);
      if (names.length) notes.push(`Down-sampled: at most ${count(data.points, "point")} of a curve are kept, evenly spaced, of up to ${Math.max(...Object.values(data.thinned)).toLocaleString("en")} (${names.join(", ")}). All are in the run’s files.`);
      if (data.too_large.length) notes.push(`Too large for one page, and left out: ${data.too_large.join(", ")}.`);
      if (data.left_out.length) notes.push(`Neither numbers nor few words, and left out: ${data.left_out.join(", ")}.`);
      if (atWork.size) notes.push(`${count(atWork.size, "member")} of ${size.toLocaleString("en")} still at work.`);
    }

    // ---- heat maps

    depth(q, members) {
      const deep = Math.max(0, ...members.map(m => q.of[m][0].length === 3 ? q.of[m][0][0] : 0));
      return Array.from({length: deep}, (_, k) => k);
    }

    drawHeat(members, notes) {
      this.legend.hidden = true;
      this.lines = [];
      this.full = null;
      if (this.q.kind === "array") this.drawArrays(members, notes);
      else this.drawGrid(members, notes);
    }

    // Cells of two axes; what else differs is pooled, and named.
    drawGrid(members, notes) {
      const {state, model, q} = this, x = model.axis.get(state.x), rows = model.axis.get(state.rows);
      const facets = state.facet ? model.axis.get(state.facet).text : [""];
      const cells = at => facets.map(facet => rows.text.map((_, r) => x.text.map((_, c) => {
        const values = (inside.get(`${facet}|${r}|${c}`) ?? []).map(m => model.valueAt(q, m, at)).filter(value => value !== undefined);
        return values.length ? explorerModel.spread(values, q.better).median : null;
      })));
      const inside = new Map();
      for (const m of members) {
        const key = `${state.facet ? model.text(state.facet, m) : ""}|${rows.of[m]}|${x.of[m]}`;
        inside.set(key, [...(inside.get(key) ?? []), m]);
      }
      const scale = (this.places.length > 40 ? this.places.filter((_, k) => k % Math.ceil(this.places.length / 40) === 0) : this.places).concat(state.at);
      const range = extent((q.kind === "result" ? [Infinity] : scale).flatMap(at => cells(at).flat(2)));
      const values = cells(state.at);
      facets.forEach((facet, k) => {
        if (!values[k].flat().some(value => value !== null)) return;
        const keptRows = rows.text.map((_, r) => r).filter(r => values[k][r].some(value => value !== null));
        const keptColumns = x.text.map((_, c) => c).filter(c => values[k].some(row => row[c] !== null));
        this.heat(facet, keptRows.map(r => rows.text[r]), keptColumns.map(c => x.text[c]), keptRows.map(r => keptColumns.map(c => values[k][r][c])), range, state.x, state.rows);
      });
      const pooled = [...inside.values()], differ = new Set(pooled.flatMap(group => model.differing(group)));
      notes.unshift(`${count(members.length, "member")} in ${count(pooled.length, "cell")}: the median of ${span(pooled.map(group => group.length))}. A crossed cell is not finite.`);
      if (differ.size) notes.push(`Cells pool members that differ in ${[...differ].join(", ")}: filter it, or give it a panel per value.`);
    }

    // A member's own array, the median over seeds; the slider goes over the first of three axes.
    drawArrays(members, notes) {
      const {model, q, state} = this, keys = model.differing(members);
      const groups = new Map();
      for (const m of members) {
        const key = [...keys, ...(state.facet ? [state.facet] : [])].map(key => `${key}=${model.text(key, m)}`).join(", ");
        const shape = q.of[m][0].join("×"), id = `${key}|${shape}`;
        groups.set(id, {title: key, members: [...(groups.get(id)?.members ?? []), m]});
      }
      const shown = [...groups.values()].slice(0, MOST_PANELS), drawn = [];
      for (const {title, members: group} of shown) {
        const arrays = group.map(m => model.array(q, m)), shape = arrays[0].shape;
        const [height, wide] = shape.slice(-2), slice = shape.length === 3 ? Math.min(this.reading ?? 0, shape[0] - 1) * height * wide : 0;
        const values = Array.from({length: height}, (_, r) => Array.from({length: wide}, (_, c) =>
          explorerModel.spread(arrays.map(array => array.y[slice + r * wide + c]), q.better).median));
        drawn.push({title, values});
      }
      const range = extent(shown.flatMap(({members: group}) => group.flatMap(m => Array.from(model.array(q, m).y))));
      for (const {title, values} of drawn)
        this.heat(title, values.map((_, r) => String(r)), values[0].map((_, c) => String(c)), values, range, "column", "row");
      if (groups.size > MOST_PANELS) notes.push(`The first ${MOST_PANELS} of ${groups.size} panels are drawn: filter.`);
      notes.unshift(`${count(members.length, "member")} in ${count(groups.size, "panel")}: the median over ${span([...groups.values()].map(group => group.members.length))} seeds. Colors are the same at every lag.`);
    }

    heat(title, rows, columns, values, range, x, y) {
      const {q} = this, box = el("div", {className: "chart"});
      const head = title === "" ? [] : [el("h4", {}, title)];
      this.panels.append(el("div", {className: "panel"}, ...head, box));
      this.panels.classList.toggle("single", this.panels.children.length < 2);
      const alt = `${q.name} by ${y} and ${x}, ${rows.length} × ${columns.length} cells`;
      explorerHeat.draw(box, {rows, columns, values, range, names: {x, y, alt}});
    }

    // ---- tables

    valuesTable() {
      const {state, model, q, lines} = this;
      if (!lines?.length || state.draw === "heat") return null;
      const axis = model.axis.get(state.x), xText = x => axis && !axis.number ? axis.text[x] : number(x);
      const keys = [...new Set([...(state.facet ? [state.facet] : []), ...lines.flatMap(line => line.words.map(([key]) => key))])];
      const rows = lines.map(line => {
        const words = new Map(line.words);
        if (state.facet) words.set(state.facet, line.facet);
        const k = axis ? -1 : state.at === Infinity ? line.x.length - 1 : line.x.length && state.at <= line.x[line.x.length - 1] ? nearest(line.x, state.at) : -1;
        const diverged = line.members.filter(m => model.diverged.has(m)).length;
        const inView = line.y.map((value, i) => [value, line.x[i]]).filter(([value, x]) => Number.isFinite(value) && (!state.zoom || (x >= state.zoom[0] && x <= state.zoom[1])));
        const best = sign => inView.reduce((found, pair) => found && sign * found[0] <= sign * pair[0] ? found : pair, null);
        return {line, words, k, diverged, low: best(1), high: best(-1), read: axis ? null : k < 0 ? NaN : line.y[k]};
      });
      const sort = state.sort || (q.better === "lower" ? "lowest" : "highest"), sign = sort === "lowest" ? 1 : -1;
      const rank = row => { const value = axis ? (sort === "lowest" ? row.low : row.high)?.[0] ?? NaN : row.read; return Number.isNaN(value) || (sign > 0 ? value === -Infinity && row.diverged : value === Infinity) ? Infinity : sign * value; };
      rows.sort((a, b) => rank(a) - rank(b));
      const head = [...keys, ...(axis ? [] : [`at ${state.x} ${state.at === Infinity ? "(last)" : number(this.reading)}`]), `lowest (at ${state.x})`, `highest (at ${state.x})`, "members", "diverged"];
      const at = pair => pair ? `${number(pair[0])} (${xText(pair[1])})` : "–";
      const body = rows.slice(0, MOST_ROWS).map(({line, words, k, diverged, low, high, read}) => [
        ...keys.map(key => words.get(key) ?? "–"),
        ...(axis ? [] : [number(read) + (k >= 0 && line.n && line.n[k] > 1 ? ` [${number(line.lowest[k])}, ${number(line.highest[k])}]` : "")]),
        at(low), at(high), String(line.members.length), diverged ? `× ${diverged}` : "",
      ]);
      const order = el("select", {name: "sort", "aria-label": "Order of the rows"}, new Option("highest first", "highest"), new Option("lowest first", "lowest"));
      order.value = sort;
      order.addEventListener("change", () => { state.sort = order.value; this.draw(); this.host.querySelector("[name=sort]").focus({preventScroll: true}); });
      const better = q.better ? ` ${q.better} is better.` : "";
      const caption = `${q.name}, a row per line.${better}${rows.length > MOST_ROWS ? ` The first ${MOST_ROWS} of ${rows.length} rows.` : ""}`;
      return el("section", {}, el("h3", {}, "Values ", order), el("p", {className: "note"}, caption), table("values", "Values of the lines", head, body));
    }

    divergedTable(members) {
      const {model, q} = this, found = members.filter(m => model.diverged.has(m));
      const head = el("h3", {}, `Diverged: ${found.length} of ${count(members.length, "member")}`);
      if (!found.length) return el("section", {className: "diverged"}, head);
      const axes = this.axes().filter(axis => !axis.result);
      const body = found.slice(0, MOST_ROWS).map(m => {
        const step = model.diverged.get(m), end = q.kind === "metric" || q.kind === "curve" ? model.end(q, m) : null;
        return [model.memberName(m), ...axes.map(axis => axis.text[axis.of[m]]), step < 0 ? "–" : String(step), end && end.y !== null ? number(end.y) : "none"];
      });
      const more = found.length > MOST_ROWS ? [el("p", {className: "note"}, `The first ${MOST_ROWS} of ${found.length}.`)] : [];
      return el("section", {className: "diverged"}, head, ...more,
        table("diverged", "Members that diverged", ["member", ...axes.map(axis => axis.key), "at step", `last finite ${q.kind === "metric" || q.kind === "curve" ? q.name : "value"}`], body));
    }
  }

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) if (Number.isFinite(value) && value !== null) { if (value < low) low = value; if (value > high) high = value; }
    return low > high ? [0, 1] : [low, high];
  }

  function table(name, label, head, body) {
    const row = (tag, cells) => el("tr", {}, ...cells.map(text => el(tag, tag === "th" ? {scope: "col"} : {}, text)));
    return el("div", {className: `scroll ${name}`, role: "region", tabIndex: 0, "aria-label": label},
      el("table", {}, el("thead", {}, row("th", head)), el("tbody", {}, ...body.map(cells => row("td", cells)))));
  }

  window.rnnlabExplorer = {open: (section, data) => new Explorer(section, data)};
})();
