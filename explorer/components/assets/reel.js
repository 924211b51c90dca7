const STALL_MS = 8000; // a piece that does not come is passed over

// All reels of the page share one listener for keys: the one that played last, else the first, answers.
const reels = (shared.reels ??= { all: new Set(), last: null, listening: false });

function typing() {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return Boolean(active && (active.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(active.tagName)));
}

function inOrder() {
  const host = (one) => one.root.getRootNode().host ?? one.root;
  return [...reels.all]
    .filter((one) => one.root.isConnected && one.sets[0]?.length)
    .sort((a, b) => (host(a).compareDocumentPosition(host(b)) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
}

function onReelKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || e.defaultPrevented || typing()) return;
  const there = inOrder();
  if (!there.length) return;
  const at = there.indexOf(reels.last);
  const one = there[Math.max(0, at)];
  const [play, others] = one.data.keys;
  const pressed = e.key.toLowerCase();
  if (e.key === "Escape" && one.playing) one.stop();
  else if (pressed === play && e.shiftKey) there[(at + 1) % there.length].play(0);
  else if (pressed === play) one.playing ? one.stop() : one.play(0);
  else if (pressed === others && !e.shiftKey) one.others();
  else return;
  e.preventDefault();
}

class Reel {
  constructor(parent) {
    this.root = make("div", "root reel");
    this.start = make("button", "button start");
    this.start.type = "button";
    this.start.append(icon("slideshow"), make("span"));
    this.start.onclick = () => (this.playing ? this.stop() : this.play(0));
    this.buildCard();
    this.root.append(this.start, this.card);
    parent.append(this.root);
    this.sets = [];
    this.set = 0;
    this.at = 0;
    this.playing = false;
    this.turn = 0;
    reels.all.add(this);
    if (!reels.listening) {
      document.addEventListener("keydown", onReelKey);
      reels.listening = true;
    }
  }

  buildCard() {
    this.card = make("div", "card hidden");
    this.card.setAttribute("role", "region");
    const head = make("div", "head");
    const words = make("div", "words");
    this.title = make("div", "title");
    this.note = make("div", "note");
    words.append(this.title, this.note);
    this.again = iconButton("replay", "Again (G)");
    this.again.onclick = () => this.play(0);
    this.other = iconButton("casino", "Others (H)");
    this.other.onclick = () => this.others();
    const close = iconButton("close", "Stop (G or Esc)");
    close.onclick = () => this.stop();
    head.append(words, this.again, this.other, close);
    this.screen = make("div", "screen");
    this.still = make("img");
    this.still.alt = "";
    this.still.onerror = () => this.still.classList.add("hidden");
    this.why = make("div", "why hidden");
    this.screen.append(this.still);
    // Two elements in turn: while one plays, the other has the next piece ready at its beginning.
    this.videos = [0, 1].map(() => this.video());
    this.screen.append(...this.videos, this.why);
    this.screen.onclick = () => this.open();
    this.ticks = make("div", "ticks");
    const foot = make("div", "foot");
    this.clip = make("button", "button clip");
    this.clip.type = "button";
    this.clip.title = "Open this clip";
    this.clip.onclick = () => this.open();
    foot.append(this.clip);
    this.card.append(head, this.screen, this.ticks, foot);
  }

  video() {
    const video = make("video");
    video.playsInline = true;
    video.preload = "auto";
    video.addEventListener("play", () => claimPlayback(video));
    video.addEventListener("loadedmetadata", () => this.place(video));
    video.addEventListener("playing", () => video === this.front && this.shown(video));
    video.addEventListener("pause", () => {
      // Something else on the page began to play
      if (this.playing && video === this.front && shared.playing !== video) this.stop();
    });
    video.addEventListener("ended", () => video === this.front && this.next());
    video.addEventListener("error", () => video === this.front && video.getAttribute("src") && this.passOver());
    return video;
  }

  update(component) {
    this.component = component;
    this.data = component.data;
    const { sets, label, title, note, modality } = component.data;
    this.start.lastElementChild.textContent = label;
    this.start.title = `Play ${sets[0]?.length ?? 0} pieces of ${component.data.piece} s, one after another (G; others: H; the next reel: Shift+G)`;
    this.start.setAttribute("aria-label", `Reel of ${title}`);
    this.start.disabled = !sets[0]?.length;
    this.card.setAttribute("aria-label", `Reel of ${title}`);
    this.card.className = `card ${modality ?? ""}${this.playing ? "" : " hidden"}`;
    this.title.textContent = title;
    this.note.textContent = note;
    const text = JSON.stringify(sets);
    if (text !== this.text) {
      this.text = text;
      this.sets = sets;
      this.set = 0;
      const wanted = this.waiting;
      this.waiting = false;
      if (wanted && sets[0]?.length) this.play(0);
      else if (this.playing) this.stop();
    }
    this.other.disabled = sets.length < 2 && !component.data.more;
  }

  // ---- playing

  get pieces() {
    return this.sets[this.set] ?? [];
  }

  url(base, id) {
    return base + encodeURIComponent(id);
  }

  play(at) {
    for (const one of reels.all) if (one !== this) one.stop();
    reels.last = this;
    this.playing = true;
    this.failed = new Set();
    this.heard = new Set();
    this.start.classList.add("on");
    setIcon(this.start, "stop_circle");
    this.card.classList.remove("hidden");
    this.ticks.replaceChildren(...this.pieces.map((piece, i) => this.tick(piece, i)));
    this.go(at);
  }

  tick(piece, i) {
    const tick = make("button", "tick");
    tick.type = "button";
    tick.title = piece[1];
    tick.setAttribute("aria-label", `Piece ${i + 1}: ${piece[1]}`);
    tick.append(make("i"));
    tick.onclick = () => (this.playing ? this.go(i) : this.play(i));
    return tick;
  }

  go(at) {
    this.playing = true;
    this.at = at;
    this.turn += 1;
    this.begun = null;
    const [id, caption] = this.pieces[at];
    this.why.classList.add("hidden");
    this.clip.textContent = `${at + 1} of ${this.pieces.length} · ${caption}`;
    const [one, two] = this.videos;
    const ready = this.videos.find((video) => video.dataset.piece === this.name(at));
    const front = ready ?? (this.front === one ? two : one);
    const back = front === one ? two : one;
    this.front = front;
    back.pause();
    if (!ready) this.load(front, at);
    this.still.classList.remove("hidden");
    this.still.src = this.url(this.data.stills, id);
    this.videos.forEach((video) => video.classList.toggle("front", video === front && video.readyState >= 2));
    this.mark();
    const turn = this.turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => turn === this.turn && this.passOver(), STALL_MS);
    front.play().catch((error) => {
      if (turn !== this.turn || error.name === "AbortError") return;
      if (error.name === "NotAllowedError") this.say("The browser plays sound after a click: press the button.");
      else if (!front.error) this.passOver();
    });
    if (at + 1 < this.pieces.length) this.load(back, at + 1);
    // The one after that is only asked for, so that the server cuts it in time
    if (at + 2 < this.pieces.length) this.ask(at + 2);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.watch(turn));
  }

  name(at) {
    return `${this.text.length}/${this.set}/${at}/${this.pieces[at][0]}`;
  }

  load(video, at) {
    const [id, , start] = this.pieces[at];
    video.dataset.piece = this.name(at);
    video.dataset.start = start;
    video.src = `${this.url(this.data.videos, id)}#t=${start}`;
    video.load();
  }

  // A file that is shorter than its clip was said to be still gives a whole piece.
  place(video) {
    const last = Math.max(0, video.duration - this.data.piece);
    if (Number.isFinite(last) && Number(video.dataset.start) > last) video.currentTime = last;
  }

  ask(at) {
    const url = this.url(this.data.videos, this.pieces[at][0]);
    fetch(url, { headers: { Range: "bytes=0-0" }, priority: "low" }).then((r) => r.body?.cancel(), () => undefined);
  }

  shown(video) {
    const turn = this.turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => turn === this.turn && this.next(), STALL_MS);
    if (this.begun === null) this.begun = video.currentTime;
    video.classList.add("front");
    this.heard.add(this.at);
  }

  watch(turn) {
    if (turn !== this.turn || !this.playing) return;
    const video = this.front;
    const share = video.paused || this.begun === null ? 0 : (video.currentTime - this.begun) / this.data.piece;
    this.ticks.children[this.at]?.style.setProperty("--done", `${Math.min(100, 100 * share)}%`);
    if (share >= 1) this.next();
    else this.frame = requestAnimationFrame(() => this.watch(turn));
  }

  next() {
    if (this.at + 1 < this.pieces.length) this.go(this.at + 1);
    else this.finish();
  }

  passOver() {
    this.failed.add(this.at);
    this.heard.delete(this.at);
    if (this.failed.size < this.pieces.length) {
      this.next();
      return;
    }
    const url = this.url(this.data.videos, this.pieces[this.at][0]);
    this.finish();
    this.say("None of these clips can be played.");
    reasonOf(url).then((reason) => reason && this.say(`None of these clips can be played: ${reason}`));
  }

  finish() {
    this.silence();
    this.playing = false;
    this.mark();
    this.start.classList.remove("on");
    setIcon(this.start, "slideshow");
    this.again.focus({ preventScroll: true });
  }

  say(text) {
    this.why.textContent = text;
    this.why.classList.remove("hidden");
  }

  mark() {
    [...this.ticks.children].forEach((tick, i) => {
      tick.classList.toggle("heard", this.heard.has(i) && (i !== this.at || !this.playing));
      tick.classList.toggle("failed", this.failed.has(i));
      if (i !== this.at) tick.style.removeProperty("--done");
    });
  }

  silence() {
    this.turn += 1;
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    for (const video of this.videos) video.pause();
  }

  stop() {
    this.waiting = false;
    if (!this.playing && this.card.classList.contains("hidden")) return;
    this.playing = false;
    this.silence();
    for (const video of this.videos) {
      video.removeAttribute("src");
      delete video.dataset.piece;
      video.load();
    }
    this.card.classList.add("hidden");
    this.start.classList.remove("on");
    setIcon(this.start, "slideshow");
  }

  others() {
    if (this.set + 1 < this.sets.length) {
      this.set += 1;
      this.play(0);
    } else if (this.data.more) {
      this.silence();
      this.waiting = true;
      reels.last = this;
      this.component.setTriggerValue("ask", { more: true });
    } else if (this.sets.length) {
      this.set = 0;
      this.play(0);
    }
  }

  open() {
    const id = this.pieces[this.at]?.[0];
    this.stop();
    if (id) this.component.setTriggerValue("ask", { clip_id: id });
  }

  destroy() {
    this.stop();
    reels.all.delete(this);
    if (reels.last === this) reels.last = null;
    if (!reels.all.size && reels.listening) {
      document.removeEventListener("keydown", onReelKey);
      reels.listening = false;
    }
    if (this.videos.includes(shared.playing)) shared.playing = null;
    this.root.remove();
  }
}

export default (component) => mounted(component, Reel);
