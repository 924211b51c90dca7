const HELD_MATRICES = 4;
const SMALL_CELL = 6;
const LARGEST_CELL = 112;

function colorTable(stops) {
  const colors = stops.map(parseColor);
  return Array.from({ length: 256 }, (_, index) => {
    const place = (Math.max(0, index - 1) / 254) * (colors.length - 1);
    const low = Math.min(colors.length - 2, Math.floor(place));
    return mix(colors[low], colors[low + 1], place - low);
  });
}

class Heatmap {
  constructor(parent) {
    this.root = make("div", "root heatmap");
    this.stage = make("div", "stage");
    this.canvas = make("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.tip = make("div", "tip hidden");
    this.zoom = make("div", "zoom hidden");
    this.live = make("div", "sr-only");
    this.live.setAttribute("aria-live", "polite");
    this.legend = make("div", "legend");
    this.stage.append(this.canvas, this.zoom, this.tip);
    this.root.append(this.stage, this.legend, this.live);
    parent.append(this.root);
    this.addZoomButtons();
    this.addListeners();
    this.seq = 0;
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.stage);
  }

  addZoomButtons() {
    const buttons = [["zoom_in", "Zoom in", () => this.zoomBy(1.6)], ["zoom_out", "Zoom out", () => this.zoomBy(1 / 1.6)],
      ["fit_screen", "Show all", () => this.showAll()]];
    for (const [name, label, action] of buttons) {
      const button = iconButton(name, label);
      button.onclick = action;
      this.zoom.append(button);
    }
  }

  addListeners() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (e) => this.pointerDown(e));
    canvas.addEventListener("pointermove", (e) => this.pointerMove(e));
    canvas.addEventListener("pointerup", (e) => this.pointerUp(e));
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.redraw(); });
    canvas.addEventListener("pointerleave", () => this.pointAt(null));
    canvas.addEventListener("dblclick", () => this.showAll());
    canvas.addEventListener("contextmenu", (e) => { if (this.drag) e.preventDefault(); });
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    canvas.addEventListener("keydown", (e) => this.keyDown(e));
    canvas.addEventListener("blur", () => this.pointAt(null));
  }

  async update(component) {
    this.component = component;
    const head = await received(this, component, shared.arrays, HELD_MATRICES);
    if (head) this.apply(head);
  }

  apply(head) {
    const [image, ...hover] = shared.arrays.get(head.digest);
    const reshaped = !this.head || head.rows.length !== this.R || head.cols.length !== this.C;
    this.head = head;
    this.image = image.data;
    this.hover = hover;
    this.R = head.rows.length;
    this.C = head.cols.length;
    if (reshaped) this.view = { r: 0, c: 0, rows: this.R, cols: this.C };
    // An answer to an older click than the last one must not move the cursor back.
    if (reshaped || (head.seq >= this.seq && !this.timer)) {
      this.cell = head.cell;
      this.box = head.box;
      this.seq = Math.max(this.seq, head.seq);
    }
    this.raster = null;
    this.canvas.setAttribute("aria-label", `Heatmap of ${this.R} ${this.title(0)} by ${this.C} ${this.title(1)}; arrow keys move the cell`);
    this.redraw();
  }

  title(side) {
    return this.head.titles?.[side] || (this.head.modality[side] === "audio" ? "sound clusters" : "picture clusters");
  }

  // ---- geometry

  layout() {
    const ctx = this.canvas.getContext("2d");
    const width = Math.max(240, this.stage.clientWidth);
    const height = Math.max(160, this.head.height - 48);
    ctx.font = `12px ${this.theme.font}`;
    const { rows, cols } = this.view;
    // Names give way where cells are small: what they stand beside would be smaller still.
    const tiny = Math.min(width / cols, height / rows) < 2 * SMALL_CELL;
    this.room = Math.min(tiny ? 84 : 124, 0.24 * width);
    const widths = (labels) => labels.slice(0, 1024).map((l) => Math.min(this.room, ctx.measureText(l).width));
    const colWidths = widths(this.head.cols);
    const rowLabel = Math.max(...widths(this.head.rows), 8);
    const colLabel = Math.max(...colWidths, 8);
    const left = 24 + rowLabel + 8;
    const rowBar = this.head.row_totals ? 56 : 0;
    const colBar = this.head.col_totals ? 44 : 0;
    const least = (width - left - rowBar - 24) / cols;
    const place = (slanted) => {
      const top = 26 + (slanted ? Math.ceil(colLabel * 0.707) + 14 : 20);
      // A slanted name reaches as far right of its column as it is long; those of the last columns need the room.
      const reach = (c, i) => 0.707 * c - Math.max(0, this.view.c + cols - i - 1) * Math.min(least, LARGEST_CELL) * 0.5;
      const right = Math.max(rowBar, slanted ? Math.ceil(Math.max(...colWidths.map(reach))) : 8) + 8;
      const roomW = width - left - right;
      const roomH = height - top - colBar - 4;
      const ch = Math.min(roomH / rows, LARGEST_CELL, (roomW / cols) * 1.4);
      const cw = Math.min(roomW / cols, LARGEST_CELL * 1.4, ch * 1.75);
      return { slanted, left, top, cw, ch, width, height, rowBar, colBar, w: cw * cols, h: ch * rows };
    };
    const flat = place(false);
    return colLabel + 10 <= flat.cw ? flat : place(true);
  }

  cellAt(x, y) {
    const { left, top, cw, ch, w, h } = this.box2d;
    const inCols = x >= left && x < left + w;
    const inRows = y >= top && y < top + h;
    const row = inRows ? Math.min(this.R - 1, Math.floor(this.view.r + (y - top) / ch)) : -1;
    const col = inCols ? Math.min(this.C - 1, Math.floor(this.view.c + (x - left) / cw)) : -1;
    return { row, col };
  }

  // ---- drawing

  redraw() {
    if (!this.head || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  prepare() {
    this.theme = themeOf(this.root);
    const key = `${this.theme.dark}|${this.head.digest}`;
    if (this.raster && this.rasterKey === key) return;
    this.rasterKey = key;
    this.table = colorTable(this.head.stops[this.theme.dark ? "dark" : "light"]);
    this.table[0] = mix(this.theme.background, this.theme.text, this.theme.dark ? 0.045 : 0.035);
    this.raster = new OffscreenCanvas(this.C, this.R);
    const pixels = new ImageData(this.C, this.R);
    for (let i = 0; i < this.image.length; i++) {
      const color = this.table[this.image[i]];
      pixels.data.set([color[0], color[1], color[2], 255], 4 * i);
    }
    this.raster.getContext("2d").putImageData(pixels, 0, 0);
    this.drawLegend();
  }

  draw() {
    this.prepare();
    const box = (this.box2d = this.layout());
    const ratio = window.devicePixelRatio || 1;
    const canvas = this.canvas;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    canvas.style.height = `${box.height}px`;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, box.width, box.height);
    this.snap = (v) => Math.round(v * ratio) / ratio;
    this.drawCells(ctx, box);
    this.drawMarks(ctx, box);
    this.drawLabels(ctx, box);
    this.drawTotals(ctx, box);
    const whole = this.view.rows >= this.R && this.view.cols >= this.C;
    this.zoom.classList.toggle("hidden", whole && Math.min(box.cw, box.ch) >= SMALL_CELL);
  }

  edge(side, index) {
    const { left, top, cw, ch } = this.box2d;
    return this.snap(side ? left + (index - this.view.c) * cw : top + (index - this.view.r) * ch);
  }

  visible() {
    const { r, c, rows, cols } = this.view;
    return [Math.floor(r), Math.min(this.R, Math.ceil(r + rows)), Math.floor(c), Math.min(this.C, Math.ceil(c + cols))];
  }

  drawCells(ctx, { left, top, w, h, cw, ch }) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, w, h);
    ctx.clip();
    if (Math.min(cw, ch) < 8) {
      ctx.imageSmoothingEnabled = false;
      const { r, c, rows, cols } = this.view;
      ctx.drawImage(this.raster, c, r, cols, rows, left, top, w, h);
    } else {
      const [r0, r1, c0, c1] = this.visible();
      const gap = Math.min(cw, ch) >= 20 ? 2 : 1;
      for (let r = r0; r < r1; r++) {
        const y = this.edge(0, r);
        const high = this.edge(0, r + 1) - y - gap;
        for (let c = c0; c < c1; c++) {
          const x = this.edge(1, c);
          ctx.fillStyle = rgb(this.table[this.image[r * this.C + c]]);
          ctx.fillRect(x, y, this.edge(1, c + 1) - x - gap, high);
        }
      }
      if (cw >= 36 && ch >= 20) this.drawNumbers(ctx, r0, r1, c0, c1);
    }
    ctx.restore();
  }

  drawNumbers(ctx, r0, r1, c0, c1) {
    const shown = this.hover.find(({ name }) => name === this.head.shown);
    ctx.font = `12px ${this.theme.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let r = r0; r < r1; r++) {
      for (let c = c0; c < c1; c++) {
        const at = r * this.C + c;
        const color = this.table[this.image[at]];
        const empty = this.image[at] === 0;
        ctx.fillStyle = empty ? rgb(this.theme.muted, 0.7) : luminance(color) > 0.5 ? "rgba(10,16,24,0.88)" : "rgba(255,255,255,0.95)";
        ctx.fillText(formatBrief(shown.data[at]), (this.edge(1, c) + this.edge(1, c + 1)) / 2 - 1, (this.edge(0, r) + this.edge(0, r + 1)) / 2);
      }
    }
  }

  drawMarks(ctx, { left, top, w, h, cw, ch }) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left - 4, top - 4, w + 8, h + 8);
    ctx.clip();
    const gap = Math.min(cw, ch) >= 20 ? 2 : Math.min(cw, ch) >= 8 ? 1 : 0;
    const frame = (r0, c0, r1, c1, least) => {
      let [x, y, x2, y2] = [this.edge(1, c0), this.edge(0, r0), this.edge(1, c1 + 1) - gap, this.edge(0, r1 + 1) - gap];
      const grow = Math.max(0, (least - (x2 - x)) / 2, (least - (y2 - y)) / 2);
      return [x - grow, y - grow, x2 - x + 2 * grow, y2 - y + 2 * grow];
    };
    const box = this.drag?.box ?? this.box;
    if (box) {
      const [x, y, bw, bh] = frame(...box, 6);
      ctx.fillStyle = rgb(this.theme.background, 0.55);
      ctx.beginPath();
      ctx.rect(left, top, w, h);
      ctx.rect(x, y, bw, bh);
      ctx.fill("evenodd");
      ctx.strokeStyle = rgb(this.theme.text);
      ctx.lineWidth = 2;
      ctx.strokeRect(x, y, bw, bh);
    }
    const outline = (cell, width, color) => {
      const [x, y, fw, fh] = frame(cell[0], cell[1], cell[0], cell[1], 8);
      ctx.lineWidth = width + 2;
      ctx.strokeStyle = rgb(this.theme.background);
      ctx.strokeRect(x, y, fw, fh);
      ctx.lineWidth = width;
      ctx.strokeStyle = color;
      ctx.strokeRect(x, y, fw, fh);
    };
    if (this.cell && !box) outline(this.cell, 2.5, rgb(this.theme.text));
    const at = this.pointed;
    if (at && !this.drag?.box && at.row >= 0 && at.col >= 0) outline([at.row, at.col], 1.5, rgb(this.theme.primary));
    ctx.restore();
  }

  drawLabels(ctx, box) {
    const { left, top, cw, ch, w, h } = box;
    const [r0, r1, c0, c1] = this.visible();
    const bold = this.pointed ?? (this.cell ? { row: this.cell[0], col: this.cell[1] } : { row: -1, col: -1 });
    const styled = (strong, ink) => {
      ctx.font = `${strong ? 600 : 400} 12px ${this.theme.font}`;
      ctx.fillStyle = strong ? rgb(ink) : rgb(this.theme.muted);
    };
    ctx.textBaseline = "middle";
    const each = (from, to, size, bolded, draw) => {
      const step = Math.max(1, Math.ceil(15 / size));
      for (let i = Math.ceil(from / step) * step; i < to; i += step) {
        if (i === bolded || bolded < 0 || Math.abs(i - bolded) * size >= 14) draw(i, i === bolded);
      }
      if (bolded >= from && bolded < to && bolded % step) draw(bolded, true);
    };
    ctx.textAlign = "right";
    each(r0, r1, ch, bold.row, (r, strong) => {
      styled(strong, this.ink(0));
      ctx.fillText(this.fit(ctx, this.head.rows[r], this.room), left - 8, top + (r + 0.5 - this.view.r) * ch);
    });
    each(c0, c1, cw, bold.col, (c, strong) => {
      styled(strong, this.ink(1));
      const x = left + (c + 0.5 - this.view.c) * cw;
      const text = this.fit(ctx, this.head.cols[c], this.room);
      ctx.save();
      ctx.translate(x, top - 8);
      if (box.slanted) ctx.rotate(-Math.PI / 4);
      ctx.textAlign = box.slanted ? "left" : "center";
      ctx.fillText(text, 0, box.slanted ? 0 : -2);
      ctx.restore();
    });
    ctx.font = `600 13px ${this.theme.font}`;
    ctx.fillStyle = rgb(this.ink(1));
    ctx.textAlign = "left";
    const above = `${this.title(1)} →`;
    const free = this.box2d.width - 116 - ctx.measureText(above).width; // beside the buttons that zoom
    ctx.fillText(above, Math.max(0, Math.min(left, free)), 10);
    ctx.save();
    ctx.translate(10, top + h);
    ctx.rotate(-Math.PI / 2);
    ctx.fillStyle = rgb(this.ink(0));
    ctx.textAlign = "right";
    ctx.fillText(`← ${this.title(0)}`, h, 0);
    ctx.restore();
  }

  drawTotals(ctx, { left, top, cw, ch, w, h, rowBar, colBar }) {
    const [r0, r1, c0, c1] = this.visible();
    const bars = (totals, from, to, side, length, draw) => {
      if (!totals) return;
      // One that outgrows all others ("other") is cut short, with a gap that says so, or the rest would be threads.
      const [first, second] = [...totals].sort((a, b) => b - a);
      const cut = totals.length > 2 && first > 4 * second && second > 0;
      const most = (cut ? 1.5 * second : first) || 1;
      ctx.fillStyle = rgb(this.head.modality[side] === "audio" ? this.theme.audio : this.theme.visual, 0.85);
      for (let i = from; i < to; i++) {
        const start = Math.max(this.edge(side, i), side ? left : top);
        const end = Math.min(this.edge(side, i + 1), side ? left + w : top + h);
        const thick = Math.max(0.5, end - start - ((side ? cw : ch) >= 4 ? (side ? cw : ch) * 0.22 : 0));
        const inset = (end - start - thick) / 2;
        const bar = Math.max(totals[i] > 0 ? 1 : 0, Math.min(length, (length * totals[i]) / most));
        if (cut && totals[i] > most) {
          draw(start + inset, thick, length - 9);
          draw(start + inset, thick, 6, length - 6);
        } else draw(start + inset, thick, bar);
      }
    };
    bars(this.head.row_totals, r0, r1, 0, rowBar - 8, (y, thick, bar, from = 0) => ctx.fillRect(left + w + 6 + from, y, bar, thick));
    bars(this.head.col_totals, c0, c1, 1, colBar - 8, (x, thick, bar, from = 0) => ctx.fillRect(x, top + h + 6 + from, thick, bar));
  }

  ink(side) {
    return this.head.modality[side] === "audio" ? this.theme.audioInk : this.theme.visualInk;
  }

  fit(ctx, text, room) {
    if (ctx.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && ctx.measureText(`${text.slice(0, end)}…`).width > room) end--;
    return `${text.slice(0, end)}…`;
  }

  drawLegend() {
    const { unit, ends, ticks } = this.head.legend;
    const colors = this.table.slice(1).filter((_, i) => i % 16 === 0).concat([this.table[255]]);
    const ramp = make("div", "ramp");
    ramp.style.background = `linear-gradient(90deg, ${colors.map((c) => rgb(c)).join(",")})`;
    const line = make("div", "ticks");
    for (const [place, value] of ticks) {
      const tick = make("span", "", formatNumber(value));
      tick.style.left = `${100 * place}%`;
      line.append(tick);
    }
    line.lastChild.textContent += ` ${unit}`;
    const scale = make("div", "scale");
    scale.append(ramp, line);
    const hint = make("div", "hint");
    if (ends[0] || ends[1]) hint.append(`${ends[0]} ↔ ${ends[1]}`, make("br"));
    hint.append("Click a cell or a name, or drag a box.");
    this.legend.replaceChildren(scale, hint);
  }

  // ---- pointing

  pointAt(at, x, y) {
    const same = at && this.pointed && at.row === this.pointed.row && at.col === this.pointed.col;
    this.pointed = at && (at.row >= 0 || at.col >= 0) ? at : null;
    if (!same) {
      this.redraw();
      if (this.pointed) this.fillTip();
    }
    this.tip.classList.toggle("hidden", !this.pointed);
    if (this.pointed) this.placeTip(x, y);
  }

  fillTip() {
    const { row, col } = this.pointed;
    const name = (side, index) => {
      const kind = this.head.modality[side] === "audio" ? "sound" : "picture";
      const node = make("div", `name ${this.head.modality[side]}`, `${kind} ${[this.head.rows, this.head.cols][side][index]}`);
      return node;
    };
    const table = make("table");
    const line = (label, value) => {
      const tr = make("tr");
      tr.append(make("td", "", label), make("td", "", formatNumber(value)));
      table.append(tr);
    };
    const names = [];
    if (row >= 0) names.push(name(0, row));
    if (col >= 0) names.push(name(1, col));
    if (row >= 0 && col >= 0) {
      for (const { name: label, data } of this.hover) line(label, data[row * this.C + col]);
    } else {
      const totals = row >= 0 ? this.head.row_totals : this.head.col_totals;
      if (totals) line("total", totals[Math.max(row, col)]);
    }
    this.tip.replaceChildren(...names, table);
  }

  placeTip(x, y) {
    const { width, height } = this.box2d;
    const w = this.tip.offsetWidth;
    const h = this.tip.offsetHeight;
    this.tip.style.left = `${x + 18 + w > width ? Math.max(0, x - w - 14) : x + 18}px`;
    this.tip.style.top = `${Math.max(0, Math.min(y + 14, height - h))}px`;
  }

  pointerDown(e) {
    const at = this.cellAt(e.offsetX, e.offsetY);
    this.canvas.setPointerCapture(e.pointerId);
    this.drag = { at, x: e.offsetX, y: e.offsetY, pan: e.shiftKey || e.button !== 0, view: { ...this.view } };
  }

  pointerMove(e) {
    const at = this.cellAt(e.offsetX, e.offsetY);
    const drag = this.drag;
    if (!drag) return this.pointAt(at, e.offsetX, e.offsetY);
    if (drag.pan) {
      const { cw, ch } = this.box2d;
      this.view = { ...drag.view, r: drag.view.r - (e.offsetY - drag.y) / ch, c: drag.view.c - (e.offsetX - drag.x) / cw };
      this.keepInside();
    } else if (drag.at.row >= 0 && drag.at.col >= 0 && (drag.box || Math.hypot(e.offsetX - drag.x, e.offsetY - drag.y) > 5)) {
      const { left, top, w, h } = this.box2d;
      const end = this.cellAt(Math.max(left, Math.min(left + w - 0.01, e.offsetX)), Math.max(top, Math.min(top + h - 0.01, e.offsetY)));
      const { row, col } = drag.at;
      drag.box = [Math.min(row, end.row), Math.min(col, end.col), Math.max(row, end.row), Math.max(col, end.col)];
    }
    this.pointAt(null);
    this.redraw();
  }

  pointerUp(e) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.pan) return this.redraw();
    const { row, col } = drag.at;
    const box = drag.box;
    if (box && (box[0] !== box[2] || box[1] !== box[3])) this.sendBox(box);
    else if (row >= 0 && col >= 0) this.sendCell([row, col]);
    else if (row >= 0 && e.offsetX < this.box2d.left) this.sendBox([row, 0, row, this.C - 1]);
    else if (col >= 0 && e.offsetY < this.box2d.top) this.sendBox([0, col, this.R - 1, col]);
    this.redraw();
  }

  // ---- zoom: only where cells are too small to hit

  keepInside() {
    const view = this.view;
    view.rows = Math.min(this.R, Math.max(2, view.rows));
    view.cols = Math.min(this.C, Math.max(2, view.cols));
    view.r = Math.max(0, Math.min(this.R - view.rows, view.r));
    view.c = Math.max(0, Math.min(this.C - view.cols, view.c));
  }

  zoomBy(factor, x, y) {
    const { left, top, w, h } = this.box2d;
    const fx = x === undefined ? 0.5 : Math.max(0, Math.min(1, (x - left) / w));
    const fy = y === undefined ? 0.5 : Math.max(0, Math.min(1, (y - top) / h));
    const view = this.view;
    const rows = Math.min(this.R, Math.max(6, view.rows / factor));
    const cols = Math.min(this.C, Math.max(6, view.cols / factor));
    this.view = { r: view.r + fy * (view.rows - rows), c: view.c + fx * (view.cols - cols), rows, cols };
    this.keepInside();
    this.redraw();
  }

  showAll() {
    this.view = { r: 0, c: 0, rows: this.R, cols: this.C };
    this.redraw();
  }

  wheel(e) {
    if (!this.box2d) return;
    const whole = this.view.rows >= this.R && this.view.cols >= this.C;
    if (whole && Math.min(this.box2d.cw, this.box2d.ch) >= SMALL_CELL) return;
    if (whole && e.deltaY > 0) return;
    e.preventDefault();
    this.zoomBy(Math.exp(-e.deltaY / 400), e.offsetX, e.offsetY);
  }

  // ---- keys

  keyDown(e) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    if (step) {
      const [row, col] = this.cell ?? [0, 0];
      const next = this.cell ? [row + step[0], col + step[1]] : [row, col];
      this.moveTo([Math.max(0, Math.min(this.R - 1, next[0])), Math.max(0, Math.min(this.C - 1, next[1]))]);
    } else if ((e.key === "Enter" || e.key === " ") && this.cell) {
      this.sendCell(this.cell);
    } else if (e.key === "Escape") {
      this.drag = null;
      this.showAll();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }

  moveTo(cell) {
    this.cell = cell;
    this.box = null;
    const view = this.view;
    view.r = Math.min(Math.max(view.r, cell[0] + 1 - view.rows), cell[0]);
    view.c = Math.min(Math.max(view.c, cell[1] + 1 - view.cols), cell[1]);
    this.keepInside();
    const { left, top, cw, ch } = this.box2d;
    this.pointed = null;
    this.pointAt({ row: cell[0], col: cell[1] }, left + (cell[1] + 1 - view.c) * cw, top + (cell[0] + 1 - view.r) * ch);
    this.live.textContent = this.tip.innerText.replaceAll("\n", ", ");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.sendCell(cell), 220);
  }

  sendCell(cell) {
    this.cell = cell;
    this.box = null;
    this.send("cell", { row: cell[0], col: cell[1] });
  }

  sendBox(box) {
    this.box = box;
    this.cell = null;
    this.send("box", { r0: box[0], c0: box[1], r1: box[2], c1: box[3] });
  }

  send(name, value) {
    clearTimeout(this.timer);
    this.timer = 0;
    this.seq += 1;
    this.component.setTriggerValue(name, { ...value, seq: this.seq, held: [...shared.arrays.keys()] });
  }

  destroy() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.root.remove();
  }
}

export default (component) => mounted(component, Heatmap);
