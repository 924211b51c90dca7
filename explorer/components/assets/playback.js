// What plays one clip: picture, strip and controls under one playhead. `player` and `review` are built of it.

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2];
const PRELOAD_BYTES = 48e6;
const PREFERENCES = "concord.player";
const AHEAD_MS = 3000; // how long a page may take to answer a click
const STRIP_MS = 2000; // how long the picture of the sound makes way for the clip itself

function loadPreferences() {
  const fallback = { loop: false, speed: 1, volume: 0.8, mode: "both" };
  try {
    return { ...fallback, ...JSON.parse(localStorage.getItem(PREFERENCES) ?? "{}") };
  } catch {
    return fallback;
  }
}

function savePreferences(preferences) {
  try {
    localStorage.setItem(PREFERENCES, JSON.stringify(preferences));
  } catch {
    // Private windows refuse storage; the choice then holds until the page is left.
  }
}

// The next clips, fetched whole one after another, so that "next" starts without waiting: videos are kept as blobs,
// pictures of sound in the browser's own cache. One request at a time, as a browser has six for everything.
class Preloader {
  constructor() {
    this.videos = [];
    this.wanted = [];
    this.tried = new Set();
    this.running = null;
  }

  want(videos, pictures) {
    const urls = videos.flatMap((video, i) => [video, ...pictures.slice(i, i + 1)]);
    this.videos = videos;
    this.wanted = urls;
    this.tried = new Set([...this.tried].filter((url) => urls.includes(url)));
    if (this.running && !urls.includes(this.running.url)) this.running.controller.abort();
    for (const [url, blob] of shared.blobs) {
      if (!urls.includes(url) && url !== this.current) {
        URL.revokeObjectURL(blob);
        shared.blobs.delete(url);
      }
    }
    this.goOn();
  }

  // Makes way for what a person waits for, until `want` is called again.
  halt() {
    this.wanted = [];
    this.tried.clear();
    this.running?.controller.abort();
  }

  goOn() {
    const url = this.wanted.find((one) => !shared.blobs.has(one) && !this.tried.has(one));
    if (url !== undefined && !this.running) this.fetch(url);
  }

  async fetch(url) {
    const controller = new AbortController();
    this.running = { url, controller };
    this.tried.add(url);
    try {
      const response = await fetch(url, { signal: controller.signal, priority: "low" });
      if (!response.ok || Number(response.headers.get("content-length") ?? 0) > PRELOAD_BYTES) controller.abort();
      else {
        const blob = await response.blob();
        if (this.videos.includes(url)) shared.blobs.set(url, URL.createObjectURL(blob));
      }
    } catch {
      // Not fetched ahead: the clip is then loaded when it is opened, and says itself if it cannot be.
    } finally {
      this.running = null;
      this.goOn();
    }
  }

  source(url) {
    this.current = url;
    return shared.blobs.get(url) ?? url;
  }
}

class Player {
  constructor(parent) {
    this.preferences = loadPreferences();
    this.preloader = new Preloader();
    this.stream = null; // of the clip that is open, while the server cuts it
    this.root = make("div", "root player");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "group");
    this.buildScreen();
    this.buildTimeline();
    this.buildControls();
    this.caption = make("div", "caption");
    this.root.append(this.screen, this.timeline, this.caption, this.controls);
    parent.append(this.root);
    this.onKey = (e) => this.key(e);
    document.addEventListener("keydown", this.onKey);
    this.steps = 0;
    this.arriving = null; // where to go on in a file that is being loaded
    this.opened = (url) => this.anticipate(url);
    shared.opened = this.opened;
  }

  // ---- building

  buildScreen() {
    this.screen = make("div", "screen");
    this.video = make("video");
    this.video.playsInline = true;
    this.video.preload = "auto";
    this.bigPlay = make("div", "big-play");
    this.bigPlay.append(icon("play_arrow"));
    this.cover = make("div", "cover hidden");
    this.mutedBadge = make("div", "muted-badge hidden");
    this.mutedBadge.append(icon("volume_off"), make("span", "", "sound off · R to hear"));
    this.screen.append(this.video, this.bigPlay, this.cover, this.mutedBadge);
    this.screen.onclick = (e) => {
      if (!e.target.closest("button")) this.toggle();
    };
    const video = this.video;
    const on = (names, action) => names.split(" ").forEach((name) => video.addEventListener(name, action));
    on("play", () => { claimPlayback(video); this.tick(); });
    on("loadedmetadata", () => {
      if (this.arriving) video.currentTime = Math.min(this.arriving, video.duration || 0);
      this.arriving = null;
    });
    on("play pause ended loadedmetadata seeked timeupdate", () => this.show());
    on("waiting loadstart", () => this.screen.classList.toggle("waiting", Boolean(video.currentSrc || video.src)));
    on("canplay playing loadeddata error emptied", () => this.screen.classList.remove("waiting"));
    on("loadeddata canplay", () => { this.drawStrip(); this.preload(); }); // the first may come in the middle of a seek
    on("error", () => this.failed());
  }

  buildTimeline() {
    this.timeline = make("div", "timeline");
    this.strip = make("img", "strip");
    this.strip.alt = "";
    this.strip.draggable = false;
    this.strip.onload = () => this.strip.classList.remove("coming");
    this.strip.onerror = () => {
      this.noStrip = this.data.strip;
      this.timeline.classList.add("plain");
    };
    this.played = make("div", "played");
    this.playhead = make("div", "playhead");
    this.ghost = make("div", "ghost hidden");
    this.ghost.append(make("span"));
    this.bands = make("div");
    this.timeline.append(this.strip, this.played, this.bands, this.ghost, this.playhead);
    const seek = (e) => {
      const share = Math.max(0, Math.min(1, e.offsetX / this.timeline.clientWidth));
      if (this.duration()) this.seek(share * this.duration());
      this.show();
    };
    this.timeline.onpointerdown = (e) => {
      this.timeline.setPointerCapture(e.pointerId);
      this.dragging = true;
      seek(e);
    };
    this.timeline.onpointermove = (e) => {
      this.hoverAt(e.offsetX);
      if (this.dragging) seek(e);
    };
    this.timeline.onpointerup = this.timeline.onpointercancel = () => { this.dragging = false; };
    this.timeline.onpointerleave = () => this.ghost.classList.add("hidden");
  }

  buildControls() {
    const bar = (this.controls = make("div", "controls"));
    const add = (name, label, action, className = "button") => {
      const button = iconButton(name, label, className);
      button.onclick = action;
      bar.append(button);
      return button;
    };
    this.previous = add("skip_previous", "Previous clip (left arrow)", () => this.step(-1));
    this.playButton = add("play_arrow", "Play (space)", () => this.toggle());
    this.next = add("skip_next", "Next clip (right arrow)", () => this.step(1));
    this.time = make("span", "time");
    this.now = make("b");
    this.total = make("span");
    this.time.append(this.now, " / ", this.total);
    bar.append(this.time, make("span", "space"));
    this.ear = add("hearing", "Ear first: hide the picture until you reveal it", () => this.setMode("ear"), "button ear");
    this.ear.append(make("span", "text", "Ear first"));
    this.eye = add("visibility", "Eye first: no sound until you ask for it", () => this.setMode("eye"), "button eye");
    this.eye.append(make("span", "text", "Eye first"));
    this.loop = add("repeat", "Loop (L)", () => this.set({ loop: !this.preferences.loop }));
    this.speed = make("select");
    this.speed.title = "Speed";
    this.speed.setAttribute("aria-label", "Speed");
    for (const speed of SPEEDS) this.speed.append(new Option(`${speed}×`, speed));
    this.speed.onchange = () => this.set({ speed: Number(this.speed.value) });
    this.mute = add("volume_up", "Sound off (S)", () => this.setMuted(!this.video.muted));
    this.volume = make("input");
    Object.assign(this.volume, { type: "range", min: 0, max: 1, step: 0.05, title: "Volume" });
    this.volume.setAttribute("aria-label", "Volume");
    this.volume.oninput = () => { this.setMuted(false); this.set({ volume: Number(this.volume.value) }); };
    this.mute.before(this.speed);
    bar.append(this.volume);
    // After a click with the mouse the keys belong to the player again, not to the button.
    bar.addEventListener("click", (e) => { if (e.detail > 0) e.target.closest("button")?.blur(); });
  }

  // ---- what the page sends

  update(component) {
    this.component = component;
    const data = (this.data = component.data);
    this.screen.style.height = `${data.height}px`;
    this.screen.classList.toggle("low", data.height < 260);
    this.caption.textContent = data.title;
    this.caption.classList.toggle("hidden", !data.title);
    this.previous.disabled = !data.previous;
    this.next.disabled = !data.next;
    this.drawBands();
    this.timeline.classList.toggle("plain", !data.strip || data.strip === this.noStrip);
    if (this.strip.getAttribute("src") !== data.strip) this.strip.classList.add("coming"); // never another clip's sound
    const late = this.ahead && this.ahead.url !== data.video && performance.now() < this.ahead.until;
    if (!late) {
      this.ahead = null;
      if (this.url !== data.video) this.open(data.video, data.poster);
      else this.preload();
    }
    this.drawStrip();
    clearTimeout(this.stripTimer);
    this.stripTimer = setTimeout(() => this.drawStrip(true), STRIP_MS);
    this.steps = 0;
    this.show();
  }

  // The picture of the sound is drawn from the same file: where the clip must still be cut it waits until that moves.
  drawStrip(now = !this.stream || this.video.readyState >= 2) {
    const url = this.data.strip;
    if (now && url && this.strip.getAttribute("src") !== url) this.strip.src = url;
  }

  // A clip that was clicked elsewhere on the page is opened before the page answers with what belongs to it.
  anticipate(url) {
    if (!url || url === this.url) return;
    this.ahead = { url, until: performance.now() + AHEAD_MS };
    this.strip.classList.add("coming");
    this.open(url);
  }

  // Once this clip can play, and has come whole: the clips that come next, their videos and the pictures of their sound.
  preload() {
    if (this.video.readyState < 2 || (this.stream && !this.stream.isComplete)) return;
    this.preloader.want(this.data.preload, this.data.preload_strips ?? []);
  }

  open(url, poster) {
    // A clip starts by itself only in the middle of listening: the last one played and the person went on.
    const goOn = this.data.starts || (this.url !== undefined && this.wasPlaying);
    this.wasPlaying = false;
    this.url = url;
    this.arriving = null;
    this.revealed = false;
    this.endStream();
    this.apply();
    this.video.poster = poster ?? "";
    if (!url) {
      this.video.removeAttribute("src");
      this.video.load();
      this.note("videocam_off", "Nothing to play for this clip", "This workspace knows of no media file of it.");
      return;
    }
    const source = this.preloader.source(url);
    if (source === url) this.preloader.halt();
    if (source === url && Stream.isPossible()) {
      this.stream = new Stream(url, () => this.swap(), () => this.preload());
    }
    this.video.src = this.stream?.source ?? source;
    if (goOn) this.play();
  }

  endStream() {
    this.stream?.end();
    this.stream = null;
  }

  seek(time) {
    if (this.arriving !== null) this.arriving = time;
    else this.video.currentTime = time;
  }

  // The file itself in the place of a stream or a copy, from where those are on.
  swap() {
    const goOn = !this.video.paused;
    this.arriving ??= this.video.currentTime;
    this.endStream();
    this.video.src = this.url;
    if (goOn) this.play();
  }

  drawBands() {
    let top = 0;
    this.bands.replaceChildren();
    if (!this.data.strip) return;
    for (const [name, share, modality] of this.data.bands) {
      const band = make("div", `band ${modality}`, name);
      band.style.top = `calc(${100 * top}% + 5px)`;
      top += share;
      this.bands.append(band);
    }
  }

  // ---- state

  duration() {
    return Number.isFinite(this.video.duration) && this.video.duration > 0 ? this.video.duration : this.data.duration || 0;
  }

  async play() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.show();
    }
  }

  toggle() {
    if (!this.url) return;
    if (this.video.paused) this.play();
    else this.video.pause();
  }

  set(change) {
    Object.assign(this.preferences, change);
    savePreferences(this.preferences);
    this.apply();
  }

  setMode(mode) {
    this.revealed = false;
    this.set({ mode: this.preferences.mode === mode ? "both" : mode });
  }

  setMuted(muted) {
    if (!muted && this.preferences.mode === "eye") this.revealed = true;
    this.userMuted = muted;
    this.apply();
  }

  reveal() {
    this.revealed = true;
    this.apply();
  }

  apply() {
    const { loop, speed, volume, mode } = this.preferences;
    const video = this.video;
    const hidePicture = mode === "ear" && !this.revealed && Boolean(this.url);
    const hideSound = mode === "eye" && !this.revealed;
    video.loop = loop;
    video.playbackRate = video.defaultPlaybackRate = speed;
    video.volume = volume;
    video.muted = Boolean(this.userMuted) || hideSound;
    this.loop.setAttribute("aria-pressed", loop);
    this.ear.setAttribute("aria-pressed", mode === "ear");
    this.eye.setAttribute("aria-pressed", mode === "eye");
    this.speed.value = String(speed);
    this.volume.value = String(volume);
    setIcon(this.mute, video.muted ? "volume_off" : "volume_up", video.muted ? "Sound on (S)" : "Sound off (S)");
    this.mutedBadge.classList.toggle("hidden", !hideSound || !this.url);
    if (hidePicture) {
      this.note("hearing", "Picture hidden: listen first", "", ["Reveal the picture (R)", () => this.reveal()]);
    } else if (this.url) this.cover.classList.add("hidden");
    this.show();
  }

  note(name, title, text, action) {
    this.cover.replaceChildren(icon(name), make("div", "", title));
    if (text) this.cover.append(make("div", "small", text));
    if (action) {
      const button = make("button", "button", action[0]);
      button.type = "button";
      button.onclick = action[1];
      this.cover.append(button);
    }
    this.cover.classList.remove("hidden");
  }

  failed() {
    if (!this.url || !this.video.error) return;
    const url = this.url;
    if (this.video.src.startsWith("blob:")) { // copies are shared: a player that went may have let go of this one
      shared.blobs.delete(url);
      this.swap();
      return;
    }
    const say = (text) => this.note("error", "This clip could not be played", text,
      ["Try again", () => { this.cover.classList.add("hidden"); this.video.src = url; this.play(); }]);
    say("");
    reasonOf(url).then((reason) => { if (reason && this.url === url && this.video.error) say(reason); });
  }

  show() {
    const total = this.duration();
    const share = total ? Math.min(1, this.video.currentTime / total) : 0;
    this.playhead.style.left = this.played.style.width = `${100 * share}%`;
    this.now.textContent = formatTime(this.video.currentTime);
    this.total.textContent = formatTime(total || NaN);
    const paused = this.video.paused;
    setIcon(this.playButton, paused ? "play_arrow" : "pause", paused ? "Play (space)" : "Pause (space)");
    this.bigPlay.classList.toggle("hidden", !paused || !this.url || !this.cover.classList.contains("hidden") || this.video.currentTime > 0);
  }

  tick() {
    cancelAnimationFrame(this.frame);
    const run = () => {
      this.show();
      if (!this.video.paused) this.frame = requestAnimationFrame(run);
    };
    run();
  }

  hoverAt(x) {
    const width = this.timeline.clientWidth;
    this.ghost.classList.remove("hidden");
    this.ghost.classList.toggle("left", x > width - 60);
    this.ghost.style.left = `${x}px`;
    this.ghost.firstChild.textContent = formatTime((x / width) * this.duration());
  }

  // ---- keys and steps

  step(by) {
    if (by > 0 ? !this.data.next : !this.data.previous) return;
    this.wasPlaying = this.wasPlaying || !this.video.paused;
    this.steps += by;
    if (this.steps) this.component.setTriggerValue("step", { by: this.steps });
  }

  key(e) {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || !hasFocus(this.root)) return;
    const target = e.composedPath()[0];
    if (target instanceof Element && target.closest("select, input")) return;
    if (e.key === " " && target instanceof Element && target.closest("button")) return;
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      l: () => this.set({ loop: !this.preferences.loop }),
      s: () => this.setMuted(!this.video.muted),
      r: () => this.reveal(),
    };
    const action = actions[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!action) return;
    e.preventDefault();
    action();
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.stripTimer);
    this.video.pause();
    if (shared.playing === this.video) shared.playing = null;
    if (shared.opened === this.opened) shared.opened = null;
    this.preloader.current = null;
    this.preloader.want([], []);
    this.endStream();
    this.video.removeAttribute("src");
    this.root.remove();
  }
}
