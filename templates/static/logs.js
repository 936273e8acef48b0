// Logs as they come: a stream that survives reconnects, follows its end, and can be paused and filtered.
"use strict";

const KEPT = 3000; // lines on the page
const HIDDEN_CLOSE = 60000; // ms: a hidden tab gives its connection back, and catches up when it is seen again
const ANSI = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;

class Stream {
  constructor(box, address, status) {
    this.box = box;
    this.address = address; // () => URL without the id to resume from
    this.status = status;
    this.last = "";
    this.following = true;
    this.pending = [];
    this.filter = () => true;
    box.addEventListener("scroll", () => this.scrolled());
    document.addEventListener("visibilitychange", () => this.seen(document.visibilityState === "visible"));
  }

  open() {
    this.close();
    const url = new URL(this.address(), location.href);
    if (this.last) url.searchParams.set("after", this.last);
    const source = (this.source = new EventSource(url));
    source.onopen = () => this.say("Live");
    source.onmessage = (event) => {
      this.last = event.lastEventId || this.last;
      this.take(JSON.parse(event.data));
      this.say("Live");
    };
    source.addEventListener("problem", (event) => this.say(JSON.parse(event.data)));
    source.addEventListener("end", () => this.end());
    source.onerror = () => {
      if (source !== this.source) return;
      if (source.readyState !== EventSource.CLOSED) return;
      this.say("Not connected. Trying again…");
      this.timer = setTimeout(() => this.open(), 5000);
    };
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  end() {
    this.ended = true;
    this.close();
    this.say("Complete");
  }

  restart() {
    this.last = "";
    this.pending = [];
    this.box.replaceChildren();
    this.follow(true);
    this.open();
  }

  seen(visible) {
    clearTimeout(this.hiding);
    if (this.ended) return;
    if (!visible) this.hiding = setTimeout(() => this.close(), HIDDEN_CLOSE);
    else if (!this.source) this.open();
  }

  say(text) {
    const empty = !this.box.childElementCount && !this.pending.length;
    const live = !this.following ? "Paused: new lines are added below" : empty ? "Live: no lines yet" : "Live";
    const shown = text === "Live" ? live : text;
    if (this.status.textContent !== shown) this.status.textContent = shown;
  }

  // Lines that arrive together are drawn together.
  add(element) {
    this.pending.push(element);
    if (this.pending.length > KEPT) this.pending.shift();
    this.drawing ??= setTimeout(() => this.draw(), 60);
  }

  draw() {
    this.drawing = null;
    for (const line of this.pending) line.hidden = !this.filter(line);
    this.box.append(...this.pending.splice(0));
    while (this.following && this.box.childElementCount > KEPT) this.box.firstElementChild.remove();
    if (this.following) this.toEnd();
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
    this.at = this.box.scrollTop;
  }

  // Only a reader who scrolls up stops the following; lines that grow the box do not.
  scrolled() {
    const atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 8;
    if (this.following && !atEnd && this.box.scrollTop < this.at) this.follow(false);
    else if (!this.following && atEnd && this.box.scrollTop > this.at) this.follow(true);
    this.at = this.box.scrollTop;
  }

  follow(yes) {
    this.following = yes;
    this.onfollow?.(yes);
    if (yes) this.toEnd();
    if (!this.ended) this.say("Live");
  }

  show(filter) {
    this.filter = filter;
    for (const line of this.box.children) line.hidden = !filter(line);
    if (this.following) this.toEnd();
  }
}

function piece(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

// Six colours, handed out to process types as they appear.
const colours = new Map();
function colour(name) {
  const type = name.replace(/\.\d+$/, "");
  if (!colours.has(type)) colours.set(type, `p${colours.size % 6}`);
  return colours.get(type);
}

function logLine(line) {
  const at = new Date(line.at * 1000);
  const row = document.createElement("div");
  const text = line.text.replace(ANSI, "");
  row.className = /\bat=error\b|\bcode=[HR]\d\d\b/.test(text) ? "row bad" : "row";
  const time = piece("at", at.toTimeString().slice(0, 8));
  time.title = at.toISOString();
  row.append(time, " ", piece(`who ${line.source === "heroku" ? "platform" : colour(line.dyno)}`, line.dyno), " ", piece("text", text));
  return row;
}

function appLog(box) {
  const card = box.closest("section");
  const find = (name) => card.querySelector(`[data-log-${name}]`);
  const [process, source, words, pause] = ["process", "source", "find", "pause"].map(find);
  const address = () => `${box.dataset.log}?${new URLSearchParams({ process: process.value, source: source.value })}`;
  const log = new Stream(box, address, find("state"));
  const offered = new Set([...process.options].map((option) => option.value));
  const offer = (type) => {
    if (offered.has(type)) return;
    offered.add(type);
    process.add(new Option(type, type));
  };
  log.take = (line) => {
    offer(line.dyno.replace(/\.\d+$/, ""));
    log.add(logLine(line));
  };
  log.onfollow = (yes) => {
    pause.setAttribute("aria-pressed", String(!yes));
    pause.textContent = yes ? "Pause" : "Resume";
  };
  process.addEventListener("change", () => log.restart());
  source.addEventListener("change", () => log.restart());
  pause.addEventListener("click", () => log.follow(!log.following));
  words.addEventListener("input", () => {
    const wanted = words.value.toLowerCase();
    log.show((line) => line.textContent.toLowerCase().includes(wanted));
  });
  const wanted = new URLSearchParams(location.search).get("process"); // a link to the log of one process
  if (wanted && /^[\w.-]{1,64}$/.test(wanted)) {
    offer(wanted);
    process.value = wanted;
  }
  log.open();
}

function buildLine(text) {
  const kind = text.startsWith("----->") ? "row head" : /^\s*!/.test(text) ? "row bad" : "row";
  return piece(kind, text.replace(ANSI, "") || " ");
}

function buildLog(box) {
  const log = new Stream(box, () => box.dataset.buildLog, box.closest("section").querySelector("[data-log-state]"));
  log.take = (line) => log.add(buildLine(line));
  log.open();
}

for (const box of document.querySelectorAll("[data-log]")) appLog(box);
for (const box of document.querySelectorAll("[data-build-log]")) buildLog(box);
