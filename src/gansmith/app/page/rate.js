// Rate: pictures one by one or two side by side; answers are sent in order, and kept here until they are stored.

import { ask, askJson, askPicture, attempt, complain, count, h, latest, say, tell, word } from "./dom.js";

const SHEET = 16; // Pictures that are fetched at once.
const ENOUGH = 200; // Answers from which a preference can be learnt.
const AGAIN = 2000; // Milliseconds until answers that were not stored are sent again.
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_ .@'-]{0,39}$/u;

// Answers are this window's own: another one would send them a second time.
const place = (name) => (name === "unsent" ? sessionStorage : localStorage);
const kept = {
  read(name, otherwise) { try { return JSON.parse(place(name).getItem(`rate.${name}`)) ?? otherwise; } catch { return otherwise; } },
  write(name, value) { try { place(name).setItem(`rate.${name}`, JSON.stringify(value)); } catch { /* A browser that keeps nothing. */ } },
};

/** Calls of a function one after the other. */
function queued(work) {
  let last = Promise.resolve();
  return (...given) => {
    const mine = last.then(() => work(...given));
    last = mine.catch(() => {});
    return mine;
  };
}

export function mount(panel, app) {
  let model = null;
  let weights = null;
  let kind = kept.read("kind", "thumb");
  let queue = []; // Questions with their pictures; the first is shown.
  let passed = new Set(); // Keys of questions answered or skipped on this page.
  let unsent = kept.read("unsent", []);
  let sending = null;
  let timer = null;
  let here = false;
  let progress = null;
  let busy = false; // Learning.

  const select = h("select", { id: "rate-model", onchange: () => open(select.value) });
  const name = h("input", { type: "text", id: "rate-name", maxlength: "40", autocomplete: "nickname", value: kept.read("rater", "me"), oninput: named });
  const wrong = h("p", { class: "alarm", word: "rate.wrongName", hidden: true });
  const none = h("p", { class: "empty", word: "shell.noModel", hidden: true });
  const kinds = h("div", { class: "pages", role: "group", label: "rate.how" },
    ...["thumb", "pair"].map((one) => h("button", { type: "button", "data-kind": one, word: `rate.${one}`, onclick: () => turn(one) })));
  const stage = h("div", { class: "stage" });
  const question = h("h2", {});
  const no = h("button", { type: "button", class: "answer", onclick: () => answer(false) }, h("span", {}), h("kbd", {}, "←"));
  const yes = h("button", { type: "button", class: "answer", onclick: () => answer(true) }, h("span", {}), h("kbd", {}, "→"));
  const skip = h("button", { type: "button", onclick: pass }, h("span", { word: "rate.skip" }), h("kbd", {}, "↓"));
  const undo = h("button", { type: "button", onclick: () => takeBack() }, h("span", { word: "rate.undo" }), h("kbd", {}, "⌫"));
  const waiting = h("p", { class: "alarm", role: "status", hidden: true });
  const learn = h("button", { type: "button", class: "main", word: "rate.learn", onclick: study });
  const learnHelp = h("p", { class: "help" });
  const mine = h("p", { class: "facts" });
  const bar = h("progress", { max: String(ENOUGH), label: "rate.progress" });
  const facts = h("dl", { class: "about" });
  const raters = h("div", { class: "counts" });

  const body = h("div", { class: "rate", hidden: true },
    h("div", { class: "card asking" }, h("div", { class: "head" }, question, kinds), stage,
      h("div", { class: "answers" }, no, yes), h("div", { class: "actions" }, skip, undo), waiting),
    h("div", { class: "card" }, h("h2", { word: "rate.progress" }), mine, bar, facts,
      h("h2", { word: "rate.raters", class: "who" }), raters, h("p", { class: "help", word: "rate.agreementHelp" }),
      h("h2", { word: "rate.learnTitle" }), learnHelp, h("div", { class: "actions" }, learn),
      h("p", { class: "help", word: "rate.then" }), h("code", {}, "gansmith train DATA --recipe prefer --set borrow.generator=RUN")));
  panel.append(h("div", { class: "bar fields" }, h("label", { for: "rate-model", word: "shell.model" }), select,
    h("label", { for: "rate-name", word: "rate.name" }), name), wrong, none, body);

  const key = (one) => (one.other === null ? String(one.seed) : [one.seed, one.other].sort((a, b) => a - b).join(" "));

  // ---- questions ----

  const fill = latest(() => attempt(async () => {
    const [of, rater, how] = [model, name.value.trim(), kind];
    if (of === null || !NAME.test(rater) || queue.length >= 6) return;
    const found = await askJson("/api/rate/questions", { model: of, rater, kind: how, count: Math.min(400, queue.length + passed.size + SHEET) });
    if (weights !== null && weights !== found.weights) { queue = []; passed = new Set(); }
    weights = found.weights;
    const known = new Set([...queue.map(key), ...passed]);
    const fresh = found.questions.filter((one) => !known.has(key(one))).slice(0, how === "pair" ? SHEET / 2 : SHEET);
    if (fresh.length) await pictured(fresh);
    if (of !== model || how !== kind || rater !== name.value.trim()) return;
    queue.push(...fresh);
    show();
  }));

  /** Give questions their pictures: a part of one sheet each. One sheet at a time, as a newer request displaces an older. */
  const pictured = queued(async (questions) => {
    const seeds = questions.flatMap((one) => (one.other === null ? [one.seed] : [one.seed, one.other]));
    const { url } = await askPicture("/api/rate/sheet", { model, weights, seeds });
    const ready = new Image();
    ready.src = url;
    await ready.decode().catch(() => {});
    const left = { count: questions.length };
    let place = 0;
    for (const one of questions) {
      one.places = one.other === null ? [place++] : [place++, place++];
      one.sheet = { url, of: seeds.length, left, side: ready.naturalWidth / seeds.length, ratio: ready.naturalWidth / seeds.length / ready.naturalHeight };
    }
  });

  function release(one) {
    one.sheet.left.count -= 1;
    if (!one.sheet.left.count) setTimeout(() => URL.revokeObjectURL(one.sheet.url), 0);
  }

  function picture(one, which) {
    const seed = which ? one.other : one.seed;
    const { url, of, side, ratio } = one.sheet;
    const made = h("div", { class: "rated", role: "img", label: ["explore.seed", { seed }], "data-seed": String(seed) });
    made.style.aspectRatio = String(ratio);
    stage.parentElement.style.setProperty("--most", `${Math.max(8 * side, 256)}px`); // Larger than that, pixels are all one sees.
    made.style.backgroundImage = `url(${url})`;
    made.style.backgroundSize = `${of * 100}% 100%`;
    made.style.backgroundPosition = `${of > 1 ? one.places[which] * (100 / (of - 1)) : 0}% 0`;
    return kind === "thumb" ? made : h("button", { type: "button", class: "choice", tabIndex: -1, onclick: () => answer(which === 1), label: ["rate.choose", { seed }] }, made);
  }

  function show() {
    const one = queue[0];
    const usable = Boolean(one) && NAME.test(name.value.trim());
    body.classList.toggle("pairs", kind === "pair");
    word(question, kind === "pair" ? "rate.askPair" : "rate.askThumb");
    word(no.firstChild, kind === "pair" ? "rate.left" : "rate.no");
    word(yes.firstChild, kind === "pair" ? "rate.right" : "rate.yes");
    for (const button of kinds.children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    for (const button of [no, yes, skip]) button.disabled = !usable;
    undo.disabled = !NAME.test(name.value.trim()) || weights === null;
    if (!one) stage.replaceChildren(h("p", { class: "empty", word: "shell.loading" }));
    else if (stage.dataset.shown !== `${key(one)} ${one.sheet.url}`) stage.replaceChildren(...(one.other === null ? [picture(one, 0)] : [picture(one, 0), picture(one, 1)]));
    stage.dataset.shown = one ? `${key(one)} ${one.sheet.url}` : "";
    waiting.hidden = !unsent.length || timer === null;
    if (!waiting.hidden) word(waiting, ["rate.waiting", { count: count(unsent.length) }]);
    showProgress();
  }

  function showProgress() {
    if (!progress) return;
    const me = name.value.trim();
    const own = (progress.raters.find((one) => one.name === me)?.count ?? 0) + unsent.filter((one) => one.body.rater === me && one.body.model === model).length;
    const all = progress.thumbs + progress.pairs;
    word(mine, ["rate.mine", { mine: count(own), all: count(all), enough: count(ENOUGH) }]);
    bar.value = Math.min(ENOUGH, all);
    word(learnHelp, ["rate.learnHelp", { least: count(progress.least) }]);
    learn.disabled = busy || all < progress.least || weights === null;
    const most = Math.max(1, ...progress.raters.map((one) => one.count));
    raters.replaceChildren(...progress.raters.map((one) => {
      const inner = h("span", { class: "share" });
      inner.style.width = `${(100 * one.count) / most}%`;
      return h("div", { class: "count" }, h("span", { class: "count-name" }, one.name), h("span", { class: "count-number" }, count(one.count)), h("span", { class: "shares", "aria-hidden": "true" }, inner));
    }));
    const rows = [["rate.thumbs", progress.thumbs ? ["rate.likedOf", { liked: count(progress.liked), all: count(progress.thumbs) }] : null], ["rate.pairs", progress.pairs ? count(progress.pairs) : null],
      ["rate.agreementThumbs", alpha(progress.agreement_thumbs)], ["rate.agreementPairs", alpha(progress.agreement_pairs)],
      ["rate.disputed", progress.disputed ? count(progress.disputed) : null], ["rate.repeated", progress.repeated ? count(progress.repeated) : null], ["rate.older", progress.older ? count(progress.older) : null],
      ["rate.learnt", progress.learnt_of === null ? null : learnt()]];
    body.querySelector(".who").hidden = !progress.raters.length;
    facts.replaceChildren(...rows.filter(([, text]) => text !== null).flatMap(([name, text]) => [h("dt", { word: name }), Array.isArray(text) ? h("dd", { word: text }) : h("dd", {}, text)]));
  }

  const learnt = () => [progress.known ? "rate.learntOf" : "rate.learntWeak", { count: count(progress.learnt_of), auc: progress.auc.toFixed(2) }];
  const alpha = (value) => (value === null ? null : value.toFixed(2));

  // ---- answers ----

  function answer(second) {
    const one = queue[0];
    if (!one || no.disabled) return;
    const told = { model, weights, rater: name.value.trim(), seed: one.seed };
    const sent = one.other === null ? { path: "/api/rate/thumb", body: { ...told, liked: second } }
      : { path: "/api/rate/pair", body: { ...told, other: one.other, winner: second ? one.other : one.seed } };
    unsent.push(sent);
    kept.write("unsent", unsent);
    stage.dataset.way = second ? "right" : "left";
    tell(say(one.other !== null ? (second ? "rate.right" : "rate.left") : second ? "rate.yes" : "rate.no"));
    next(one);
    send();
  }

  function pass() { if (queue[0] && !skip.disabled) next(queue[0]); }

  function next(one) {
    queue.shift();
    passed.add(key(one));
    release(one);
    show();
    fill();
  }

  /** Send what is not stored yet, one after the other; what cannot be stored now stays, and is sent again. */
  function send() {
    sending ??= (async () => {
      clearTimeout(timer);
      while (unsent.length) {
        const one = unsent[0];
        try {
          const found = await (await ask(one.path, {}, { method: "POST", body: JSON.stringify(one.body), headers: { "Content-Type": "application/json" } })).json();
          if (one.body.model === model) progress = found;
          if (timer !== null) complain("");
        } catch (error) {
          complain(error.message || String(error));
          if (error.status !== 404 && error.status !== 422) { timer = setTimeout(send, AGAIN); break; }
          if (one.body.model === model) { queue = []; weights = null; fill(); } // Other weights: other pictures.
        }
        timer = null;
        unsent.shift();
        kept.write("unsent", unsent);
        showProgress();
      }
    })().finally(() => { sending = null; show(); });
    return sending;
  }

  const takeBack = queued(() => attempt(async () => {
    if (undo.disabled) return;
    if (unsent.length && !sending) { // Not stored: it is taken back here.
      const { body: told } = unsent.pop();
      kept.write("unsent", unsent);
      if (told.model === model && told.weights === weights) await back({ seed: told.seed, other: told.other ?? null });
      return;
    }
    await sending;
    if (unsent.length) return;
    const found = await (await ask("/api/rate/undo", {}, { method: "POST", body: JSON.stringify({ model, weights, rater: name.value.trim() }), headers: { "Content-Type": "application/json" } })).json();
    progress = found.progress;
    if (found.question) await back(found.question);
    else { tell(say("rate.nothing")); show(); }
  }));

  function study() {
    return attempt(async () => {
      busy = true;
      word(learn, "rate.learning");
      showProgress();
      try {
        await sending;
        progress = await (await ask("/api/rate/learn", {}, { method: "POST", body: JSON.stringify({ model, weights }), headers: { "Content-Type": "application/json" } })).json();
        queue = []; // What is asked next follows from it.
        tell(say(...learnt()));
        fill();
      } finally {
        busy = false;
        word(learn, "rate.learn");
        show();
      }
    });
  }

  async function back(one) {
    const how = one.other === null ? "thumb" : "pair";
    await pictured([one]);
    if (how !== kind) { queue = []; kind = how; }
    passed.delete(key(one));
    queue.unshift(one);
    tell(say("rate.undone"));
    show();
    fill();
  }

  function turn(how) {
    if (how === kind) return;
    kind = how;
    kept.write("kind", kind);
    queue = [];
    show();
    fill();
  }

  function named() {
    wrong.hidden = NAME.test(name.value.trim());
    if (wrong.hidden) kept.write("rater", name.value.trim());
    queue = [];
    passed = new Set();
    show();
    fill();
  }

  function pressed(event) {
    if (!here || event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input, select, textarea, [role=tab], dialog")) return;
    const act = { ArrowLeft: () => answer(false), ArrowRight: () => answer(true), ArrowDown: pass, Backspace: takeBack }[event.key];
    if (!act) return;
    event.preventDefault();
    if (!event.repeat) act();
  }
  document.addEventListener("keydown", pressed);
  window.addEventListener("beforeunload", (event) => { if (unsent.length) event.preventDefault(); });

  let touched = null; // Where a finger was put down.
  stage.addEventListener("touchstart", (event) => { touched = event.touches.length === 1 ? event.touches[0].clientX : null; }, { passive: true });
  stage.addEventListener("touchend", (event) => {
    const way = touched === null || kind === "pair" ? 0 : event.changedTouches[0].clientX - touched;
    touched = null;
    if (Math.abs(way) > 60) answer(way > 0);
  });

  async function open(id) {
    model = id;
    weights = null;
    progress = null;
    queue = [];
    passed = new Set();
    select.value = id;
    body.hidden = false;
    show();
    await attempt(async () => {
      progress = await askJson("/api/rate/progress", { model });
      await fill();
      if (unsent.length) send();
    });
  }

  return {
    async show() {
      here = true;
      await app.refresh();
      const models = app.models("noise");
      none.hidden = models.length > 0;
      select.disabled = !models.length;
      select.replaceChildren(...models.map((one) => h("option", { value: one.id }, one.id)));
      if (!models.length) { body.hidden = true; model = null; return; }
      if (models.some((one) => one.id === model)) { select.value = model; fill(); } else await open(models[0].id);
    },
    hide() { here = false; },
  };
}
