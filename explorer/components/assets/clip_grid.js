// A browser has six connections to a server. Stills that come near the window take three of them at a time, so that a
// clip that is clicked never stands in line behind pictures that are still being cut.
const STILLS_AT_ONCE = 3;
const STILLS_NEAR = "400px";

class StillLine {
  constructor() {
    this.waiting = new Map();
    this.open = new Set();
  }

  want(image, url) {
    this.waiting.set(image, url);
    this.next();
  }

  // It has come, failed, or is not wanted any more.
  done(image) {
    this.waiting.delete(image);
    if (this.open.delete(image)) this.next();
  }

  // Nobody looks at it now: it loses its place in the line. One that is under way goes on.
  leave(image) {
    this.waiting.delete(image);
  }

  next() {
    for (const [image, url] of this.waiting) {
      if (this.open.size >= STILLS_AT_ONCE) return;
      this.waiting.delete(image);
      this.open.add(image);
      image.src = url;
    }
  }
}

class ClipGrid {
  constructor(parent) {
    this.line = shared.stills ??= new StillLine();
    this.stills = new Map(); // the pictures of this grid, by the element
    this.watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (target.getAttribute("src")) this.watch.unobserve(target);
        else if (isIntersecting) this.line.want(target, this.stills.get(target));
        else this.line.leave(target);
      }
    }, { rootMargin: STILLS_NEAR, scrollMargin: STILLS_NEAR });
    this.root = make("div", "root");
    this.box = make("div", "grid-box");
    this.grid = make("div", "grid");
    this.grid.setAttribute("role", "listbox");
    this.grid.setAttribute("aria-label", "Clips; arrow keys move, Enter opens, L listens");
    this.legend = make("div", "key");
    this.box.append(this.grid);
    this.root.append(this.box, this.legend);
    parent.append(this.root);
    this.tiles = [];
    this.grid.addEventListener("click", (e) => this.click(e));
    this.grid.addEventListener("keydown", (e) => this.key(e));
    // One element for the whole grid: the sound of a clip is its own small video, whose picture is not shown.
    this.sound = document.createElement("video");
    this.sound.preload = "none";
    this.sound.playsInline = true;
    const sound = this.sound;
    sound.addEventListener("play", () => claimPlayback(sound));
    for (const name of ["play", "playing", "pause", "ended"]) sound.addEventListener(name, () => this.mark());
    sound.addEventListener("timeupdate", () => this.progress());
    sound.addEventListener("error", () => this.failed());
  }

  update(component) {
    this.component = component;
    const { items, current, tile, max_height: maxHeight } = component.data;
    this.grid.style.gridTemplateColumns = `repeat(auto-fill, minmax(min(${tile}px, 100%), 1fr))`;
    this.box.style.maxHeight = maxHeight ? `${maxHeight}px` : "";
    const text = JSON.stringify(items);
    if (text !== this.text) {
      this.text = text;
      this.items = items;
      this.trouble = "";
      if (!items.some((item) => item.id === this.soundingId)) this.stop();
      this.build();
    }
    this.setCurrent(current);
    this.decide(component.data.decisions);
    this.mark();
  }

  // What people said of a clip, in its upper right corner.
  decide(decisions) {
    this.tiles.forEach((tile, i) => {
      const said = decisions?.[i] ?? null;
      if (tile.dataset.said === (said ?? "")) return;
      tile.dataset.said = said ?? "";
      tile.querySelector(".said")?.remove();
      if (!said) return;
      const mark = make("span", `said ${said}`);
      mark.append(icon({ keep: "check", drop: "close", maybe: "question_mark" }[said]));
      mark.title = said;
      tile.firstElementChild.append(mark);
    });
  }

  build() {
    const focused = this.grid.getRootNode().activeElement?.dataset?.id;
    const before = this.stills;
    this.stills = new Map();
    const kept = new Map([...before].filter(([image]) => image.naturalWidth > 0).map(([image, url]) => [url, image]));
    this.tiles = this.items.map((item) => this.tile(item, kept));
    for (const image of before.keys()) if (!this.stills.has(image)) this.forget(image);
    this.grid.replaceChildren(...this.tiles);
    const again = focused === undefined ? null : this.tiles.find((tile) => tile.dataset.id === focused);
    again?.focus({ preventScroll: true });
    this.drawLegend();
  }

  // A picture that is there already is not asked for again: it would be gone for a moment.
  still(item, kept) {
    const image = kept.get(item.still) ?? make("img");
    kept.delete(item.still);
    this.stills.set(image, item.still);
    if (image.naturalWidth > 0) return image;
    Object.assign(image, { decoding: "async", alt: "", draggable: false });
    image.onload = () => this.line.done(image);
    image.onerror = () => {
      this.line.done(image);
      if (!this.stills.has(image)) return;
      image.replaceWith(this.missing());
      this.say("Without a picture", item.still);
    };
    this.watch.observe(image);
    return image;
  }

  forget(image) {
    this.watch.unobserve(image);
    image.onload = image.onerror = null;
    if (!image.complete) image.removeAttribute("src");
    this.line.done(image);
  }

  tile(item, kept) {
    const tile = make("div", `tile${item.selected === false ? " out" : ""}`);
    tile.dataset.id = item.id;
    tile.tabIndex = -1;
    tile.setAttribute("role", "option");
    const state = item.selected === null ? "" : item.selected ? ", selected" : ", not selected";
    tile.setAttribute("aria-label", `${item.caption || item.id}${state}`);
    const frame = make("div", "frame");
    frame.append(item.still ? this.still(item, kept) : this.missing());
    if (item.caption) frame.append(make("div", "caption", item.caption));
    if (item.badge) frame.append(make("span", "badge", item.badge));
    if (item.media) {
      const listen = iconButton("volume_up", `Listen to ${item.caption || "this clip"}`, "listen");
      listen.tabIndex = -1;
      frame.append(listen, make("div", "bar"));
    }
    tile.append(frame);
    return tile;
  }

  missing() {
    const node = make("div", "missing");
    node.append(icon("image_not_supported"));
    return node;
  }

  drawLegend() {
    const states = new Set(this.items.map((item) => item.selected));
    this.legend.replaceChildren();
    const entry = (className, text) => {
      const span = make("span", className);
      span.append(make("i"), text);
      this.legend.append(span);
    };
    if (states.has(true)) entry("", "selected");
    if (states.has(false)) entry("grey", "not selected");
    if (this.trouble) this.legend.append(make("span", "trouble", this.trouble));
  }

  // The first thing that cannot be shown or heard says why under the stills, in the server's words.
  say(what, url) {
    if (this.trouble) return;
    const items = this.items;
    this.trouble = `${what}.`;
    this.drawLegend();
    reasonOf(url).then((reason) => {
      if (!reason || items !== this.items) return;
      this.trouble = `${what}: ${reason}`;
      this.drawLegend();
    });
  }

  setCurrent(id) {
    this.current = id;
    const reachable = this.tiles.find((tile) => tile.dataset.id === id) ?? this.tiles[0];
    for (const tile of this.tiles) {
      tile.classList.toggle("current", tile.dataset.id === id);
      tile.setAttribute("aria-selected", tile.dataset.id === id);
      tile.tabIndex = tile === reachable ? 0 : -1;
    }
  }

  // ---- choosing

  click(e) {
    const tile = e.target.closest(".tile");
    if (!tile) return;
    if (e.target.closest(".listen")) this.listen(tile.dataset.id);
    else this.choose(tile.dataset.id);
  }

  choose(id) {
    shared.opened?.(this.items.find((item) => item.id === id)?.media); // the player of the page does not wait for it
    this.setCurrent(id);
    this.component.setTriggerValue("choose", { clip_id: id });
  }

  key(e) {
    const at = this.tiles.findIndex((tile) => tile === e.target.closest(".tile"));
    if (at < 0 || e.ctrlKey || e.metaKey || e.altKey) return;
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: this.tiles.length - 1 - at };
    if (e.key in moves) {
      const next = this.tiles[at + moves[e.key]];
      if (next) {
        next.focus();
        next.scrollIntoView({ block: "nearest" });
        clearTimeout(this.timer);
        this.setCurrent(next.dataset.id);
        this.timer = setTimeout(() => this.choose(next.dataset.id), 220);
      }
    } else if (e.key === "Enter") this.choose(this.tiles[at].dataset.id);
    else if (e.key.toLowerCase() === "l" || e.key === " ") this.listen(this.tiles[at].dataset.id);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  // ---- listening

  listen(id) {
    const item = this.items.find((one) => one.id === id);
    if (!item?.media) return;
    if (this.soundingId === id && !this.sound.paused) {
      this.sound.pause();
      return;
    }
    this.soundingId = id;
    this.sound.src = item.media;
    this.sound.play().catch((error) => { if (error.name !== "AbortError") this.failed(); });
  }

  stop() {
    this.soundingId = null;
    this.sound.pause();
    this.sound.removeAttribute("src");
  }

  mark() {
    const playing = !this.sound.paused && !this.sound.ended;
    for (const tile of this.tiles) {
      const on = playing && tile.dataset.id === this.soundingId;
      tile.classList.toggle("sounding", on);
      const button = tile.querySelector(".listen");
      if (button) setIcon(button, on ? "stop" : "volume_up");
      const bar = tile.querySelector(".bar");
      if (bar && !on) bar.style.width = "0";
    }
  }

  progress() {
    const bar = this.tiles.find((tile) => tile.dataset.id === this.soundingId)?.querySelector(".bar");
    if (bar && this.sound.duration) bar.style.width = `${(100 * this.sound.currentTime) / this.sound.duration}%`;
  }

  failed() {
    if (!this.soundingId || !this.sound.getAttribute("src")) return;
    this.trouble = "";
    this.say("Not heard", this.sound.getAttribute("src"));
  }

  destroy() {
    clearTimeout(this.timer);
    this.watch.disconnect();
    for (const image of this.stills.keys()) this.forget(image);
    this.stop();
    if (shared.playing === this.sound) shared.playing = null;
    this.root.remove();
  }
}

export default (component) => mounted(component, ClipGrid);
