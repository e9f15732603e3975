"use strict";
// Lines in panels by uPlot: colors, axes, intervals, the mark of divergence, hover and zoom.
const explorerChart = (() => {
  const LIGHT = [
    "#0060a8",
    "#c24e00",
    "#00785a",
    "#a3417c",
    "#7a6200",
    "#5b5bd6",
    "#b3261e",
    "#4f6b76",
  ];
  const DARK = [
    "#6cb6f5",
    "#ff9f5a",
    "#4fd1a5",
    "#f29ac8",
    "#e5c94b",
    "#a9a6ff",
    "#ff8a80",
    "#a7bcc6",
  ];
  const DASHES = [[], [9, 4], [3, 3], [12, 3, 3, 3]];
  const SEQUENCE = {
    light: ["#4b1d91", "#0b6f86", "#9a6b00"],
    dark: ["#b9a2ff", "#4fc7d6", "#f0cf55"],
  };
  const MOST_BANDS = 40,
    NEAR = 40;

  const isDark = () =>
    !explorerChart.printing && matchMedia("(prefers-color-scheme: dark)").matches;

  function theme(host) {
    if (explorerChart.printing) return {ink: "#1b1f24", soft: "#57606a", line: "#d5dae0"};
    const style = getComputedStyle(host),
      read = name => style.getPropertyValue(name).trim();
    return {ink: read("--ink"), soft: read("--soft"), line: read("--line")};
  }

  function mix(stops, share) {
    const at = share * (stops.length - 1),
      k = Math.min(Math.floor(at), stops.length - 2);
    const channel = (hex, c) => parseInt(hex.slice(1 + 2 * c, 3 + 2 * c), 16);
    const mixed = [0, 1, 2].map(c =>
      Math.round(
        channel(stops[k], c) + (at - k) * (channel(stops[k + 1], c) - channel(stops[k], c)),
      ),
    );
    return "#" + mixed.map(value => value.toString(16).padStart(2, "0")).join("");
  }

  // Color and dash of the k-th value of an axis: in sequence for many numbers, else by turns.
  function pen(axis, k) {
    const dark = isDark();
    if (!axis) return {color: (dark ? DARK : LIGHT)[0], dash: []};
    if (axis.number && axis.text.length > 4)
      return {
        color: mix(dark ? SEQUENCE.dark : SEQUENCE.light, k / (axis.text.length - 1)),
        dash: [],
      };
    const colors = dark ? DARK : LIGHT;
    return {
      color: colors[k % colors.length],
      dash: DASHES[Math.floor(k / colors.length) % DASHES.length],
    };
  }

  function number(value) {
    if (value === null || value === undefined) return "–";
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    // whole numbers in full, such as steps; long ones with few digits stay short
    const few = size >= 1e6 && Number(value.toPrecision(4)) === value;
    if (Number.isInteger(value) && size < 1e9 && !few) return String(value).replace("-", "−");
    const text =
      size !== 0 && (size < 1e-3 || size >= 1e6)
        ? value.toExponential(3).replace(/\.?0+e/, "e")
        : String(Number(value.toPrecision(4)));
    return text.replace("-", "−").replace("e+", "e");
  }

  const drawable = (value, log) => Number.isFinite(value) && !(log && value <= 0);

  // One panel as uPlot takes it: lines on one x, null where there is nothing to draw.
  function align(lines, state) {
    const inside = x => !(state.logx && x <= 0);
    let xs;
    const first = lines.length ? lines[0].x : [];
    if (lines.every(line => line.x === first)) xs = first.filter(inside);
    else
      xs = [...new Set(lines.map(line => line.x).flatMap(x => x))]
        .filter(inside)
        .sort((a, b) => a - b);
    const place = new Map(xs.map((x, k) => [x, k]));
    const spread = (line, values) => {
      const column = new Array(xs.length).fill(undefined);
      line.x.forEach((x, k) => {
        if (place.has(x)) column[place.get(x)] = drawable(values[k], state.logy) ? values[k] : null;
      });
      return column;
    };
    return {xs, spread};
  }

  // The range of y over all panels, so that panels compare.
  function range(lines, marks, state, bands) {
    let low = Infinity,
      high = -Infinity;
    const [from, to] = state.zoom || [-Infinity, Infinity];
    const take = value => {
      if (!drawable(value, state.logy)) return;
      if (value < low) low = value;
      if (value > high) high = value;
    };
    for (const line of lines)
      line.x.forEach((x, k) => {
        if (x < from || x > to) return;
        take(line.y[k]);
        if (bands && line.lowest) {
          take(line.lowest[k]);
          take(line.highest[k]);
        }
      });
    for (const mark of marks) if (mark.x >= from && mark.x <= to) take(mark.y);
    if (low > high) return state.logy ? [0.1, 1] : [0, 1];
    if (state.logy) return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
    const pad = (high - low || Math.abs(high) || 1) * 0.04;
    return [low - pad, high + pad];
  }

  // The range of x over all panels.
  function width(lines, state, categories) {
    if (categories) return [-0.5, categories.length - 0.5];
    let low = Infinity,
      high = -Infinity;
    for (const {x} of lines)
      for (const value of x) {
        if (state.logx && value <= 0) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    if (low > high) return state.logx ? [0.1, 1] : [0, 1];
    if (state.zoom) {
      const from = state.logx ? Math.max(state.zoom[0], low) : state.zoom[0];
      if (from < state.zoom[1]) return [from, state.zoom[1]];
    }
    if (state.logx) return low === high ? [low / 2, high * 2] : [low / 1.05, high * 1.05];
    const pad = low === high ? 0.5 : state.axis ? (high - low) * 0.03 : 0;
    return [low - pad, high + pad];
  }

  const short = text => (text.length > 16 ? text.slice(0, 15) + "…" : text);

  // Places on a log axis: 1, 2, 5 of every decade, or as few powers of ten as fit.
  function logSplits(low, high) {
    const first = Math.floor(Math.log10(low)),
      last = Math.ceil(Math.log10(high));
    const step = Math.max(1, Math.ceil((last - first) / 8)),
      splits = [];
    for (let k = first; k <= last; k += step)
      for (const digit of last - first < 4 ? [1, 2, 5] : [1]) splits.push(Number(`${digit}e${k}`));
    const inside = splits.filter(value => value >= low && value <= high);
    if (inside.length > 1) return inside;
    const shares = [0, 0.25, 0.5, 0.75, 1]; // less than a decade
    return shares.map(share => Number((low * (high / low) ** share).toPrecision(3)));
  }

  // Draw one panel; returns the chart, or null where it has no lines.
  function panel(host, {lines, marks, xRange, yRange, bands, categories, names}, state, onZoom) {
    const {xs, spread} = align(lines, state),
      colors = theme(host);
    const data = [xs],
      series = [{}],
      charted = [null],
      areas = [];
    for (const line of lines) {
      const dots = state.axis || line.x.length < 3;
      data.push(spread(line, line.y));
      charted.push(line);
      series.push({
        stroke: line.pen.color,
        width: lines.length > 200 ? 0.75 : 1.75,
        dash: line.pen.dash,
        points: {show: dots, size: 7, fill: line.pen.color, stroke: line.pen.color},
      });
      if (bands && line.lowest && line.x.length > 1) {
        const at = data.length;
        for (const values of [line.highest, line.lowest]) {
          data.push(spread(line, values));
          charted.push(null);
          series.push({stroke: "transparent", width: 0, points: {show: false}});
        }
        areas.push({series: [at, at + 1], fill: line.pen.color + "2e"});
      }
    }
    const axis = {
      stroke: colors.ink,
      grid: {stroke: colors.line, width: 1},
      ticks: {stroke: colors.line},
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
    };
    const words = (_, ticks) => ticks.map(tick => (tick === null ? "" : number(tick)));
    const log = {splits: (u, side, low, high) => logSplits(low, high), filter: (u, ticks) => ticks};
    const xAxis = {...axis, label: names.x, labelSize: 18, values: words, ...(state.logx && log)};
    if (categories)
      Object.assign(xAxis, {
        splits: () => categories.map((_, k) => k),
        filter: (u, ticks) => ticks,
        rotate: -40,
        size: 96,
        values: () => categories.map(short),
      });
    const tip = host.closest(".explorer").querySelector(".tip");
    const chart = new uPlot(
      {
        width: Math.max(host.clientWidth, 200),
        height: categories ? 330 : 270,
        legend: {show: false},
        scales: {
          x: {time: false, distr: state.logx && !categories ? 3 : 1, range: () => xRange},
          y: {distr: state.logy ? 3 : 1, range: () => yRange},
        },
        axes: [
          xAxis,
          {
            ...axis,
            label: names.y,
            labelSize: 18,
            size: 62,
            values: words,
            ...(state.logy && log),
          },
        ],
        series,
        bands: areas,
        padding: [8, 22, 0, 0],
        cursor: {
          points: {show: false},
          y: false,
          drag: {x: !categories, y: false, setScale: false},
          bind: {
            dblclick: () => () => {
              onZoom(null);
            },
          },
        },
        hooks: {
          draw: [
            u => {
              drawMarks(u, marks, colors, state);
              drawReading(u, state, colors);
            },
          ],
          setCursor: [u => hover(u, tip, charted, marks, state)],
          setSelect: [
            u => {
              if (u.select.width > 4)
                onZoom([
                  u.posToVal(u.select.left, "x"),
                  u.posToVal(u.select.left + u.select.width, "x"),
                ]);
            },
          ],
        },
      },
      data,
      host,
    );
    host.firstChild.setAttribute("role", "img");
    host.firstChild.setAttribute("aria-label", names.alt);
    host.addEventListener("mouseleave", () => {
      tip.hidden = true;
    });
    return chart;
  }

  // Where a mark without a finite value stands: at the upper edge.
  function markPlace(u, mark, canvas) {
    const y = mark.y === null ? u.scales.y.max : mark.y;
    return [
      u.valToPos(mark.x, "x", canvas),
      u.valToPos(y, "y", canvas) + (mark.y === null ? 8 : 0),
    ];
  }

  function drawMarks(u, marks, colors, state) {
    const size = 5 * devicePixelRatio,
      {ctx} = u;
    ctx.save();
    ctx.lineWidth = 2.5 * devicePixelRatio;
    for (const mark of marks) {
      if (mark.x < u.scales.x.min || mark.x > u.scales.x.max || (state.logx && mark.x <= 0))
        continue;
      const [x, y] = markPlace(u, mark, true);
      ctx.strokeStyle = mark.pen.color;
      ctx.beginPath();
      ctx.moveTo(x - size, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.moveTo(x - size, y + size);
      ctx.lineTo(x + size, y - size);
      ctx.stroke();
    }
    ctx.restore();
  }

  function drawReading(u, state, colors) {
    if (state.axis || state.reading === null || (state.logx && state.reading <= 0)) return;
    const {min, max} = u.scales.x;
    if (state.reading < min || state.reading > max) return;
    const x = u.valToPos(state.reading, "x", true),
      {ctx, bbox} = u;
    ctx.save();
    ctx.strokeStyle = colors.soft;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  // The place nearest to k at which a column has a value: lines need not share their places.
  function valued(column, k) {
    for (let away = 0; away < 5; away++)
      for (const place of [k - away, k + away])
        if (column[place] !== null && column[place] !== undefined) return place;
    return -1;
  }

  // Say what lies nearest to the pointer.
  function hover(u, tip, lines, marks, state) {
    const {left, top, idx} = u.cursor;
    if (left < 0 || idx === null || idx === undefined) {
      tip.hidden = true;
      return;
    }
    let best = NEAR,
      found = null,
      place = null;
    for (let s = 1; s < lines.length; s++) {
      const k = lines[s] ? valued(u.data[s], idx) : -1;
      if (k < 0) continue;
      const x = u.valToPos(u.data[0][k], "x"),
        y = u.valToPos(u.data[s][k], "y");
      const distance = Math.hypot(y - top, k === idx ? 0 : x - left);
      if (distance < best) {
        best = distance;
        found = lines[s].tip(u.data[0][k]);
        place = [x, y];
      }
    }
    for (const mark of marks) {
      if (state.logx && mark.x <= 0) continue;
      const [x, y] = markPlace(u, mark, false),
        distance = Math.hypot(x - left, y - top);
      if (distance < Math.min(12, best + 6)) {
        best = distance;
        found = mark.tip;
        place = [x, y];
      }
    }
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(
      ...found.map(text => Object.assign(document.createElement("div"), {textContent: text})),
    );
    const box = u.over.getBoundingClientRect(),
      frame = tip.parentNode.getBoundingClientRect();
    const x = box.left - frame.left + place[0],
      y = box.top - frame.top + place[1];
    tip.style.left = `${Math.max(0, Math.min(x + 12, frame.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + 14}px`;
  }

  return {
    MOST_BANDS,
    drawable,
    isDark,
    mix,
    number,
    panel,
    pen,
    printing: false,
    range,
    short,
    theme,
    width,
  };
})();
