// A clip that the server is still cutting: its pieces go into the browser's own buffer as they come, so that it plays
// from the first one on and can be sought in as far as it has come.

const LIVE = "live=1"; // asks for a clip from its first piece on
const SHORT_S = 0.5; // by how much less than was announced a clip was not cut to its end

class Stream {
  // `otherwise`: called where there is a whole file already, or none to be had: to be loaded by its own address.
  // `complete`: called once everything has come.
  constructor(url, otherwise, complete) {
    this.otherwise = otherwise;
    this.complete = complete;
    this.isComplete = false;
    this.media = new MediaSource();
    this.source = URL.createObjectURL(this.media);
    this.controller = new AbortController();
    this.run(`${url}${url.includes("?") ? "&" : "?"}${LIVE}`);
  }

  static isPossible() {
    return "MediaSource" in window;
  }

  async run(url) {
    const { signal } = this.controller;
    const open = new Promise((resolve) => this.media.addEventListener("sourceopen", resolve, { once: true }));
    try {
      const response = await fetch(url, { signal, priority: "high" });
      const type = response.headers.get("content-type") ?? "";
      const length = Number(response.headers.get("x-duration-s"));
      const grows = response.ok && length > 0 && MediaSource.isTypeSupported(type);
      if (!grows) throw new Error("nothing that grows");
      await open;
      await this.fill(response.body.getReader(), type, length);
    } catch {
      const left = signal.aborted;
      this.end();
      if (!left) this.otherwise();
      return;
    }
    this.isComplete = true;
    this.complete();
  }

  async fill(reader, type, length) {
    const buffer = this.media.addSourceBuffer(type);
    this.media.duration = length;
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      buffer.appendBuffer(piece.value);
      await new Promise((resolve, reject) => {
        buffer.onupdateend = resolve;
        buffer.onerror = reject;
      });
    }
    this.media.endOfStream();
    if (this.media.duration < length - SHORT_S) throw new Error("not cut to its end");
  }

  // The server cuts on only as long as somebody reads.
  end() {
    this.controller.abort();
    URL.revokeObjectURL(this.source);
  }
}
