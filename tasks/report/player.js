"use strict";

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const clock = (seconds) => !Number.isFinite(seconds) ? "–"
  : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// Play, position and time of the player that `player()` gives; `draw` shows how it stands, `said` may tell something else.
function transportBar(player) {
  const play = make("button", { class: "play", type: "button", onclick: () => player().toggle() }, "play");
  const bar = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "position, seconds", oninput: (event) => player().seek(Number(event.target.value)) });
  const said = make("output", { "aria-live": "off" });  // its clock runs: nobody wants it read aloud
  const element = make("div", { class: "transport" }, play, bar, said);
  function draw() {
    const now = player().position(), length = player().length();
    play.textContent = player().playing ? "pause" : "play";
    play.setAttribute("aria-pressed", player().playing);
    bar.max = Number.isFinite(length) ? length : 1;
    if (document.activeElement !== bar || player().playing) bar.value = now;
    said.textContent = `${clock(now)} / ${clock(length)}`;
  }
  return { element, draw, said };
}

// Several sounds of one position: one is heard at a time, switching keeps the place, and all are equally loud.
// `sounds`: by name its `src`, the `start` and `seconds` of the part that is meant, and its loudness `lufs`.
// `leading` names the one that gives the length. Each is heard to its own end, except where all are `common`: then they
// end with the leading one, and a shorter one goes round, so that no length is told.
class Player {
  constructor(sounds, { first, leading, changed, failed, common = false }) {
    Object.assign(this, { sounds, leading, changed, failed, common, current: first, playing: false, equal: true, over: false });
    this.shift = 0;  // from the place within the current sound to the position: whole rounds of it
    this.wanted = {};  // positions that sounds were placed at
    this.known = new Set();  // those whose length is known
    this.audios = Object.fromEntries(Object.entries(sounds).map(([name, sound]) => [name, make("audio", {
      preload: "none", src: sound.src, "data-source": name,
      // Only now its length is known, and with it the place in it: beyond its end it would be over at once.
      onloadedmetadata: () => { this.known.add(name); this.place(name, this.wanted[name] || 0); changed(); },
      onended: () => { if (this.current === name) this.ended(); },
    })]));
    this.level(true, false);
    requestAnimationFrame(() => this.tick());
  }

  // Seconds of a sound: of its part, or all that comes after the start; NaN while that is not known.
  lasts(name) {
    const { start, seconds } = this.sounds[name], whole = this.audios[name].duration;
    return seconds || (Number.isFinite(whole) ? whole - start : NaN);
  }

  length() { return this.lasts(this.leading); }

  within() { return Math.max(0, this.audios[this.current].currentTime - this.sounds[this.current].start); }

  position() { return this.known.has(this.current) ? this.within() + this.shift : this.wanted[this.current] || 0; }

  // A sound at a position: in one that is shorter, so many rounds later.
  place(name, seconds) {
    const length = this.lasts(name), within = Number.isFinite(length) && length > 0 ? seconds % length : seconds;
    this.wanted[name] = seconds;
    if (name === this.current) this.shift = this.common ? seconds - within : 0;
    if (this.known.has(name)) this.audios[name].currentTime = this.sounds[name].start + within;
  }

  // The current sound is at its end: it goes round, or stops at the beginning.
  ended() {
    const position = Math.max(this.position(), this.shift + (this.lasts(this.current) || 0));
    if (this.common && position < this.length()) {
      this.place(this.current, position);
      if (this.playing) this.start();
    } else {
      this.pause();
      this.place(this.current, 0);
    }
    this.changed();
  }

  // All as loud as the quietest, or each as it is.
  level(equal, tell = true) {
    this.equal = equal;
    const known = Object.values(this.sounds).map((sound) => sound.lufs).filter((v) => v !== null && v !== undefined);
    const quietest = Math.min(...known);
    for (const [name, { lufs }] of Object.entries(this.sounds)) {
      this.audios[name].volume = equal && lufs !== null && lufs !== undefined ? 10 ** ((quietest - lufs) / 20) : 1;
    }
    if (tell) this.changed();
  }

  choose(name) {
    if (!this.audios[name] || name === this.current) return;
    const now = this.position();
    this.audios[this.current].pause();
    this.current = name;
    this.place(name, now);
    if (this.playing) this.start();
    this.changed();
  }

  start() {
    this.playing = true;
    const name = this.current, asked = this.audios[name].play();
    if (asked) asked.catch((error) => {
      if (name !== this.current || error.name === "AbortError") return;
      this.playing = false;
      this.failed(name);
    });
    this.changed();
  }

  pause() { this.playing = false; this.audios[this.current].pause(); this.changed(); }

  toggle() { if (this.playing) this.pause(); else this.start(); }

  seek(seconds) { this.place(this.current, Math.max(0, seconds)); this.changed(); }

  tick() {
    if (this.over) return;
    if (this.playing) {
      const own = this.lasts(this.current), all = this.common ? this.length() : NaN;
      if (this.within() >= own || this.position() >= all) this.ended();
      this.changed();
    }
    requestAnimationFrame(() => this.tick());
  }

  end() {
    this.over = true;
    this.pause();
    for (const audio of Object.values(this.audios)) {
      audio.removeAttribute("src");
      audio.load();  // only this lets go of what was read and of the connection
    }
  }
}
