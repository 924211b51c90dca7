// Shared by every component: what two components on one page must agree on lives in `shared`.

const OVERTAKEN_MS = 1000;
const shared = (window.__concord ??= { arrays: new Map(), blobs: new Map(), playing: null, opened: null });

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function icon(name) {
  const node = make("span", "icon", name);
  node.setAttribute("aria-hidden", "true");
  return node;
}

function iconButton(name, label, className = "button") {
  const button = make("button", className);
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  button.append(icon(name));
  return button;
}

function setIcon(button, name, label) {
  button.firstElementChild.textContent = name;
  if (label) {
    button.title = label;
    button.setAttribute("aria-label", label);
  }
}

function parseColor(text) {
  const value = String(text ?? "").trim();
  const hex = value.match(/^#([0-9a-f]{3,8})$/i);
  if (hex) {
    let digits = hex[1];
    if (digits.length < 6) digits = [...digits].map((d) => d + d).join("");
    return [0, 2, 4].map((i) => parseInt(digits.slice(i, i + 2), 16));
  }
  const parts = value.match(/[\d.]+/g);
  return parts && parts.length >= 3 ? parts.slice(0, 3).map(Number) : null;
}

function cssColor(node, name, fallback) {
  const style = getComputedStyle(node);
  return parseColor(style.getPropertyValue(name)) ?? parseColor(fallback);
}

const rgb = (c, alpha) => (alpha === undefined ? `rgb(${c.join(",")})` : `rgba(${c.join(",")},${alpha})`);
const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));
const luminance = ([r, g, b]) => (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;

function themeOf(node) {
  const background = cssColor(node, "--st-background-color", "#ffffff");
  const dark = luminance(background) < 0.5;
  const text = cssColor(node, "--st-text-color", dark ? "#e7ebf1" : "#1a2330");
  return {
    dark,
    background,
    text,
    muted: mix(text, background, 0.32),
    primary: cssColor(node, "--st-primary-color", "#0b67a8"),
    audio: cssColor(node, "--st-orange-color", "#d98b06"),
    audioInk: cssColor(node, "--st-orange-text-color", "#965700"),
    visual: cssColor(node, "--st-green-color", "#12988f"),
    visualInk: cssColor(node, "--st-green-text-color", "#0a6f69"),
    font: getComputedStyle(node).getPropertyValue("--st-font") || "sans-serif",
  };
}

// One sign for "less than nothing" everywhere: U+2212, as wide as a plus.
const minus = (text) => text.replaceAll("-", "−");

function formatNumber(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1000) return minus(Math.round(value).toLocaleString("en-US"));
  if (size >= 100) return minus(value.toFixed(1));
  return minus(size >= 0.0005 ? value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3) : value.toExponential(1));
}

// For the inside of a cell: two decimals at most.
function formatBrief(value) {
  if (!Number.isFinite(value) || Number.isInteger(value)) return formatNumber(value);
  const size = Math.abs(value);
  if (size >= 1000) {
    return minus(Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 }).format(value));
  }
  return Number(value.toFixed(2)) === 0 ? "0.00" : minus(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2));
}

// Why an address gives no picture or sound: the server's own sentence, or nothing where it has none.
async function reasonOf(url) {
  try {
    const response = await fetch(url, { headers: { Range: "bytes=0-0" } });
    const plain = (response.headers.get("content-type") ?? "").startsWith("text/plain");
    if (!response.ok && plain) return (await response.text()).slice(0, 200);
    await response.body?.cancel();
  } catch {
    // No answer at all: there is nothing to add.
  }
  return "";
}

function formatTime(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

// Keys of a component count when it has the focus, or when nothing on the page has: the page's own body, which a click
// beside everything focuses, is nothing.
function hasFocus(root) {
  const active = document.activeElement;
  const host = root.getRootNode().host;
  return !active || active === document.body || active.matches("main, section") || (host && active === host) || root.contains(active);
}

// Only one thing sounds at a time, whichever component it belongs to.
function claimPlayback(media) {
  if (shared.playing && shared.playing !== media) shared.playing.pause();
  shared.playing = media;
}

// Arrays that come deflated, one after another, as `packed.py` writes them.
const ITEM_BYTES = { u1: 1, u2: 2, u4: 4, i2: 2, f2: 2, f4: 4 };

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function halfToFloat(halves) {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const h = halves[i];
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 31) out[i] = fraction ? NaN : sign * Infinity;
    else if (exponent) out[i] = sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
    else out[i] = sign * 2 ** -14 * (fraction / 1024);
  }
  return out;
}

function splitArrays(specs, bytes) {
  let offset = 0;
  return specs.map(({ name, type, shape }) => {
    const count = shape.reduce((all, side) => all * side, 1);
    const part = bytes.slice(offset, (offset += count * ITEM_BYTES[type]));
    const views = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, f2: Uint16Array, f4: Float32Array };
    const view = new views[type](part.buffer);
    return { name, data: type === "f2" ? halfToFloat(view) : view };
  });
}

// A header and arrays as `packed.py` sends them: the header, once its arrays are in `held` under its digest. Nothing
// where a later message has come meanwhile, or where the arrays are not held any more and were asked for.
async function received(self, component, held, most) {
  const bytes = component.data;
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const turn = (self.turn = (self.turn ?? 0) + 1);
  if (bytes.byteLength > 4 + length) {
    const arrays = splitArrays(head.arrays, await inflate(bytes.subarray(4 + length)));
    held.delete(head.digest);
    held.set(head.digest, arrays);
    while (held.size > most) held.delete(held.keys().next().value);
    return turn === self.turn ? head : null;
  }
  if (held.has(head.digest)) return head;
  component.setTriggerValue("need", head.digest);
  return null;
}

// What every component exports: one object for its place on the page, given each new message, ended with the place.
// Kept under its kind's name: another kind may be given the place before the first is ended.
// A message that another one overtook is ended like the place itself, though the other one follows a moment later: where
// the place still stands, that moment is waited for. What is on the screen, and keys pressed meanwhile, would be lost.
function mounted(component, Kind) {
  const parent = component.parentElement;
  const self = (parent[`__${Kind.name}`] ??= new Kind(parent));
  const message = (self.message = (self.message ?? 0) + 1);
  self.update(component);
  const end = () => {
    if (parent[`__${Kind.name}`] !== self || self.message !== message) return;
    self.destroy();
    delete parent[`__${Kind.name}`];
  };
  return () => {
    if (parent.isConnected) setTimeout(end, OVERTAKEN_MS);
    else end();
  };
}
