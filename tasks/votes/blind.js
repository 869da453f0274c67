const blind = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const votes = [];  // of each trial its scores
  let number = -1, player = null, heard = {}, scores = {}, since = 0, sending = false;

  const SCALE = ["bad", "poor", "fair", "good", "excellent"];  // the words of ITU-R BS.1534-3
  const CHOICES = [["1", "A is better", { A: 1, B: 0 }], ["2", "no difference", { A: 0.5, B: 0.5 }], ["3", "B is better", { A: 0, B: 1 }]];
  const KNOWN = { content: "q", style: "w" };  // keys of what is not hidden; letters are their own
  const letters = () => Object.keys(data.trials[number].letters);

  // --- one trial ----------------------------------------------------------------------------------

  function show(next) {
    if (player) player.end();
    number = next;
    heard = {}; scores = {};
    if (number >= data.trials.length) { finish(); return; }
    const trial = data.trials[number], sounds = { ...trial.known, ...trial.letters };
    const buttons = Object.fromEntries(Object.keys(sounds).map((name) => [name, make("button", { type: "button", "aria-pressed": false, onclick: () => hear(name) },
      name, make("small", {}, `key ${(KNOWN[name] || name).toLowerCase()}`))]));
    const bar = transportBar(() => player);
    player = new Player(sounds, { first: "content", leading: letters().find((name) => trial.letters[name].seconds) || "content", common: true, changed: draw, failed: (name) => fault(`${name} cannot be played; is \`gramophone listen\` still running?`) });

    function draw() {
      count();
      bar.draw();
      for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", name === player.current);
      ready();
    }

    $("trial").replaceChildren(
      make("progress", { max: data.trials.length, value: number, "aria-label": "trials done" }),
      make("p", { class: "quiet" }, `trial ${number + 1} of ${data.trials.length}`),
      bar.element,
      make("div", { class: "sounds" }, buttons.content, buttons.style),
      ...(data.kind === "ab" ? choices(buttons) : ratings(buttons)),
      make("p", { class: "quiet", id: "hint" }, data.kind === "ab" ? "Listen to both, then say which." : "Listen to all and rate all, then go on."),
      make("p", { class: "fault", id: "fault", role: "alert" }),
      ...Object.values(player.audios),
    );
    draw();
    $("trial").focus({ preventScroll: true });
  }

  function choices(buttons) {
    return [
      make("div", { class: "sounds letters" }, buttons.A, buttons.B),
      make("div", { class: "verdicts" }, ...CHOICES.map(([key, text, own]) =>
        make("button", { type: "button", "data-needs": "heard", onclick: () => { scores = own; send(); } }, text, " ", make("kbd", {}, key)))),
    ];
  }

  function ratings(buttons) {
    const rows = letters().map((letter) => {
      const shown = make("output", {}, "–");
      const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50, "aria-label": `rating of ${letter}, 0 to 100`, "data-rating": letter,
        oninput: (event) => { scores[letter] = Number(event.target.value); shown.textContent = event.target.value; ready(); } });
      return make("div", { class: "rating" }, buttons[letter], slider, shown);
    });
    return [
      make("div", { class: "scale" }, make("span", {}), make("div", {}, ...SCALE.map((word) => make("span", {}, word))), make("span", {})),
      make("div", { class: "ratings" }, ...rows),
      make("div", { class: "verdicts" }, make("button", { type: "button", "data-needs": "rated", onclick: send }, "go on ", make("kbd", {}, "enter"))),
    ];
  }

  function hear(name) {
    player.choose(name);
    if (!player.playing) player.start();
  }

  // Seconds in which a sound was really playing.
  function count() {
    const now = performance.now(), audio = player.audios[player.current];
    if (since && !audio.paused && audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) heard[player.current] = (heard[player.current] || 0) + (now - since) / 1000;
    since = player.playing ? now : 0;
  }

  const allHeard = () => letters().every((letter) => heard[letter] > 0);
  const allRated = () => allHeard() && letters().every((letter) => letter in scores);

  function ready() {
    for (const button of document.querySelectorAll("[data-needs]")) {
      const can = button.dataset.needs === "heard" ? allHeard() : allRated();
      button.disabled = sending || !can;
      $("hint").hidden = can;
    }
  }

  function fault(text) { $("fault").textContent = text; }

  async function send() {
    if (sending) return;
    sending = true;
    ready();
    fault("");
    try {
      const own = Object.fromEntries(letters().map((letter) => [letter, heard[letter]]));
      const answer = await fetch(`${number}/vote`, { method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ scores, heard: own, listener: $("listener").value }) });
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error);
      if (!told.kept) throw new Error("this trial was voted on before, in another window");
      votes[number] = scores;
      sending = false;
      show(number + 1);
    } catch (error) {
      sending = false;
      fault(`not kept: ${error.message}. Your vote is still here: try again.`);
      ready();
    }
  }

  // --- the end ------------------------------------------------------------------------------------

  async function finish() {
    player = null;
    $("trial").hidden = true;
    $("end").hidden = false;
    $("end").focus({ preventScroll: true });
    $("kept").textContent = `${votes.length === 1 ? "Your vote is" : `All ${votes.length} votes are`} kept. This is what you heard:`;
    let revealed;
    try {
      revealed = await (await fetch("reveal")).json();
    } catch {
      $("kept").textContent = "All is kept. What you heard cannot be told: is `gramophone listen` still running?";
      return;
    }
    const rows = revealed.flatMap((conditions, n) => Object.entries(conditions)
      .sort(([one], [other]) => votes[n][other] - votes[n][one])
      .map(([letter, { was, of }]) => make("tr", {}, make("td", {}, String(n + 1)), make("td", {}, letter), make("td", {}, was), make("td", {}, of), make("td", { class: "number" }, told(votes[n][letter])))));
    document.querySelector("#revealed thead").replaceChildren(make("tr", {}, make("th", {}, "trial"), make("th", {}, "heard as"), make("th", {}, "was"), make("th", {}, "of"), make("th", { class: "number" }, "you said")));
    document.querySelector("#revealed tbody").replaceChildren(...rows);
  }

  const told = (score) => data.kind === "mushra" ? String(score) : { 1: "better", 0.5: "no difference", 0: "" }[score];

  document.addEventListener("keydown", (event) => {
    if (!player || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range])")) return;
    const letter = event.key.toUpperCase(), known = Object.keys(KNOWN).find((name) => KNOWN[name] === event.key.toLowerCase());
    const within = event.target.matches("button");  // which a key presses by itself
    const choice = CHOICES.find(([key]) => key === event.key);
    if (event.key === " " && !within) player.toggle();
    else if (letters().includes(letter)) hear(letter);
    else if (known) hear(known);
    else if (data.kind === "ab" && choice && allHeard()) { scores = choice[2]; send(); }
    else if (data.kind === "mushra" && event.key === "Enter" && !within && allRated()) send();
    else return;
    event.preventDefault();
  });
  $("start").addEventListener("click", () => { $("begin").hidden = true; $("trial").hidden = false; show(0); });
  return { get player() { return player; }, get heard() { return heard; } };
})();
