const DECISIONS = {
  keep: { key: "k", icon: "check", label: "Keep", done: "kept" },
  drop: { key: "d", icon: "close", label: "Drop", done: "dropped" },
  maybe: { key: "m", icon: "question_mark", label: "Maybe", done: "maybe" },
};
const SEND_AFTER_MS = 900;
const SEND_AT = 20;
const RESEND_AFTER_MS = 8000;
const TELL_EVERY_MS = 350;
const ADOPT_AFTER_MS = 15000;
const UNDO_MAX = 1000;
const QUEUED_MAX = 1000;
const AHEAD = 3;

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Answers that are not known to be on the server's disk, kept in this browser under the workspace and the reviewer. Each
// tab has its own entry, so that two tabs never overwrite each other; what a closed tab left is taken over.
class Outbox {
  constructor(workspace, reviewer) {
    this.prefix = `concord.review.${workspace}.${reviewer}.`;
    this.name = this.prefix + this.tab();
    this.waiting = [];
    this.flying = null;
    this.lasting = true;
    this.adopt();
  }

  tab() {
    try {
      const known = sessionStorage.getItem("concord.review.tab");
      const tab = known ?? newId();
      if (!known) sessionStorage.setItem("concord.review.tab", tab);
      return tab;
    } catch {
      return newId();
    }
  }

  adopt() {
    const mine = this.read(this.name);
    if (mine) {
      this.flying = mine.flying;
      this.waiting = mine.waiting;
    }
    try {
      const names = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i));
      for (const name of names) {
        if (!name?.startsWith(this.prefix) || name === this.name) continue;
        const left = this.read(name);
        if (left && Date.now() - left.seen < ADOPT_AFTER_MS) continue;
        if (left) this.waiting = [...(left.flying?.answers ?? []), ...left.waiting, ...this.waiting];
        localStorage.removeItem(name);
      }
    } catch {
      this.lasting = false;
    }
    this.keep();
  }

  read(name) {
    try {
      const found = JSON.parse(localStorage.getItem(name) ?? "null");
      return found && Array.isArray(found.waiting) ? found : null;
    } catch {
      return null;
    }
  }

  keep() {
    try {
      if (this.size) {
        const text = JSON.stringify({ flying: this.flying, waiting: this.waiting, seen: Date.now() });
        localStorage.setItem(this.name, text);
      } else localStorage.removeItem(this.name);
      this.lasting = true;
    } catch {
      this.lasting = false; // A private window or a full store: answers then last as long as the page does.
    }
  }

  get size() {
    return this.waiting.length + (this.flying?.answers.length ?? 0);
  }

  // What stands of each clip among the answers that were not confirmed, the last one each.
  *standing() {
    for (const answer of [...(this.flying?.answers ?? []), ...this.waiting]) yield answer;
  }

  add(answer) {
    this.waiting.push(answer);
    this.keep();
  }

  // The batch to send now: the one that nobody confirmed, else a new one of all that wait.
  next() {
    if (!this.flying && this.waiting.length) {
      this.flying = { batch: newId(), answers: this.waiting.splice(0, 500) };
      this.keep();
    }
    return this.flying;
  }

  confirmed(batches) {
    if (!this.flying || !batches.includes(this.flying.batch)) return 0;
    const n = this.flying.answers.length;
    this.flying = null;
    this.keep();
    return n;
  }
}

class Review {
  constructor(parent) {
    this.root = make("div", "root review");
    this.head = make("div", "review-head");
    this.where = make("span", "where");
    this.tally = make("span", "tally");
    this.sign = make("span", "sign");
    this.sign.setAttribute("role", "status");
    this.head.append(this.where, this.tally, make("span", "space"), this.sign);
    this.ticks = make("div", "ticks");
    this.stage = make("div", "stage");
    this.root.append(this.head, this.ticks, this.stage, this.buildBar(), (this.standing = make("div", "standing")));
    parent.append(this.root);
    this.player = new Player(this.stage);
    this.items = [];
    this.own = new Map();
    this.done = [];
    this.saved = 0;
    this.blocked = false;
    this.queued = [];
    this.onKey = (e) => this.key(e);
    document.addEventListener("keydown", this.onKey, true);
    this.onHide = () => { if (document.visibilityState === "hidden") this.send(); };
    document.addEventListener("visibilitychange", this.onHide);
    this.ticks.onclick = (e) => {
      const tick = e.target.closest("[data-place]");
      if (tick) this.go(Number(tick.dataset.place));
    };
  }

  buildBar() {
    const bar = make("div", "bar-review");
    this.buttons = {};
    for (const [name, { key, icon: symbol, label }] of Object.entries(DECISIONS)) {
      const button = make("button", `button decision ${name}`);
      button.type = "button";
      button.title = `${label} this clip (${key.toUpperCase()})`;
      button.append(icon(symbol), make("span", "", label), make("kbd", "", key.toUpperCase()));
      button.onclick = (e) => { this.press(key); if (e.detail > 0) button.blur(); };
      this.buttons[name] = button;
      bar.append(button);
    }
    this.back = make("button", "button");
    this.back.type = "button";
    this.back.title = "Take the last answer back (U)";
    this.back.append(icon("undo"), make("span", "text", "Undo"), make("kbd", "", "U"));
    this.back.onclick = (e) => { this.press("u"); if (e.detail > 0) this.back.blur(); };
    this.note = make("input", "note");
    Object.assign(this.note, { type: "text", maxLength: 2000, placeholder: "Note (N)" });
    this.note.setAttribute("aria-label", "Note on this clip (N)");
    this.note.onkeydown = (e) => {
      e.stopPropagation();
      if (e.key === "Enter") this.note.blur();
      if (e.key === "Escape") { this.note.value = this.said().note; this.note.blur(); }
    };
    this.note.onblur = () => this.keepNote();
    bar.append(this.back, this.note);
    return bar;
  }

  // ---- what the page sends

  update(component) {
    this.component = component;
    const data = (this.data = component.data);
    const who = `${data.workspace}\n${data.reviewer}`;
    if (who !== this.who) this.open(who);
    if (data.said_stamp !== this.stamp || data.window !== this.window) this.learn();
    this.saved += this.outbox.confirmed(data.confirmed);
    // Clips around another place than the present one are a late answer to an earlier step: the next one fits.
    const moved = data.turn !== this.turn || data.list !== this.list || !this.current;
    const fits = moved || data.items.some(([id]) => id === this.current.id);
    if (fits && data.window !== this.window) this.arrange();
    if (this.blocked && this.place < this.items.length - 1) this.release();
    if (moved) {
      this.turn = data.turn;
      this.list = data.list;
      this.blocked = false;
      this.queued = [];
      this.jump(data.current);
    } else this.draw();
    this.sign.title = data.problem;
    if (this.outbox.size && !data.problem) this.sendSoon();
    this.drawSign();
  }

  open(who) {
    this.who = who;
    this.outbox = new Outbox(this.data.workspace, this.data.reviewer);
    this.done = [];
    this.saved = 0;
    this.stamp = this.window = null;
  }

  // What stands: the server's word, and over it what this browser has not seen confirmed.
  learn() {
    this.stamp = this.data.said_stamp;
    for (const item of this.data.items) {
      const mine = this.data.said[item[0]]?.find(([reviewer]) => reviewer === this.data.reviewer);
      if (mine) this.own.set(item[0], { decision: mine[1], note: mine[2] });
      else this.own.delete(item[0]);
    }
    for (const answer of this.outbox.standing()) this.own.set(answer.clip_id, answer);
  }

  arrange() {
    this.window = this.data.window;
    this.offset = this.data.offset;
    this.total = this.data.total;
    this.items = this.data.items.map(([id, caption, duration, machine]) => ({ id, caption, duration, machine }));
    this.places = new Map(this.items.map((item, place) => [item.id, place]));
    this.ticks.replaceChildren(...this.items.map((item, place) => {
      const tick = make("i");
      tick.dataset.place = place;
      return tick;
    }));
  }

  jump(id) {
    const place = this.places.get(id);
    this.current = place === undefined ? this.items[0] : this.items[place];
    this.draw();
  }

  // ---- moving

  get place() {
    return this.places.get(this.current?.id) ?? -1;
  }

  go(place, byHand = true) {
    const target = this.items[Math.max(0, Math.min(this.items.length - 1, place))];
    if (!target || target === this.current) return;
    this.keepNote();
    this.current = target;
    this.starts = !byHand || !this.player.video.paused || this.player.wasPlaying;
    this.draw();
    this.tell();
  }

  // The page is told where one is, at most a few times a second: it draws what belongs to the clip.
  tell() {
    if (this.telling) return;
    const wait = Math.max(0, TELL_EVERY_MS - (Date.now() - (this.told ?? 0)));
    this.telling = setTimeout(() => {
      this.telling = null;
      if (this.current) this.post();
    }, wait);
  }

  // One message says all that the page has not confirmed: a later one replaces an earlier one that the page has not read.
  post() {
    this.told = Date.now();
    this.component.setTriggerValue("said", {
      clip_id: this.current?.id, reviewer: this.data.reviewer, ...(this.outbox.flying ?? {}),
    });
  }

  // ---- answering

  said(id = this.current?.id) {
    return this.own.get(id) ?? { decision: null, note: "" };
  }

  // At the end of what the browser holds, but not of the list: keys wait for the clips that are on their way.
  get atEdge() {
    return this.place === this.items.length - 1 && this.offset + this.items.length < this.total;
  }

  block() {
    this.blocked = true;
    this.tell();
    clearTimeout(this.edge);
    this.edge = setTimeout(() => { if (this.blocked) this.block(); }, RESEND_AFTER_MS);
  }

  release() {
    this.blocked = false;
    const keys = this.queued;
    this.queued = [];
    this.go(this.place + 1, false);
    for (const key of keys) this.press(key);
  }

  press(letter) {
    if (this.blocked) {
      if (this.queued.length < QUEUED_MAX) this.queued.push(letter);
      this.drawSign();
      return;
    }
    const decision = Object.keys(DECISIONS).find((name) => DECISIONS[name].key === letter);
    if (decision) this.say(decision);
    else if (letter === "u") this.undo();
  }

  say(decision) {
    if (!this.current) return;
    const before = this.said();
    const note = this.note.value.trim();
    this.remember(this.current.id, before);
    this.put({ clip_id: this.current.id, decision, note });
    if (this.place < this.items.length - 1) this.go(this.place + 1, false);
    else {
      if (this.atEdge) this.block();
      this.draw();
    }
  }

  keepNote() {
    const note = this.note.value.trim();
    if (!this.current || this.shownFor !== this.current.id || note === this.said().note) return;
    this.remember(this.current.id, this.said());
    this.put({ clip_id: this.current.id, decision: this.said().decision, note });
    this.drawAnswer();
  }

  remember(id, before) {
    this.done.push({ id, before: { decision: before.decision, note: before.note } });
    if (this.done.length > UNDO_MAX) this.done.shift();
  }

  put(answer) {
    this.own.set(answer.clip_id, answer);
    this.outbox.add(answer);
    this.sendSoon();
    this.drawSign();
  }

  undo() {
    const last = this.done.pop();
    if (!last) return;
    this.put({ clip_id: last.id, ...last.before });
    const place = this.places.get(last.id);
    if (place === undefined || place === this.place) this.draw();
    else this.go(place);
  }

  sendSoon() {
    if (this.outbox.flying && this.sentBatch === this.outbox.flying.batch) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), this.outbox.waiting.length >= SEND_AT ? 0 : SEND_AFTER_MS);
  }

  send() {
    clearTimeout(this.timer);
    const batch = this.outbox.next();
    if (!batch) return;
    this.sentBatch = batch.batch;
    this.post();
    this.drawSign();
    clearTimeout(this.again);
    this.again = setTimeout(() => { if (this.outbox.flying) { this.late = true; this.send(); } }, RESEND_AFTER_MS);
  }

  // ---- drawing

  draw() {
    if (!this.current) return;
    const { data, current } = this;
    const at = this.place;
    const base = data.base;
    const url = (kind, id) => base[kind] + encodeURIComponent(id);
    const ahead = this.items.slice(at + 1, at + 1 + AHEAD).filter((item) => item.duration !== null);
    this.player.update({
      data: {
        video: current.duration === null ? null : url("video", current.id),
        strip: current.duration === null ? null : url("strip", current.id),
        poster: current.duration === null ? null : url("still", current.id),
        duration: current.duration,
        preload: ahead.map((item) => url("video", item.id)),
        preload_strips: ahead.map((item) => url("strip", item.id)),
        bands: data.bands,
        title: current.caption,
        previous: at > 0,
        next: at < this.items.length - 1,
        starts: this.starts === true,
        height: data.height,
      },
      setTriggerValue: (_, { by }) => { this.player.steps = 0; this.go(this.place + by); },
    });
    if (this.shownFor !== current.id || document.activeElement === document.body) this.note.value = this.said().note;
    this.shownFor = current.id;
    const place = this.offset + at + 1;
    this.where.replaceChildren(make("b", "", place.toLocaleString("en-US")), ` of ${this.total.toLocaleString("en-US")}`);
    this.drawAnswer();
  }

  drawAnswer() {
    const said = this.said();
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", said.decision === name);
    this.back.disabled = !this.done.length;
    const counts = { keep: 0, drop: 0, maybe: 0 };
    [...this.ticks.children].forEach((tick, place) => {
      const decision = this.said(this.items[place].id).decision;
      if (decision) counts[decision] += 1;
      tick.className = `${decision ?? "open"}${place === this.place ? " here" : ""}`;
    });
    const parts = Object.entries(counts).filter(([, n]) => n).map(([name, n]) => `${n} ${DECISIONS[name].done}`);
    this.tally.textContent = parts.join(" · ");
    this.drawStanding(said);
  }

  // Machine, people and what follows of both, each named.
  drawStanding(said) {
    const others = (this.data.said[this.current.id] ?? []).filter(([reviewer]) => reviewer !== this.data.reviewer);
    const words = ([reviewer, decision, note]) => `${reviewer}: ${decision ? DECISIONS[decision].done : "a note"}${note ? ` (${note})` : ""}`;
    const machine = this.current.machine;
    const latest = this.latest(said);
    const chip = (label, text, name) => {
      const node = make("span", `chip ${name}`);
      node.append(make("span", "label", label), text);
      return node;
    };
    this.standing.replaceChildren();
    if (machine !== null) this.standing.append(chip("machine", machine ? "selected" : "not selected", ""));
    this.standing.append(chip("you", said.decision ? DECISIONS[said.decision].done : "no answer", said.decision ?? ""));
    for (const other of others) this.standing.append(chip("", words(other), other[1] ?? ""));
    if (machine !== null) {
      const inside = latest === "keep" || (machine && latest !== "drop");
      this.standing.append(chip("final", inside ? "in" : "out", inside ? "in" : "out"));
    }
  }

  // The last to speak decides. The page gives what was said in its order; what it has not confirmed yet comes after.
  latest(said) {
    const spoken = (this.data.said[this.current.id] ?? []).map(([reviewer, decision]) => [reviewer, decision]);
    const mine = spoken.findIndex(([reviewer]) => reviewer === this.data.reviewer);
    const waits = [...this.outbox.standing()].some((answer) => answer.clip_id === this.current.id);
    if (mine >= 0 && !waits) spoken[mine][1] = said.decision;
    else spoken.push([this.data.reviewer, said.decision]);
    if (mine >= 0 && waits) spoken.splice(mine, 1);
    return spoken.map(([, decision]) => decision).filter(Boolean).at(-1) ?? null;
  }

  drawSign() {
    const left = this.outbox.size;
    if (!left) this.late = false;
    const problem = this.data.problem;
    const failing = left && (problem || this.late);
    const waiting = this.blocked ? this.queued.length : 0;
    const [kind, symbol] = failing ? ["bad", "cloud_off"] : left || waiting ? ["busy", "sync"] : ["good", "check_circle"];
    const kept = this.outbox.lasting ? "kept in this browser" : "do not close this page";
    const parts = [];
    if (failing) parts.push(`${left} not saved yet, ${kept}${problem ? `: ${problem}` : ""}`);
    else {
      if (this.saved) parts.push(`${this.saved.toLocaleString("en-US")} saved`);
      if (left) parts.push(`saving ${left}`);
    }
    if (waiting) parts.push(`${waiting} ${waiting === 1 ? "key waits" : "keys wait"} for the next clips`);
    this.sign.className = `sign ${kind}`;
    this.sign.replaceChildren();
    if (parts.length) this.sign.append(icon(symbol), make("span", "", parts.join(" · ")));
    if (left && problem) {
      const button = make("button", "button", "Try again");
      button.type = "button";
      button.onclick = () => this.send();
      this.sign.append(button);
    }
  }

  // ---- keys

  key(e) {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.repeat) return;
    // Letters mean nothing to a button or a still that has the focus; where people type, or a question is open, they do.
    const target = e.composedPath()[0];
    const typing = "select, input:not([type=range]), textarea, [contenteditable], [role=dialog], [role=combobox]";
    if (target instanceof Element && target.closest(typing)) return;
    if (document.querySelector("[role=dialog]")) return;
    const letter = e.key.toLowerCase();
    if (letter === "n") this.note.focus();
    else if (letter === "u" || Object.values(DECISIONS).some(({ key }) => key === letter)) this.press(letter);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  destroy() {
    this.keepNote();
    this.send();
    document.removeEventListener("keydown", this.onKey, true);
    document.removeEventListener("visibilitychange", this.onHide);
    for (const timer of [this.timer, this.again, this.telling, this.edge]) clearTimeout(timer);
    this.player.destroy();
    this.root.remove();
  }
}

export default (component) => mounted(component, Review);
