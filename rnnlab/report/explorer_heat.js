"use strict";
// Heat maps: a grid of cells on a canvas, with its key of colors and the value under the pointer.
const explorerHeat = (() => {
  const COLORS = [
    "#440154",
    "#46327e",
    "#365c8d",
    "#277f8e",
    "#1fa187",
    "#4ac16d",
    "#a0da39",
    "#fde725",
  ];

  // values[r][c]; null where there is none. Everything that is not finite is hatched.
  function draw(host, {rows, columns, values, range, names}) {
    const {number, mix, short, theme} = explorerChart,
      colors = theme(host);
    const [low, high] = range,
      ratio = devicePixelRatio || 1;
    const wide = Math.max(host.clientWidth, 220);
    const canvas = document.createElement("canvas"),
      ctx = canvas.getContext("2d");
    const font = "12px system-ui, sans-serif";
    ctx.font = font;
    const length = texts => Math.max(0, ...texts.map(text => ctx.measureText(short(text)).width));
    const left = Math.min(length(rows) + 26, wide / 2),
      turned = length(columns) * columns.length > wide - left;
    const bottom = (turned ? Math.min(length(columns), 120) : 14) + 28;
    const tall = Math.min(Math.max(rows.length * 22, 120), 320),
      height = tall + bottom;
    Object.assign(canvas, {width: wide * ratio, height: height * ratio});
    Object.assign(canvas.style, {width: `${wide}px`, height: `${height}px`});
    ctx.scale(ratio, ratio);
    const w = (wide - left - 4) / columns.length,
      h = tall / rows.length;
    for (let r = 0; r < rows.length; r++)
      for (let c = 0; c < columns.length; c++) {
        const value = values[r][c];
        if (value === null || value === undefined) continue;
        const x = left + c * w,
          y = r * h,
          one = Math.max(w - (w > 6 ? 1 : 0), 0.5);
        if (Number.isFinite(value)) {
          ctx.fillStyle = mix(
            COLORS,
            high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5,
          );
          ctx.fillRect(x, y, one, h - (h > 6 ? 1 : 0));
        } else {
          ctx.strokeStyle = colors.soft;
          ctx.beginPath();
          ctx.moveTo(x, y);
          ctx.lineTo(x + w, y + h);
          ctx.moveTo(x + w, y);
          ctx.lineTo(x, y + h);
          ctx.stroke();
        }
      }
    Object.assign(ctx, {font, fillStyle: colors.ink, textBaseline: "middle", textAlign: "right"});
    const every = (count, size, least) => Math.max(1, Math.ceil((least * count) / size));
    for (let r = 0; r < rows.length; r += every(rows.length, tall, 14))
      ctx.fillText(short(rows[r]), left - 6, (r + 0.5) * h, left - 20);
    for (
      let c = 0;
      c < columns.length;
      c += every(columns.length, wide - left, turned ? 14 : length(columns) + 8)
    ) {
      ctx.save();
      ctx.translate(left + (c + 0.5) * w, tall + 6);
      if (turned) ctx.rotate(-Math.PI / 2);
      Object.assign(ctx, {
        textAlign: turned ? "right" : "center",
        textBaseline: turned ? "middle" : "top",
      });
      ctx.fillText(short(columns[c]), 0, 0, 118);
      ctx.restore();
    }
    Object.assign(ctx, {fillStyle: colors.soft, textAlign: "center", textBaseline: "bottom"});
    ctx.fillText(names.x, left + (wide - left) / 2, height - 2);
    ctx.save();
    ctx.translate(6, tall / 2);
    ctx.rotate(-Math.PI / 2);
    Object.assign(ctx, {textBaseline: "middle"});
    ctx.fillText(names.y, 0, 2);
    ctx.restore();
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", names.alt);
    host.append(canvas, key(low, high));
    const tip = host.closest(".explorer").querySelector(".tip");
    canvas.addEventListener("mousemove", event => {
      const box = canvas.getBoundingClientRect(),
        frame = tip.parentNode.getBoundingClientRect();
      const c = Math.floor((event.clientX - box.left - left) / w),
        r = Math.floor((event.clientY - box.top) / h);
      const value = values[r]?.[c];
      tip.hidden = value === null || value === undefined;
      if (tip.hidden) return;
      tip.textContent = `${names.y} ${rows[r]}, ${names.x} ${columns[c]}: ${number(value)}`;
      const side = Math.min(event.clientX - frame.left + 12, frame.width - tip.offsetWidth - 4);
      tip.style.left = `${Math.max(0, side)}px`;
      tip.style.top = `${event.clientY - frame.top + 14}px`;
    });
    canvas.addEventListener("mouseleave", () => {
      tip.hidden = true;
    });
  }

  function key(low, high) {
    const key = document.createElement("div"),
      bar = document.createElement("span");
    key.className = "heatkey";
    bar.style.background = `linear-gradient(to right, ${COLORS.join(", ")})`;
    key.append(explorerChart.number(low), bar, explorerChart.number(high));
    return key;
  }

  return {draw};
})();
