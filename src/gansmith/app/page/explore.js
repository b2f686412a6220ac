// Explore: choose a picture, move it along directions, go back and forth, save it.

import { ask, askJson, askPicture, attempt, count, download, h, latest, moveInGrid, say, tell, word } from "./dom.js";

const COUNT = 24;
const fresh = (seed) => ({ seed, moves: {}, truncation: null, label: null, attributes: {}, caption: null, other: null, share: 0.5, layers: null });

export function mount(panel, app) {
  let model = null; // What /api/explore/model says of it.
  let first = 0;
  let state = fresh(0);
  let steps = []; // States with the picture each had; `at` is the one shown.
  let at = -1;
  let shownUrl = null;

  const select = h("select", { id: "explore-model", onchange: () => open(select.value) });
  const facts = h("p", { class: "facts" });
  const grid = h("div", { class: "seeds", role: "listbox", label: "explore.seeds", onkeydown: moveInGrid });
  const picture = h("img", { class: "picture", alt: "" });
  const undo = h("button", { type: "button", word: "explore.undo", onclick: () => go(at - 1) });
  const redo = h("button", { type: "button", word: "explore.redo", onclick: () => go(at + 1) });
  const reset = h("button", { type: "button", word: "explore.reset", onclick: () => set({ moves: {}, other: null, ...(state.truncation === null ? {} : { truncation: null }) }) });
  const save = h("button", { type: "button", class: "main", word: "explore.save", onclick: keep });
  const sliders = h("div", { class: "sliders" });
  const prompts = h("div", { class: "prompts" });
  const past = h("ol", { class: "history" });
  const empty = h("p", { class: "empty", word: "shell.noModel", hidden: true });
  const seedField = h("input", {
    id: "explore-seed", type: "number", min: "0", max: String(Number.MAX_SAFE_INTEGER), step: "1", inputmode: "numeric",
    onchange: () => { if (seedField.checkValidity() && seedField.value !== "") set({ seed: Number(seedField.value), moves: {} }); },
  });

  const body = h("div", { class: "explore", hidden: true },
    h("div", { class: "card work" },
      h("h2", { class: "unseen", word: "explore.working" }),
      h("div", { class: "frame" }, picture),
      h("div", { class: "actions" }, undo, redo, reset, save)),
    h("div", { class: "card controls" }, prompts, h("h2", { word: "explore.directions" }), sliders),
    h("div", { class: "card pick" },
      h("div", { class: "head" }, h("h2", { word: "explore.seeds" }),
        h("div", { class: "pages" },
          h("button", { type: "button", word: "explore.previous", onclick: () => page(Math.max(0, first - COUNT)) }),
          h("button", { type: "button", word: "explore.next", onclick: () => page(first + COUNT) }),
          h("button", { type: "button", word: "explore.chance", onclick: () => page(COUNT * Math.floor(Math.random() * 40000)) }))),
      grid, h("p", { class: "help", word: "explore.seedsHelp" })),
    h("div", { class: "card past" }, h("h2", { word: "explore.history" }), h("p", { class: "help", word: "explore.historyHelp" }), past));
  panel.append(
    h("div", { class: "bar" },
      h("label", { for: "explore-model", word: "shell.model" }), select, facts), empty, body);

  const draw = latest((push) => attempt(async () => {
    const asked = state;
    const begun = performance.now();
    const { url } = await askPicture("/api/explore/picture", parameters(asked));
    picture.src = url;
    await picture.decode().catch(() => {});
    picture.dataset.ms = (performance.now() - begun).toFixed(1);
    word(picture, ["explore.picture", { seed: asked.seed, model: model.model }], "alt");
    if (shownUrl && !steps.some((step) => step.url === shownUrl)) URL.revokeObjectURL(shownUrl);
    shownUrl = url;
    if (push && asked === state) remember(asked, url);
  }));

  const drawSheet = latest(() => attempt(async () => {
    const { url } = await askPicture("/api/explore/sheet", { ...parameters(fresh(0), ["seed"]), ...wishes(state), first, count: COUNT, columns: 6 });
    for (const [number, cell] of [...grid.children].entries()) {
      const image = cell.firstChild;
      image.style.backgroundImage = `url(${url})`;
      image.style.backgroundPosition = `${(number % 6) * 20}% ${Math.floor(number / 6) * (100 / 3)}%`;
    }
    setTimeout(() => { if (grid.dataset.url) URL.revokeObjectURL(grid.dataset.url); grid.dataset.url = url; }, 0);
  }));

  function wishes(from) {
    const attributes = Object.entries(from.attributes).map(([name, value]) => `${name}=${value}`).join(",");
    return { truncation: from.truncation, label: from.label, attributes: attributes || null, caption: from.caption };
  }

  function parameters(from, without = []) {
    const move = Object.entries(from.moves).filter(([, amount]) => amount).map(([name, amount]) => `${name}=${amount}`);
    const all = { model: model.model, seed: from.seed, move, ...wishes(from), other: from.other, share: from.other === null ? null : from.share, layers: from.other === null ? null : from.layers };
    for (const name of without) delete all[name];
    return all;
  }

  /** Change the state; `push` makes a step of it, which a slider does when it is let go. */
  function set(change, push = true) {
    const wished = ["truncation", "label", "attributes", "caption"].some((name) => name in change);
    state = { ...state, ...change };
    show();
    draw(push);
    if (wished && push) drawSheet();
  }

  function remember(asked, url) {
    steps = [...steps.slice(0, at + 1), { state: asked, url }].slice(-60);
    at = steps.length - 1;
    showPast();
  }

  function go(to) {
    if (to < 0 || to >= steps.length) return;
    at = to;
    const wished = JSON.stringify(wishes(steps[at].state)) !== JSON.stringify(wishes(state));
    state = steps[at].state;
    show();
    showPast();
    draw(false);
    if (wished) drawSheet();
    tell(say("explore.changed", { seed: state.seed }));
  }

  /** Put the state into the controls. */
  function show() {
    seedField.value = state.seed;
    for (const cell of grid.children) cell.setAttribute("aria-selected", String(Number(cell.dataset.seed) === state.seed));
    for (const input of panel.querySelectorAll("[data-move]")) {
      input.value = state.moves[input.dataset.move] ?? 0;
      value(input);
    }
    for (const [name, input] of Object.entries(fields)) if (document.activeElement !== input || input.type === "range") input.value = read[name]();
    for (const input of panel.querySelectorAll("input[type=range]:not([data-move])")) value(input);
    if (fields.share) fields.share.disabled = state.other === null || state.layers !== null;
    if (fields.layers) fields.layers.disabled = state.other === null;
    reset.disabled = !Object.values(state.moves).some(Boolean) && state.other === null && state.truncation === null;
  }

  const fields = {};
  const read = {
    truncation: () => state.truncation ?? 1,
    label: () => state.label ?? "",
    caption: () => state.caption ?? "",
    other: () => state.other ?? "",
    share: () => state.share,
    layers: () => state.layers ?? "",
  };

  function value(input) {
    const text = Number(input.value).toFixed(2).replace("-", "−");
    const out = document.getElementById(`${input.id}-value`);
    if (out) out.textContent = input.dataset.move && Number(input.value) > 0 ? `+${text}` : text;
    const span = input.max - input.min;
    const [from, to] = [input.dataset.move ? 50 : 0, ((input.value - input.min) / span) * 100].sort((a, b) => a - b);
    input.style.setProperty("--from", `${from}%`);
    input.style.setProperty("--to", `${to}%`);
  }

  function slider(id, name, options) {
    const input = h("input", { type: "range", id, step: "0.01", ...options });
    return h("div", { class: "slider" }, h("label", { for: id }, ...(typeof name === "string" ? [name] : [h("span", { word: name.word })])),
      h("output", { id: `${id}-value`, for: id }, "0.00"), input);
  }

  function controls() {
    sliders.replaceChildren();
    sliders.append(h("p", { class: "help", word: { stored: "explore.directionsHelp", now: "explore.sefaHelp", none: "explore.noDirections" }[model.found] }));
    for (const [number, one] of model.directions.entries()) {
      const move = (push) => (event) => {
        const space = (name) => model.directions.find((other) => other.name === name)?.space;
        const kept = Object.fromEntries(Object.entries(state.moves).filter(([name]) => space(name) === one.space));
        set({ moves: { ...kept, [one.name]: Number(event.target.value) } }, push);
      };
      sliders.append(slider(`direction-${number}`, one.name, { min: "-1", max: "1", value: "0", "data-move": one.name, oninput: move(false), onchange: move(true) }));
    }
    const other = h("input", { type: "number", id: "mix-other", min: "0", step: "1", inputmode: "numeric", max: String(Number.MAX_SAFE_INTEGER),
      onchange: () => { if (other.checkValidity()) set({ other: other.value === "" ? null : Number(other.value) }); } });
    const share = slider("mix-share", { word: "explore.mixShare" }, { min: "0", max: "1", value: "0.5",
      oninput: (event) => set({ share: Number(event.target.value) }, false), onchange: (event) => set({ share: Number(event.target.value) }) });
    Object.assign(fields, { other, share: share.querySelector("input") });
    sliders.append(h("h2", { word: "explore.mix" }), h("div", { class: "field" }, h("label", { for: "mix-other", word: "explore.mixOther" }), other));
    if (model.layers) {
      fields.layers = h("select", { id: "mix-layers", onchange: () => set({ layers: fields.layers.value || null }) },
        ...[["", "mixWhole"], ["coarse", "mixCoarse"], ["middle", "mixMiddle"], ["fine", "mixFine"]].map(([value, name]) => h("option", { value, word: `explore.${name}` })));
      sliders.append(h("div", { class: "field" }, h("label", { for: "mix-layers", word: "explore.mixWhat" }), fields.layers));
    }
    sliders.append(share);
  }

  function asks() {
    for (const name of ["truncation", "label", "caption"]) delete fields[name];
    prompts.replaceChildren();
    prompts.append(h("div", { class: "field" }, h("label", { for: "explore-seed", word: ["explore.seed", { seed: "" }] }), seedField));
    if (model.classes.length) {
      fields.label = h("select", { id: "ask-label", onchange: () => set({ label: fields.label.value || null }) },
        h("option", { value: "", word: "explore.any" }), ...model.classes.map((name) => h("option", { value: name }, name)));
      prompts.append(h("div", { class: "field" }, h("label", { for: "ask-label", word: "explore.label" }), fields.label));
    }
    for (const [number, name] of model.attributes.entries()) {
      const box = h("select", { id: `ask-${number}`, onchange: () => {
        const attributes = { ...state.attributes };
        if (box.value === "") delete attributes[name]; else attributes[name] = box.value;
        set({ attributes });
      } }, h("option", { value: "", word: "explore.any" }), h("option", { value: "1", word: "explore.yes" }), h("option", { value: "0", word: "explore.no" }));
      fields[`attribute-${number}`] = box;
      read[`attribute-${number}`] = () => state.attributes[name] ?? "";
      prompts.append(h("div", { class: "field" }, h("label", { for: box.id }, name), box));
    }
    if (model.words) {
      fields.caption = h("input", { type: "text", id: "ask-caption", maxlength: "500", autocomplete: "off", onchange: () => set({ caption: fields.caption.value.trim() || null }) });
      prompts.append(h("div", { class: "field wide" }, h("label", { for: "ask-caption", word: "explore.caption" }), fields.caption,
        h("p", { class: "help" }, model.words.slice(0, 30).join(" · "))));
    }
    if (model.truncation) {
      const one = slider("truncation", { word: "explore.truncation" }, { min: "0", max: "1", value: "1",
        oninput: (event) => set({ truncation: Number(event.target.value) }, false), onchange: (event) => set({ truncation: Number(event.target.value) }) });
      fields.truncation = one.querySelector("input");
      prompts.append(one, h("p", { class: "help", word: "explore.truncationHelp" }));
    }
  }

  function showPast() {
    undo.disabled = at <= 0;
    redo.disabled = at >= steps.length - 1;
    past.replaceChildren(...steps.map((step, number) => h("li", {}, h("button", { type: "button", class: "thumb", "aria-current": number === at ? "step" : null,
      label: ["explore.again", { step: number + 1 }], onclick: () => go(number) }, h("img", { src: step.url, alt: "", width: 48, height: 48 })))).reverse());
  }

  function showGrid() {
    const kept = grid.contains(document.activeElement);
    grid.replaceChildren(...Array.from({ length: COUNT }, (_, number) => {
      const seed = first + number;
      const cell = h("button", { type: "button", role: "option", class: "seed", "data-seed": String(seed), label: ["explore.seed", { seed }],
        tabIndex: number ? -1 : 0, onclick: () => { set({ seed, moves: {}, other: null }); tell(say("explore.changed", { seed })); } },
      h("span", { class: "seed-image" }), h("span", { class: "seed-number", "aria-hidden": "true" }, String(seed)));
      return cell;
    }));
    if (kept) grid.firstChild.focus();
    show();
    drawSheet();
  }

  function page(from) { first = from; showGrid(); }

  async function keep() {
    await attempt(async () => {
      const answer = await ask("/api/explore/save", parameters(state));
      const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "picture.png";
      download(await answer.blob(), name);
      tell(say("explore.saved"));
    });
  }

  async function open(id) {
    body.inert = true; // What is shown is still of the model before.
    await attempt(async () => {
      model = await askJson("/api/explore/model", { model: id });
      steps = []; at = -1; first = 0; state = fresh(0);
      for (const name of Object.keys(fields)) delete fields[name];
      word(facts, ["shell.trained", { recipe: model.recipe, count: count(model.images_seen ?? 0) }]);
      body.hidden = false;
      body.style.setProperty("--ratio", model.width / model.height);
      asks(); controls(); showPast(); set({}); showGrid();
    });
    body.inert = false;
  }

  function list() {
    const models = app.models("noise");
    empty.hidden = models.length > 0;
    select.disabled = !models.length;
    select.replaceChildren(...models.map((one) => h("option", { value: one.id }, one.id)));
    if (model && models.some((one) => one.id === model.model)) select.value = model.model;
    return models;
  }

  let before = false;
  return {
    async show() {
      if (before) await app.refresh();
      before = true;
      const models = list();
      if (!model && models.length) await open(models[0].id);
    },
  };
}
