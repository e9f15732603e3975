"use strict";
// The explorer: its state and its controls. window.rnnlabExplorer.open(section, data).
(() => {
  const {count, el} = explorerParts,
    {Model, nearest} = explorerModel;
  const KINDS = {
    metric: "Logged while training",
    curve: "Curves",
    result: "Results",
    array: "Arrays",
  };

  class Explorer {
    constructor(section, data) {
      this.section = section;
      this.host = section.querySelector(".explorer-body");
      this.controls = {};
      this.wanted = "lines"; // how to draw, where there is a choice
      this.state = {
        show: "",
        draw: "lines",
        x: "",
        rows: "",
        color: "",
        facet: "",
        seeds: "median",
        logx: false,
        logy: false,
        at: Infinity,
        zoom: null,
        sort: "",
        hidden: new Set(),
        filters: new Map(),
      };
      this.load(data);
      section.dataset.open = "";
      const redraw = () => this.draw();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
      addEventListener("beforeprint", () => {
        explorerChart.printing = true;
        this.panels.style.maxWidth = "640px";
        this.draw();
      });
      addEventListener("afterprint", () => {
        explorerChart.printing = false;
        this.panels.style.maxWidth = "";
        this.draw();
      });
      let drawn = this.panels.clientWidth;
      new ResizeObserver(() => {
        if (Math.abs(this.panels.clientWidth - drawn) > 4) {
          drawn = this.panels.clientWidth;
          this.draw();
        }
      }).observe(this.panels);
    }

    // Take data, new or changed; choices that still exist are kept.
    load(data) {
      this.model = new Model(data);
      const {state, model} = this;
      if (!this.touched || !model.quantities.has(state.show)) this.choose();
      for (const name of ["color", "facet", "rows"])
        if (!model.axis.has(state[name])) state[name] = "";
      const focused = this.host.contains(document.activeElement) ? document.activeElement.name : "";
      const unfolded = [...this.host.querySelectorAll("details[open]")].map(
        box => box.dataset.axis,
      );
      this.build();
      for (const box of this.host.querySelectorAll("details"))
        box.open = unfolded.includes(box.dataset.axis);
      this.update();
      if (focused) this.controls[focused]?.focus({preventScroll: true});
    }

    get q() {
      return this.model.quantities.get(this.state.show);
    }

    axes() {
      return this.model.axes.filter(axis => axis.text.length > 1);
    }

    // The first view: the headline, colored by one axis, a panel per value of another.
    choose() {
      const {state, model} = this,
        all = [...model.quantities.entries()];
      const kinds = ["metric", "curve", "result", "array"];
      const first = kinds.map(kind => all.find(([, q]) => q.kind === kind)).find(Boolean);
      state.show = first ? first[0] : "";
      state.logy = Boolean(first) && first[1].kind !== "array" && model.wide(first[1]);
      const config = this.axes().filter(axis => !axis.result && axis.key !== "seed");
      const pair = config.filter(axis => axis.text.length <= 24).slice(0, 2);
      pair.sort((a, b) => b.text.length - a.text.length);
      state.color = pair[0]?.key ?? "";
      state.facet = pair[1] && pair[1].text.length <= 6 ? pair[1].key : "";
    }

    xs(q) {
      const axes = this.axes()
        .filter(axis => !axis.result)
        .map(axis => axis.key);
      if (q.kind === "array") return [];
      if (q.kind === "result") return axes.length ? axes : [this.model.axes[0].key];
      const longest = Math.max(...q.of.filter(Boolean).map(code => code.length - 3));
      const lists = Object.entries(this.model.data.lists).filter(
        ([, list]) => list.length === longest,
      );
      return [q.x, ...lists.map(([key]) => key), ...axes];
    }

    build() {
      const {model, state} = this,
        controls = el("form", {className: "controls", autocomplete: "off"});
      controls.addEventListener("submit", event => event.preventDefault());
      const select = (name, label) => {
        const id = `explorer-${name}`,
          input = el("select", {id, name});
        input.addEventListener("change", () => {
          state[name] = input.value;
          this.changed(name);
        });
        this.controls[name] = input;
        controls.append(el("div", {}, el("label", {for: id}, label), input));
      };
      select("show", "Show");
      select("draw", "Draw as");
      select("x", "x");
      select("rows", "Rows");
      select("color", "Color by");
      select("facet", "Panel per");
      select("seeds", "Seeds");
      const show = this.controls.show;
      for (const [kind, label] of Object.entries(KINDS)) {
        const group = el("optgroup", {label});
        for (const [key, q] of model.quantities)
          if (q.kind === kind)
            group.append(new Option(q.name + (q.unit ? ` (${q.unit})` : ""), key));
        if (group.children.length) show.append(group);
      }
      this.fill("seeds", [
        ["median", "median, interval"],
        ["every", "every seed"],
      ]);
      const check = (name, label) => {
        const input = el("input", {type: "checkbox", name});
        input.addEventListener("change", () => {
          this.touched = true;
          state[name] = input.checked;
          this.draw();
        });
        this.controls[name] = input;
        return el("label", {className: "check"}, input, ` ${label}`);
      };
      controls.append(
        el("div", {className: "checks"}, check("logx", "log x"), check("logy", "log y")),
      );
      controls.append(this.slider(), this.zoomFields());
      const filters = el("div", {className: "filters", role: "group", "aria-label": "Filter"});
      for (const axis of this.axes()) filters.append(this.filter(axis));
      this.legend = el("div", {
        className: "legend",
        role: "group",
        "aria-label": "Show or hide by color",
      });
      this.panels = this.panels ?? el("div", {className: "panels"});
      this.tip = el("div", {className: "tip", hidden: true, role: "status"});
      this.notes = el("div", {className: "note", "aria-live": "polite"});
      this.tables = el("div", {className: "tables"});
      this.host.replaceChildren(
        controls,
        filters,
        this.legend,
        this.panels,
        this.notes,
        this.tables,
        this.tip,
      );
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
      const exact = el("input", {
        type: "number",
        name: "exact",
        step: "any",
        "aria-label": "read at, exactly",
      });
      const label = el("label", {for: "explorer-at"}, "Read at");
      range.addEventListener("input", () => {
        const k = Number(range.value);
        this.state.at = k >= this.places.length - 1 ? Infinity : this.places[k];
        this.draw();
      });
      exact.addEventListener("change", () => {
        if (exact.value !== "")
          this.state.at = this.places[nearest(this.places, Number(exact.value))];
        this.draw();
      });
      this.controls.at = range;
      this.controls.exact = exact;
      this.atBox = el("div", {className: "at"}, label, range, exact);
      this.atLabel = label;
      return this.atBox;
    }

    zoomFields() {
      const box = el("div", {className: "zoomed"});
      for (const [k, name, label] of [
        [0, "from", "x from"],
        [1, "to", "x to"],
      ]) {
        const input = el("input", {type: "number", step: "any", name, id: `explorer-${name}`});
        input.addEventListener("change", () => {
          const zoom = [this.controls.from, this.controls.to].map(field => field.value);
          const full = this.full ?? [0, 1];
          const asked = zoom.map((text, side) => (text === "" ? full[side] : Number(text)));
          this.state.zoom = asked[0] < asked[1] && zoom.some(text => text !== "") ? asked : null;
          this.draw();
        });
        this.controls[name] = input;
        box.append(el("div", {}, el("label", {for: input.id}, label), input));
      }
      const reset = el("button", {type: "button", name: "reset"}, "Reset zoom");
      reset.addEventListener("click", () => {
        this.state.zoom = null;
        this.draw();
      });
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
          if (input.checked) off.delete(text);
          else off.add(text);
          say();
          this.draw();
        });
        return el("label", {className: "check"}, input, ` ${text}`);
      });
      const summary = el("summary");
      const say = () => {
        const kept = off.size ? `${axis.text.length - off.size} of` : "all";
        summary.textContent = `${axis.key}: ${kept} ${axis.text.length}`;
      };
      const all = (label, checked) => {
        const button = el("button", {type: "button"}, label);
        button.addEventListener("click", () => {
          off.clear();
          if (!checked) axis.text.forEach(text => off.add(text));
          boxes.forEach(box => {
            box.firstChild.checked = checked;
          });
          say();
          this.draw();
        });
        return button;
      };
      say();
      return el(
        "details",
        {className: "filter", "data-axis": axis.key},
        summary,
        el(
          "div",
          {className: "choices", role: "group", "aria-label": axis.key},
          el("div", {}, all("All", true), " ", all("None", false)),
          ...boxes,
        ),
      );
    }

    changed(name) {
      const {state} = this;
      this.touched = true;
      if (name === "draw") this.wanted = state.draw;
      if (name === "show") {
        state.at = Infinity;
        state.logy = this.q.kind !== "array" && this.model.wide(this.q);
        state.sort = "";
      }
      if (name === "show" || name === "x" || name === "draw") state.zoom = null;
      if (name === "color") state.hidden.clear();
      this.update(name);
    }

    // Offer in each control what the quantity shown allows, then draw.
    update(name = "") {
      const {state, q, model} = this;
      if (!q) {
        this.notes.replaceChildren("Nothing to show yet: no member has finished or logged.");
        return;
      }
      this.controls.show.value = state.show;
      const axes = this.axes(),
        config = axes.filter(axis => !axis.result && axis.key !== "seed");
      const heat =
        q.kind === "array"
          ? [["heat", "heat map"]]
          : config.length > 1
            ? [
                ["lines", "lines"],
                ["heat", "heat map"],
              ]
            : [["lines", "lines"]];
      state.draw = q.kind === "array" ? "heat" : this.wanted;
      this.fill("draw", heat);
      const isHeat = state.draw === "heat",
        grid = isHeat && q.kind !== "array";
      let xs = this.xs(q);
      if (grid) xs = config.map(axis => axis.key);
      if (!xs.includes(state.x)) {
        const usual = config.find(axis => axis.number && axis.text.length > 2) ?? config[0];
        state.x = q.kind === "result" && usual ? usual.key : (xs[0] ?? "");
        this.controls.logx.checked = state.logx = false;
        name = "x";
      }
      this.fill(
        "x",
        xs.map(x => [x, x]),
      );
      if (grid && (!state.rows || state.rows === state.x))
        state.rows = config.find(axis => axis.key !== state.x).key;
      this.controls.rows.parentNode.hidden = !grid;
      this.fill(
        "rows",
        grid
          ? config.filter(axis => axis.key !== state.x).map(axis => [axis.key, axis.key])
          : [["", "–"]],
      );
      const none = [["", "nothing"]],
        keys = axes.map(axis => [axis.key, axis.key]);
      this.fill("color", none.concat(keys));
      this.controls.color.disabled = isHeat;
      this.fill("facet", none.concat(keys));
      const axis = model.axis.get(state.x);
      if (name === "x")
        state.logx = Boolean(
          !isHeat &&
          axis?.number &&
          axis.number[0] > 0 &&
          axis.number[axis.number.length - 1] / axis.number[0] >= 20,
        );
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
      const having = members.filter(m => model.has(q, m));
      const lags =
        q.kind === "array"
          ? explorerGrids.depth(q, having)
          : q.kind === "result"
            ? []
            : model.places(q, having, state.x);
      this.setPlaces(lags);
      const notes = [];
      this.lines = [];
      if (having.length < members.length)
        notes.push(
          `No ${q.name} in ${count(members.length - having.length, "member")} of those chosen.`,
        );
      if (!having.length) notes.push("No member is left: choose more values in the filters.");
      else if (state.draw === "heat") this.drawHeat(having, notes);
      else explorerLines.draw(this, having, notes);
      this.dataNotes(notes);
      this.notes.replaceChildren(...notes.map(text => el("p", {}, text)));
      const tables = [
        explorerTables.valuesTable(this),
        explorerTables.divergedTable(this, members),
      ];
      this.tables.replaceChildren(...tables.filter(Boolean));
      if (scrollY !== top) scrollTo(scrollX, top);
      this.section.dataset.lines = this.lines.length;
    }

    setPlaces(places) {
      const {state, q} = this,
        {at, exact} = this.controls;
      this.places = places;
      this.atBox.hidden = places.length < 2;
      this.zoomBox.hidden =
        state.draw === "heat" ||
        (this.model.axis.has(state.x) && !this.model.axis.get(state.x).number);
      const word = q.kind === "array" ? "lag" : this.model.axis.has(state.x) ? q.x : state.x;
      const last = state.at === Infinity,
        k = last ? places.length - 1 : nearest(places, state.at);
      at.max = Math.max(0, places.length - 1);
      at.value = k;
      exact.value = places.length ? places[k] : "";
      this.reading = places.length ? places[k] : null;
      this.atLabel.textContent = `Read at ${word}${last ? " (last)" : ""}`;
    }

    // A panel with its title, to draw in.
    box(title) {
      const box = el("div", {className: "chart"}),
        head = title ? [el("h4", {}, title)] : [];
      this.panels.append(el("div", {className: "panel"}, ...head, box));
      return box;
    }

    dataNotes(notes) {
      const {data, size, atWork} = this.model,
        names = Object.keys(data.thinned);
      if (names.length)
        notes.push(
          `Down-sampled: at most ${count(data.points, "point")} of a curve are kept, evenly spaced, ` +
            `of up to ${Math.max(...Object.values(data.thinned)).toLocaleString("en")} ` +
            `(${names.join(", ")}). All are in the run’s files.`,
        );
      if (data.too_large.length)
        notes.push(`Too large for one page, and left out: ${data.too_large.join(", ")}.`);
      if (data.left_out.length)
        notes.push(`Neither single numbers nor few words, and left out: ${data.left_out.join(", ")}.`);
      if (atWork.size)
        notes.push(
          `${count(atWork.size, "member")} of ${size.toLocaleString("en")} still at work.`,
        );
    }

    drawHeat(members, notes) {
      this.legend.hidden = true;
      if (this.q.kind === "array") explorerGrids.drawArrays(this, members, notes);
      else explorerGrids.drawGrid(this, members, notes);
    }
  }

  window.rnnlabExplorer = {open: (section, data) => new Explorer(section, data)};
})();
