const HELD_PICTURES = 8;
const SETTLE_MS = 160; // a finer picture is asked for when the map has stood still for so long
const PICK_PX = 9;
const MOST_CORNERS = 240;
const NAMES_HELD = 300;
const TOOLS = [["lasso", "lasso_select", "Draw around clips (L); with Shift: add to the mark"],
  ["box", "select", "Drag a box around clips (B); with Shift: add to the mark"], ["pan", "pan_tool", "Move the map (M, or the right mouse button)"]];

shared.pictures ??= new Map();
shared.names ??= new Map();

class TwinMap {
  constructor(parent) {
    this.root = make("div", "root map");
    this.stage = make("div", "stage");
    this.canvas = make("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.tip = make("div", "tip hidden");
    this.tools = make("div", "tools");
    this.state = make("div", "state");
    this.legend = make("div", "legend");
    this.live = make("div", "sr-only");
    this.live.setAttribute("aria-live", "polite");
    this.stage.append(this.canvas, this.state, this.tools, this.tip);
    this.root.append(this.stage, this.legend, this.live);
    parent.append(this.root);
    this.pointers = new Map();
    this.addTools();
    this.addListeners();
    this.use("lasso");
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.stage);
  }

  addTools() {
    this.toolButtons = {};
    for (const [name, icon, label] of TOOLS) {
      const button = iconButton(icon, label);
      button.onclick = () => this.use(name);
      this.toolButtons[name] = button;
      this.tools.append(button);
    }
    this.tools.append(make("span", "gap"));
    for (const [icon, label, action] of [["zoom_in", "Zoom in (+)", () => this.zoomBy(1.6)],
      ["zoom_out", "Zoom out (−)", () => this.zoomBy(1 / 1.6)], ["fit_screen", "Show all (0)", () => this.showAll()]]) {
      const button = iconButton(icon, label);
      button.onclick = action;
      this.tools.append(button);
    }
    this.clearButton = iconButton("close", "Take the mark away (Escape)", "button hidden");
    this.clearButton.onclick = () => this.clear();
    this.tools.append(this.clearButton);
  }

  addListeners() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (e) => this.pointerDown(e));
    canvas.addEventListener("pointermove", (e) => this.pointerMove(e));
    canvas.addEventListener("pointerup", (e) => this.pointerUp(e));
    canvas.addEventListener("pointercancel", (e) => { this.pointers.delete(e.pointerId); this.drag = this.pinch = null; this.redraw(); });
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.pointAt(-1); });
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.zoomBy(Math.exp(-e.deltaY / 400), e.offsetX, e.offsetY); }, { passive: false });
    canvas.addEventListener("keydown", (e) => this.keyDown(e));
    canvas.addEventListener("blur", () => this.pointAt(-1));
    this.onTwin = (e) => { if (e.detail.from !== this) this.lightUp(e.detail.row); };
    window.addEventListener("concord-point", this.onTwin);
  }

  use(tool) {
    this.tool = tool;
    this.canvas.className = tool;
    for (const [name, button] of Object.entries(this.toolButtons)) button.setAttribute("aria-pressed", name === tool);
  }

  async update(component) {
    this.component = component;
    const head = await received(this, component, shared.pictures, HELD_PICTURES);
    if (head) this.apply(head);
  }

  apply(head) {
    const arrays = Object.fromEntries(shared.pictures.get(head.digest).map(({ name, data }) => [name, data]));
    const moved = !this.head || String(head.home) !== String(this.head.home);
    this.head = head;
    this.arrays = arrays;
    this.size = head.arrays[0].name === "image" ? head.arrays[0].shape : null;
    if (moved) {
      this.view = null;
      this.asked = head.window;
      this.outline = null;
    }
    if (!head.has_mark) this.outline = null;
    this.stage.className = `stage ${head.modality}`;
    this.clearButton.classList.toggle("hidden", !head.has_mark);
    this.canvas.setAttribute("aria-label", `${head.label}; L, B and M choose a tool, arrow keys move, plus and minus zoom, Enter marks what is shown`);
    this.root.dataset.ready = head.digest;
    this.painted = "";
    // Points have other numbers now: what was under the pointer is looked for anew once they are drawn.
    this.pointed = this.twin = -1;
    this.tip.classList.add("hidden");
    this.looksAgain = true;
    this.redraw();
  }

  // ---- geometry: `view` is a centre and the map's units a pixel, the same along both axes

  fit([x0, y0, x1, y1]) {
    const unit = Math.max((x1 - x0) / this.width, (y1 - y0) / this.height);
    this.view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, unit };
  }

  window() {
    const { x, y, unit } = this.view;
    const [w, h] = [(unit * this.width) / 2, (unit * this.height) / 2];
    return [x - w, y - h, x + w, y + h];
  }

  toScreen(x, y) {
    const view = this.view;
    return [this.width / 2 + (x - view.x) / view.unit, this.height / 2 - (y - view.y) / view.unit];
  }

  toMap(px, py) {
    const view = this.view;
    return [view.x + (px - this.width / 2) * view.unit, view.y - (py - this.height / 2) * view.unit];
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
    const key = `${this.theme.dark}|${this.head.digest}|${this.head.modality}|${JSON.stringify(this.head.palette)}`;
    if (this.painted === key) return;
    this.painted = key;
    this.colors = this.head.palette[this.theme.dark ? "dark" : "light"].map(parseColor);
    this.ground = mix(this.theme.background, this.theme.text, this.theme.dark ? 0.03 : 0.018);
    this.drawLegend();
    this.raster = null;
    if (this.size) this.paintRaster();
    this.placePoints();
  }

  paintRaster() {
    const [height, width] = this.size;
    const levels = this.head.levels;
    // The faintest level still stands off the ground; the fullest is the colour itself.
    const table = Array.from({ length: 256 }, (_, index) => {
      if (!index) return this.ground;
      const color = this.colors[Math.min(this.colors.length - 1, Math.floor((index - 1) / levels))];
      return mix(this.ground, color, 0.34 + (0.66 * ((index - 1) % levels)) / Math.max(1, levels - 1));
    });
    const pixels = new ImageData(width, height);
    const image = this.arrays.image;
    for (let i = 0; i < image.length; i++) {
      const color = table[image[i]];
      pixels.data[4 * i] = color[0];
      pixels.data[4 * i + 1] = color[1];
      pixels.data[4 * i + 2] = color[2];
      pixels.data[4 * i + 3] = image[i] ? 255 : 0;
    }
    this.raster = new OffscreenCanvas(width, height);
    this.raster.getContext("2d").putImageData(pixels, 0, 0);
  }

  placePoints() {
    const [x0, y0, x1, y1] = this.head.window;
    const { places, rows = [], colors, marked } = this.arrays;
    const n = rows.length;
    this.xs = new Float64Array(n);
    this.ys = new Float64Array(n);
    this.groups = new Map();
    this.indexOf = new Map();
    for (let i = 0; i < n; i++) {
      this.xs[i] = x0 + ((places[2 * i] / 32767 + 1) / 2) * (x1 - x0);
      this.ys[i] = y0 + ((places[2 * i + 1] / 32767 + 1) / 2) * (y1 - y0);
      this.indexOf.set(rows[i], i);
      const faded = this.head.has_mark && !marked[i];
      const group = faded ? -1 : colors[i];
      if (!this.groups.has(group)) this.groups.set(group, []);
      this.groups.get(group).push(i);
    }
  }

  draw() {
    this.width = Math.max(200, this.stage.clientWidth);
    this.height = this.head.height;
    if (!this.view) this.fit(this.asked);
    this.prepare();
    const ratio = window.devicePixelRatio || 1;
    const canvas = this.canvas;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(this.height * ratio);
    canvas.style.height = `${this.height}px`;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = rgb(this.ground);
    ctx.fillRect(0, 0, this.width, this.height);
    if (this.raster) this.drawRaster(ctx);
    this.drawPoints(ctx);
    this.drawOutline(ctx);
    this.drawNames(ctx);
    this.drawRings(ctx);
    this.sayState();
    if (this.looksAgain && this.hover && !this.drag && !this.pinch) this.pointAt(this.nearest(...this.hover));
    this.looksAgain = false;
  }

  drawRaster(ctx) {
    const [x0, y0, x1, y1] = this.head.window;
    const [left, bottom] = this.toScreen(x0, y0);
    const [right, top] = this.toScreen(x1, y1);
    ctx.imageSmoothingEnabled = (right - left) / this.size[1] < 1.5;
    ctx.drawImage(this.raster, left, top, right - left, bottom - top);
  }

  drawPoints(ctx) {
    const n = this.xs.length;
    const radius = n > 2000 ? 2 : n > 600 ? 2.7 : n > 150 ? 3.6 : 5;
    // What is grey lies below what has a colour.
    for (const group of [...this.groups.keys()].sort((a, b) => a - b)) {
      const faded = group < 0;
      ctx.fillStyle = faded ? rgb(this.colors[0], this.theme.dark ? 0.6 : 0.45) : rgb(this.colors[group] ?? this.colors[0], group ? 0.88 : 0.55);
      ctx.beginPath();
      const size = faded ? Math.max(1.6, radius * 0.8) : radius;
      for (const i of this.groups.get(group)) {
        const [px, py] = this.toScreen(this.xs[i], this.ys[i]);
        if (px < -9 || py < -9 || px > this.width + 9 || py > this.height + 9) continue;
        ctx.moveTo(px + size, py);
        ctx.arc(px, py, size, 0, 2 * Math.PI);
      }
      ctx.fill();
    }
    this.radius = radius;
  }

  drawOutline(ctx) {
    const outline = this.drag?.outline ?? this.outline;
    if (!outline || outline.length < 2) return;
    ctx.beginPath();
    outline.forEach(([x, y], i) => ctx[i ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
    ctx.closePath();
    ctx.fillStyle = rgb(this.theme.primary, this.drag ? 0.12 : 0.05);
    ctx.fill();
    ctx.setLineDash(this.drag ? [] : [5, 4]);
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = rgb(this.theme.primary);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  // Names stand over what they name, with the ground around them; each is moved up or down a little where it would lie
  // on one before it or under the tools, and left out where that does not help.
  drawNames(ctx) {
    const tools = [this.tools.offsetLeft - 4, 0, this.width, this.tools.offsetTop + this.tools.offsetHeight + 2];
    const taken = [tools, [0, this.height - 32, this.state.offsetLeft + this.state.offsetWidth + 4, this.height]];
    const drawn = [];
    ctx.save();
    ctx.font = `600 12.5px ${this.theme.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.lineJoin = "round";
    ctx.lineWidth = 4;
    ctx.strokeStyle = rgb(this.theme.background, 0.86);
    ctx.fillStyle = rgb(this.theme.text);
    for (const [x, y, text] of this.head.names ?? []) {
      const [px, py] = this.toScreen(x, y);
      if (px < 0 || py < 0 || px > this.width || py > this.height) continue;
      const half = ctx.measureText(text).width / 2 + 4;
      const cx = Math.max(half, Math.min(this.width - half, px));
      for (const dy of [0, -15, 15]) {
        const cy = Math.max(10, Math.min(this.height - 10, py + dy));
        const [left, top, right, bottom] = [cx - half, cy - 9, cx + half, cy + 9];
        if (taken.some((t) => left < t[2] && right > t[0] && top < t[3] && bottom > t[1])) continue;
        taken.push([left, top, right, bottom]);
        drawn.push(text);
        ctx.strokeText(text, cx, cy);
        ctx.fillText(text, cx, cy);
        break;
      }
    }
    ctx.restore();
    this.root.dataset.names = JSON.stringify(drawn);
  }

  drawRings(ctx) {
    const ring = (x, y, radius, color, width) => {
      const [px, py] = this.toScreen(x, y);
      for (const [w, c] of [[width + 2.5, rgb(this.theme.background)], [width, color]]) {
        ctx.beginPath();
        ctx.arc(px, py, radius, 0, 2 * Math.PI);
        ctx.lineWidth = w;
        ctx.strokeStyle = c;
        ctx.stroke();
      }
    };
    if (this.head.current) ring(...this.head.current, 7, rgb(this.theme.text), 2.5);
    for (const [index, color] of [[this.twin ?? -1, rgb(this.theme.primary)], [this.pointed ?? -1, rgb(this.theme.text)]]) {
      if (index >= 0) ring(this.xs[index], this.ys[index], this.radius + 3.5, color, 2);
    }
  }

  sayState() {
    const n = this.head.visible.toLocaleString("en-US");
    const clips = this.head.visible === 1 ? "clip" : "clips";
    this.state.textContent = this.raster ? `${n} ${clips} here, darker where there are more; zoom in for points` : `${n} ${clips} here`;
    if (this.raster && this.theme.dark) this.state.textContent = this.state.textContent.replace("darker", "brighter");
  }

  drawLegend() {
    const { title, names, colors, ramp, note } = this.head.legend;
    const found = colors[this.theme.dark ? "dark" : "light"] ?? [];
    const nodes = title ? [make("span", "", title)] : [];
    if (ramp) {
      const bar = make("span", "ramp");
      bar.style.background = `linear-gradient(90deg, ${found.join(",")})`;
      nodes.push(make("span", "", names[0] ?? ""), bar, make("span", "", names[1] ?? ""));
    } else {
      names.forEach((name, i) => {
        const item = make("span", "item");
        const dot = make("span", "dot");
        dot.style.background = found[i];
        item.title = name;
        item.append(dot, make("span", "", name));
        nodes.push(item);
      });
    }
    if (note) nodes.push(make("span", "", note));
    this.legend.replaceChildren(...nodes);
  }

  // ---- pointing

  nearest(px, py) {
    if (!this.xs) return -1;
    let best = -1;
    let least = PICK_PX * PICK_PX;
    for (let i = 0; i < this.xs.length; i++) {
      const [x, y] = this.toScreen(this.xs[i], this.ys[i]);
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < least) [best, least] = [i, d];
    }
    return best;
  }

  pointAt(index) {
    if (index === (this.pointed ?? -1)) return;
    this.pointed = index;
    this.tip.classList.add("hidden");
    clearTimeout(this.tipTimer);
    const row = index >= 0 ? this.arrays.rows[index] : -1;
    window.dispatchEvent(new CustomEvent("concord-point", { detail: { from: this, row } }));
    if (index >= 0) this.tipTimer = setTimeout(() => this.showTip(row), 70);
    this.redraw();
  }

  lightUp(row) {
    const index = row >= 0 ? (this.indexOf?.get(row) ?? -1) : -1;
    if (index === (this.twin ?? -1)) return;
    this.twin = index;
    this.redraw();
  }

  async showTip(row) {
    const url = `${this.head.point_url}&row=${row}`;
    if (!this.head.point_url) return;
    if (!shared.names.has(url)) {
      try {
        const answer = await fetch(url);
        if (!answer.ok) return;
        shared.names.set(url, await answer.json());
      } catch {
        return; // no answer: the point keeps its ring, and has no name
      }
      while (shared.names.size > NAMES_HELD) shared.names.delete(shared.names.keys().next().value);
    }
    const index = this.pointed ?? -1;
    if (index < 0 || this.arrays.rows[index] !== row) return;
    const { name, still } = shared.names.get(url);
    const picture = make("img");
    picture.alt = "";
    picture.src = still;
    picture.onerror = () => picture.remove();
    this.tip.replaceChildren(picture, make("div", "name", name));
    this.tip.classList.remove("hidden");
    const [x, y] = this.toScreen(this.xs[index], this.ys[index]);
    const place = () => {
      const [w, h] = [this.tip.offsetWidth, this.tip.offsetHeight];
      this.tip.style.left = `${x + 14 + w > this.width ? Math.max(0, x - w - 14) : x + 14}px`;
      this.tip.style.top = `${Math.max(0, Math.min(y + 12, this.height - h))}px`;
    };
    picture.onload = place;
    place();
  }

  pointerDown(e) {
    this.pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
    this.canvas.setPointerCapture(e.pointerId);
    this.pointAt(-1);
    if (this.pointers.size === 2) {
      this.drag = null;
      this.pinch = this.pinchNow();
      return this.redraw();
    }
    const pan = this.tool === "pan" || e.button !== 0;
    this.drag = { x: e.offsetX, y: e.offsetY, pan, view: { ...this.view }, add: e.shiftKey, outline: null, path: [[e.offsetX, e.offsetY]] };
    if (pan) this.canvas.classList.add("moving");
  }

  pinchNow() {
    const [a, b] = [...this.pointers.values()];
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])) };
  }

  pointerMove(e) {
    if (this.pointers.has(e.pointerId)) this.pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
    if (this.pinch && this.pointers.size === 2) {
      const now = this.pinchNow();
      this.moveBy(now.x - this.pinch.x, now.y - this.pinch.y);
      this.zoomBy(now.apart / this.pinch.apart, now.x, now.y);
      this.pinch = now;
      return;
    }
    const drag = this.drag;
    this.hover = [e.offsetX, e.offsetY];
    if (!drag) return this.pointAt(this.nearest(e.offsetX, e.offsetY));
    if (drag.pan) {
      this.view = { ...drag.view, x: drag.view.x - (e.offsetX - drag.x) * drag.view.unit, y: drag.view.y + (e.offsetY - drag.y) * drag.view.unit };
      this.settle();
    } else if (this.tool === "box") {
      const [x0, y0] = this.toMap(drag.x, drag.y);
      const [x1, y1] = this.toMap(e.offsetX, e.offsetY);
      if (Math.hypot(e.offsetX - drag.x, e.offsetY - drag.y) > 4) drag.outline = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    } else {
      const last = drag.path[drag.path.length - 1];
      if (Math.hypot(e.offsetX - last[0], e.offsetY - last[1]) > 2.5) drag.path.push([e.offsetX, e.offsetY]);
      if (drag.path.length > 2) drag.outline = drag.path.map(([x, y]) => this.toMap(x, y));
    }
    this.redraw();
  }

  pointerUp(e) {
    this.pointers.delete(e.pointerId);
    this.canvas.classList.remove("moving");
    if (this.pinch) {
      if (this.pointers.size === 0) this.pinch = null;
      return;
    }
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.outline && !drag.pan) this.sendOutline(drag.outline, drag.add || e.shiftKey);
    else if (Math.hypot(e.offsetX - drag.x, e.offsetY - drag.y) < 4) {
      const index = this.nearest(e.offsetX, e.offsetY);
      if (index >= 0) this.send("point", { row: this.arrays.rows[index] });
    }
    this.redraw();
  }

  // ---- moving

  moveBy(dx, dy) {
    this.view = { ...this.view, x: this.view.x - dx * this.view.unit, y: this.view.y + dy * this.view.unit };
    this.settle();
    this.redraw();
  }

  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toMap(px, py);
    const [x0, y0, x1, y1] = this.head.home;
    const whole = Math.max((x1 - x0) / this.width, (y1 - y0) / this.height);
    const unit = Math.min(8 * whole, Math.max(whole / 4000, this.view.unit / factor));
    this.view = { unit, x: x - (px - this.width / 2) * unit, y: y + (py - this.height / 2) * unit };
    this.pointAt(-1);
    this.settle();
    this.redraw();
  }

  showAll() {
    this.fit(this.head.home);
    this.settle();
    this.redraw();
  }

  settle() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send("view", { window: this.window().map((v) => Number(v.toPrecision(6))) }), SETTLE_MS);
  }

  // ---- sending

  sendOutline(points, add) {
    const step = Math.ceil(points.length / MOST_CORNERS);
    const kept = points.filter((_, i) => i % step === 0);
    if (kept.length < 3) return;
    this.outline = kept;
    this.send("outline", { points: kept.map(([x, y]) => [Number(x.toPrecision(7)), Number(y.toPrecision(7))]), how: add ? "add" : "replace" });
    this.live.textContent = "Marking";
  }

  clear() {
    this.outline = null;
    this.send("clear", {});
    this.redraw();
  }

  send(name, value) {
    this.component.setTriggerValue(name, { ...value, held: [...shared.pictures.keys()].slice(-HELD_PICTURES) });
  }

  keyDown(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [1, 0], ArrowRight: [-1, 0] }[e.key];
    const tool = { l: "lasso", b: "box", m: "pan" }[e.key.toLowerCase()];
    if (step) this.moveBy(step[0] * this.width * 0.12, step[1] * this.height * 0.12);
    else if (tool) this.use(tool);
    else if (e.key === "+" || e.key === "=") this.zoomBy(1.4);
    else if (e.key === "-") this.zoomBy(1 / 1.4);
    else if (e.key === "0") this.showAll();
    else if (e.key === "Enter") {
      const [x0, y0, x1, y1] = this.window();
      this.sendOutline([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], e.shiftKey);
    } else if (e.key === "Escape") {
      if (this.drag) this.drag = null;
      else if (this.head.has_mark) this.clear();
      this.redraw();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }

  destroy() {
    clearTimeout(this.timer);
    clearTimeout(this.tipTimer);
    cancelAnimationFrame(this.frame);
    window.removeEventListener("concord-point", this.onTwin);
    this.observer.disconnect();
    this.root.remove();
  }
}

export default (component) => mounted(component, TwinMap);
