const gramophone = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = Object.fromEntries(data.columns.map((name, n) => [name, n]));
  const served = location.pathname.startsWith("/listen/");  // by `gramophone listen`: then every input can be heard
  const ROWS = 50, SOURCES = ["content", "style", "result"];
  const $ = (id) => document.getElementById(id);
  const panel = $("pair");
  let order = data.pairs.map((_, n) => n), first = 0, chosen = -1, player = null;
  const parts = new Map();  // number -> a promise of its pairs

  function drawing(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const figure = (value) => value === null || value === undefined ? "–"
    : typeof value !== "number" ? String(value)
    : Number.isInteger(value) ? String(value)
    : Math.abs(value) < 0.001 ? value.toExponential(2) : value.toPrecision(3);

  const hertz = (value) => value < 1000 ? `${value} Hz` : `${value / 1000} kHz`;

  // --- what a person may copy: the words between backticks ----------------------------------------

  function withCommands(text) {
    return text.split("`").flatMap((part, n) => n % 2 === 0 ? [part] : [
      make("code", {}, part),
      make("button", { class: "copy", type: "button", onclick: (event) => copy(part, event.target) }, "copy"),
    ]);
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      const range = document.createRange();  // a page from a disk may not: it is marked, for Ctrl-C
      range.selectNodeContents(button.previousSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "marked";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  for (const cell of document.querySelectorAll(".command span")) cell.replaceChildren(...withCommands(cell.textContent));

  // --- the list -----------------------------------------------------------------------------------

  function arrange() {
    const words = $("search").value.trim().toLowerCase(), which = $("status").value, by = $("order").value;
    order = data.pairs.map((_, n) => n).filter((n) => {
      const pair = data.pairs[n], text = `${pair[at.pair_id]} ${pair[at.reason] || ""}`.toLowerCase();
      const done = pair[at.status] === "ok";
      return text.includes(words) && (which === "" || (which === "ok") === done);
    });
    const value = (n) => data.pairs[n][at[by]];
    if (by === "pair_id") order.sort((a, b) => value(a).localeCompare(value(b), undefined, { numeric: true }));
    else if (by) order.sort((a, b) => (value(b) ?? -Infinity) - (value(a) ?? -Infinity));
    first = 0;
    list();
  }

  function list() {
    const rows = order.slice(first, first + ROWS).map((n) => {
      const pair = data.pairs[n], failed = pair[at.status] !== "ok" || pair[at.reason];
      return make("tr", { class: n === chosen ? "chosen" : null, "data-pair": n, onclick: () => open(n) },
        make("td", { title: pair[at.pair_id] }, make("button", { type: "button" }, pair[at.pair_id])),
        ...(failed ? [make("td", { class: "why", colspan: 3 }, pair[at.reason] || pair[at.status])]
          : ["style_loss", "content_loss", "seconds_total"].map((name) => make("td", { class: "number" }, figure(pair[at[name]])))));
    });
    document.querySelector("#lines tbody").replaceChildren(...rows);
    $("where").textContent = order.length ? `${first + 1} to ${first + rows.length} of ${order.length}` : "none";
    $("before").disabled = first === 0;
    $("after").disabled = first + ROWS >= order.length;
  }

  function page(step) { first = Math.max(0, first + step * ROWS); list(); }

  // --- one pair -----------------------------------------------------------------------------------

  function load(number) {
    if (!parts.has(number)) {
      let arrive, fail;
      const coming = new Promise((done, failed) => { arrive = done; fail = failed; });
      coming.arrive = arrive;
      parts.set(number, coming);
      const name = `report/${String(number).padStart(4, "0")}.js`;
      document.head.append(make("script", { src: name, onerror: () => { parts.delete(number); fail(new Error(name)); } }));
    }
    return parts.get(number);
  }

  async function open(n) {
    chosen = n;
    list();
    panel.classList.add("open");
    history.replaceState(null, "", `#${encodeURIComponent(data.pairs[n][at.pair_id])}`);
    let pairs;
    try {
      pairs = await load(Math.floor(n / data.part));
    } catch (error) {
      panel.replaceChildren(make("p", { class: "fault" }, `${error.message} is not beside this page; `, ...withCommands("`gramophone report` writes both anew.")));
      return;
    }
    if (chosen === n) show(pairs[n % data.part]);
  }

  function move(step) {
    const now = order.indexOf(chosen), next = Math.min(order.length - 1, Math.max(0, now + step));
    if (!order.length || next === now) return;
    first = Math.floor(next / ROWS) * ROWS;
    open(order[next]);
  }

  function close() {
    panel.classList.remove("open");
    if (player) player.pause();
  }

  function show(pair) {
    if (player) player.end();
    const sounds = Object.fromEntries(SOURCES.filter((name) => pair.sounds.sounds[name]).map((name) => [name, pair.sounds.sounds[name]]));
    player = Object.keys(sounds).length ? transport(pair, sounds) : null;
    panel.replaceChildren(...[
      make("button", { id: "close", type: "button", onclick: close }, "close"),
      make("h3", {}, pair.name),
      pair.status === "ok" && !pair.message ? null : make("div", { class: "fault" },
        make("div", {}, `${pair.reason || pair.status}${pair.message ? `: ${pair.message}` : ""}`),
        pair.remedy ? make("div", { class: "command" }, ...withCommands(pair.remedy)) : null),
      player ? player.element : null,
      ...curve(pair),
      ...terms("Parameters that are not the default", Object.entries(pair.changed).map(([name, [value, usual]]) =>
        [name, `${JSON.stringify(value)}, not ${JSON.stringify(usual)}`])),
      ...figures(pair.figures),
      ...terms("Made of", pair.sounds.inputs.map((one) => [one.role, inputs(one)])),
      ...terms("Made by", Object.entries(pair.lineage)),
      ...terms("Tags", Object.entries(pair.tags)),
    ].filter(Boolean));
    panel.scrollTop = 0;
  }

  const inputs = (one) => [one.uri, one.start || one.seconds ? `from ${figure(one.start || 0)} s` : null,
    one.seconds ? `${figure(one.seconds)} s long` : null, one.weight && one.weight !== 1 ? `weight ${figure(one.weight)}` : null,
    one.sha256 ? `sha256 ${one.sha256}` : null].filter(Boolean).join(", ");

  function terms(title, entries) {
    if (!entries.length) return [];
    return [make("h4", {}, title), make("dl", {}, ...entries.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]))];
  }

  function figures(values) {
    const entries = Object.entries(values);
    if (!entries.length) return [];
    return [make("h4", {}, "Figures; small, what eight pairs of real music gave with the default parameters"), make("div", { class: "figures" }, ...entries.map(([name, value]) =>
      make("div", { title: data.docs[name] || null },
        make("span", {}, name.replaceAll("_", " "), data.usual[name] ? make("small", {}, ` ${data.usual[name].join(" to ")}`) : null),
        make("span", {}, figure(value)))))];
  }

  function curve(pair) {
    const style = pair.curve.style || [], content = pair.curve.content || [];
    if (style.length < 2) return [];
    // A step that was tried and refused may be far off: what is drawn ends at ten times where it began or ended.
    const most = 10 * Math.max(style[0], style[style.length - 1], ...content.slice(-1));
    const values = [...style, ...content].filter((v) => v > 0 && v <= most), high = Math.log(Math.max(...values));
    const low = Math.max(Math.log(Math.min(...values)), high - Math.log(1000));  // an untouched content has lost next to nothing
    const x = (n) => (n / (style.length - 1)) * 600, y = (v) => 106 - ((Math.log(Math.min(Math.max(v, Math.exp(low)), Math.exp(high))) - low) / ((high - low) || 1)) * 100;
    const path = (kind, ys) => drawing("path", { class: kind, d: ys.map((v, n) => `${n ? "L" : "M"}${x(n).toFixed(1)} ${y(v).toFixed(1)}`).join("") });
    const changes = pair.stages.map((_, n) => n).filter((n) => n && pair.stages[n] !== pair.stages[n - 1]);
    return [
      // What is optimised is the way to the target, and at less than full strength that is no style's.
      make("h4", {}, `Losses over the evaluations${"strength" in pair.changed ? `, to the target that strength ${pair.changed.strength[0]} sets` : ""}`),
      drawing("svg", { class: "curve", viewBox: "0 0 600 110", preserveAspectRatio: "none", role: "img",
        "aria-label": `style loss from ${figure(style[0])} to ${figure(style[style.length - 1])} in ${style.length} evaluations` },
      ...changes.map((n) => drawing("path", { class: "stage", d: `M${x(n)} 0V110` })),
      ...(content.length ? [path("content", content)] : []), path("style", style)),
      make("div", { class: "legend" }, make("b", { class: "s" }, `style ${figure(style[0])} → ${figure(style[style.length - 1])}`),
        content.length ? make("b", {}, `content ${figure(content[0])} → ${figure(content[content.length - 1])}`) : null,
        make("span", {}, `${style.length} evaluations, log scale`)),
    ];
  }

  // --- three sounds, one position -----------------------------------------------------------------

  function address(name, sound, pair) {
    if (sound.withdrawn) return null;
    if (served && name !== "result") return `../../../input/${encodeURIComponent(pair.lineage.run_id)}/${pair.lineage.manifest_row}/${sound.input}`;
    return sound.link;
  }

  function transport(pair, sounds) {
    const names = Object.keys(sounds), marks = {}, buttons = {};
    const heard = Object.fromEntries(names.map((name) => [name, { ...sounds[name], src: address(name, sounds[name], pair) }]));
    const can = (name) => Boolean(heard[name].src);
    const first = names.includes("result") ? "result" : names[0];
    const bar = transportBar(() => own);
    const own = new Player(heard, {
      first: can(first) ? first : names.find(can) || first,
      leading: first,
      changed: draw,
      failed: (name) => { draw(); bar.said.textContent = `cannot be played: ${sounds[name].uri}`; },
    });

    function draw() {
      const now = own.position();
      bar.draw();
      equal.checked = own.equal;
      for (const name of names) {
        buttons[name].setAttribute("aria-pressed", name === own.current);
        const whole = own.lasts(name);
        if (marks[name]) marks[name].style.left = `${Number.isFinite(whole) && whole > 0 ? ((now % whole) / whole) * 100 : 0}%`;
      }
    }

    const equal = make("input", { type: "checkbox", id: "equal", onchange: () => own.level(equal.checked) });
    const lanes = names.map((name) => {
      buttons[name] = make("button", { type: "button", "data-source": name, "aria-pressed": false, disabled: !can(name), title: sounds[name].withdrawn || sounds[name].uri, onclick: () => own.choose(name) },
        name, make("small", {}, can(name) ? `key ${SOURCES.indexOf(name) + 1}` : sounds[name].withdrawn ? "withdrawn" : "only in `gramophone listen`".replaceAll("`", "")));
      const picture = pair.pictures[name];
      marks[name] = picture ? make("i", {}) : null;
      return make("div", { class: "lane" }, buttons[name], picture ? make("div", { class: "picture", onclick: (event) => {
        const box = event.currentTarget.getBoundingClientRect(), whole = own.lasts(name);
        if (can(name)) own.choose(name);
        own.seek(((event.clientX - box.left) / box.width) * (Number.isFinite(whole) ? whole : own.length() || 0));
      } }, make("img", { src: `data:image/png;base64,${picture}`, alt: `spectrogram of the ${name}, ${data.band.map(hertz).join(" to ")}` }), marks[name]) : make("span", { class: "quiet" }, "no picture"));
    });
    own.element = make("div", { class: "player" }, bar.element, ...lanes,
      make("label", { class: "level", for: "equal" }, equal, "equal loudness"), ...Object.values(own.audios));
    draw();
    return own;
  }

  // --- keys and the beginning ---------------------------------------------------------------------

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
    const within = event.target.matches("button, input:not([type=range]), summary, a");
    const keys = {
      j: () => move(1), k: () => move(-1), Escape: close,
      " ": within ? null : () => player && player.toggle(),
      l: () => player && player.level(!player.equal),
      ArrowLeft: event.target.matches("input") ? null : () => player && player.seek(player.position() - 5),
      ArrowRight: event.target.matches("input") ? null : () => player && player.seek(player.position() + 5),
    };
    for (const [n, name] of SOURCES.entries()) keys[n + 1] = () => player && player.choose(name);
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  $("search").addEventListener("input", arrange);
  $("status").addEventListener("change", arrange);
  $("order").addEventListener("change", arrange);
  $("before").addEventListener("click", () => page(-1));
  $("after").addEventListener("click", () => page(1));
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => { $("search").value = button.dataset.filter; $("status").value = "left"; arrange(); });
  }
  list();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const found = data.pairs.findIndex((pair) => pair[at.pair_id] === wanted);
  if (found >= 0) setTimeout(() => open(found));
  return {
    part: (number, pairs) => parts.get(number).arrive(pairs),
    get player() { return player; },
  };
})();
