// Translate: a photo, a drawing or a photo with a hole, and what a model makes of it.

import { Refused, ask, askJson, attempt, count, download, h, latest, say, tell, word } from "./dom.js";
import { drawing } from "./drawing.js";

const FITS = { crop: "translate.fitCrop", pad: "translate.fitPad", stretch: "translate.fitStretch", whole: "translate.fitWhole" };
const TITLES = { photo: "translate.photo", grey: "translate.photo", edges: "translate.drawing", hole: "translate.photo" };
const HELP = { photo: "translate.photoHelp", grey: "translate.greyHelp", edges: "translate.edgesHelp", hole: "translate.holeHelp" };

export function mount(panel, app) {
  let model = null; // What /api/translate/model says of it.
  let photo = null; // {blob, name, bitmap}
  let sent = null; // What the result was made of: {blob, fields}.
  let result = null; // Of the newest answer.
  let tool = "pen";
  let turn = 0; // Of begin: an older one, still waiting for the app, no longer counts.
  let opening = 0; // Likewise of open.

  const select = h("select", { id: "translate-model", onchange: () => open(select.value) });
  const facts = h("p", { class: "facts" });
  const empty = h("p", { class: "empty", word: "shell.noModel", hidden: true });
  const file = h("input", { type: "file", id: "translate-file", class: "unseen", accept: "image/*", onchange: () => { if (file.files[0]) take(file.files[0]); file.value = ""; } });
  const choose = h("label", { class: "button main", for: "translate-file", word: "translate.choose" });
  const title = h("h2", { word: "translate.photo" });
  const help = h("p", { class: "help" });
  const shown = h("img", { class: "given", alt: "" });
  const drop = h("p", { class: "drop", word: "translate.drop" });
  const options = h("div", { class: "options" });
  const wide = h("input", { type: "range", id: "translate-wide", min: "1", max: "10", step: "1", value: "5", oninput: fillRange });
  const canvas = drawing({ dab, size: strokeSize, changed: () => { showTools(); run(); }, label: "translate.canvas" });
  const pen = h("button", { type: "button", word: "translate.pen", "aria-pressed": "true", onclick: () => use("pen") });
  const rubber = h("button", { type: "button", word: "translate.rubber", "aria-pressed": "false", onclick: () => use("rubber") });
  const undo = h("button", { type: "button", word: "translate.undo", onclick: () => canvas.undo() });
  const clear = h("button", { type: "button", word: "translate.clear", onclick: () => canvas.clear() });
  const width = h("div", { class: "slider" }, h("label", { for: "translate-wide", word: "translate.wide" }), wide);
  const tools = h("div", { class: "tools" }, h("div", { class: "actions" }, pen, rubber, undo, clear), width);

  const before = h("img", { class: "before", alt: "" });
  const after = h("img", { class: "after", alt: "" });
  const at = h("input", { type: "range", id: "translate-at", min: "0", max: "100", step: "1", value: "50", label: "translate.wipe", oninput: wipe });
  const frame = h("div", { class: "wipe", hidden: true }, after, before, h("span", { class: "edge", "aria-hidden": "true" }), h("span", { class: "knob", "aria-hidden": "true" }, "◂▸"), at);
  const labels = h("div", { class: "sides", hidden: true, "aria-hidden": "true" }, h("span", { word: "translate.before" }), h("span", { word: "translate.after" }));
  const nothing = h("p", { class: "drop quiet", word: "translate.nothing" });
  const save = h("button", { type: "button", class: "main", disabled: true, word: "translate.save", onclick: () => keep(false) });
  const both = h("button", { type: "button", disabled: true, word: "translate.saveBoth", onclick: () => keep(true) });

  const source = h("div", { class: "card source" },
    h("div", { class: "head" }, title, h("div", { class: "chooser" }, file, choose)),
    h("div", { class: "given-frame" }, drop, shown, canvas.element), help, tools, options);
  const body = h("div", { class: "translate", hidden: true }, source,
    h("div", { class: "card result" }, h("div", { class: "head" }, h("h2", { word: "translate.result" })), nothing, frame, labels, h("div", { class: "actions" }, save, both)));
  panel.append(h("h1", { class: "unseen", word: "translate.title" }), h("div", { class: "bar" }, h("label", { for: "translate-model", word: "shell.model" }), select, facts), empty, body);

  for (const kind of ["dragenter", "dragover"]) body.addEventListener(kind, (event) => { event.preventDefault(); source.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) body.addEventListener(kind, () => source.classList.remove("over"));
  body.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", (event) => { if (!panel.hidden && event.clipboardData?.files[0]) take(event.clipboardData.files[0]); });

  // ---- what is drawn ----

  const draws = () => model?.takes === "edges" || (model?.takes === "hole" && photo !== null);

  function dab(context, x, y, size) {
    if (model.takes === "hole") {
      if (tool === "pen") context.clearRect(x, y, size, size);
      else restore(context, x, y, size);
      return;
    }
    context.fillStyle = tool === "pen" ? "#000" : "#fff";
    context.fillRect(x, y, size, size);
  }

  /** Put the photo back where the hole was. */
  function restore(context, x, y, size) {
    context.save();
    context.beginPath();
    context.rect(x, y, size, size);
    context.clip();
    paint(context, canvas.canvas.width, canvas.canvas.height);
    context.restore();
  }

  function strokeSize() {
    if (model?.takes !== "hole") return tool === "pen" ? 1 : Math.max(3, Math.round(model.width / 16));
    return Math.max(1, Math.round((Math.min(canvas.canvas.width, canvas.canvas.height) * Number(wide.value)) / 32));
  }

  function use(one) {
    tool = one;
    pen.setAttribute("aria-pressed", String(one === "pen"));
    rubber.setAttribute("aria-pressed", String(one === "rubber"));
  }

  function fillRange() { wide.style.setProperty("--to", `${((wide.value - 1) / 9) * 100}%`); }

  function wipe() { frame.style.setProperty("--at", `${at.value}%`); }

  // ---- the photo ----

  async function take(blob) {
    await attempt(async () => {
      let bitmap;
      try { bitmap = await createImageBitmap(blob); } catch { throw new Refused(0, say("translate.notPicture")); }
      photo?.bitmap.close();
      photo = { blob, name: blob.name || "photo.png", bitmap };
      if (model) await begin(); // Else it begins when the model is there.
    });
  }

  const fit = () => document.getElementById("translate-fit")?.value ?? "crop";

  /** The size at which the photo is shown and, where it is drawn on, sent. */
  function extent() {
    if (fit() !== "whole" || !photo) return [model.width, model.height];
    const { width: wide, height: high } = photo.bitmap;
    const share = Math.min(1, Math.sqrt(model.most_pixels / (wide * high)));
    return [Math.max(1, Math.floor(wide * share)), Math.max(1, Math.floor(high * share))];
  }

  /** The photo as the model is given it. */
  function paint(context, wide, high) {
    const { width: w, height: v } = photo.bitmap;
    const how = fit();
    const share = how === "pad" ? Math.min(wide / w, high / v) : Math.max(wide / w, high / v);
    const [dw, dh] = how === "stretch" || how === "whole" ? [wide, high] : [w * share, v * share];
    context.imageSmoothingQuality = "high";
    context.drawImage(photo.bitmap, (wide - dw) / 2, (high - dh) / 2, dw, dh);
  }

  async function fitted() {
    const [wide, high] = extent();
    const one = h("canvas", { width: wide, height: high });
    paint(one.getContext("2d"), wide, high);
    return new Promise((resolve) => { one.toBlob(resolve, "image/png"); });
  }

  const form = (blob, fields) => {
    const data = new FormData();
    data.append("photo", blob, photo?.name ?? "drawing.png");
    data.append("model", model.model);
    for (const [name, value] of Object.entries(fields)) if (value !== null && value !== "") data.append(name, value);
    return data;
  };
  const post = async (path, blob, fields) => (await ask(path, {}, { method: "POST", body: form(blob, fields) })).blob();

  /** Begin with the photo, or an empty sheet, and the model that is chosen. */
  async function begin() {
    const mine = turn += 1;
    clearResult();
    word(help, HELP[model.takes]);
    word(title, TITLES[model.takes]);
    word(canvas.canvas, model.takes === "edges" ? "translate.canvas" : "translate.holeCanvas", "label");
    const [wide, high] = extent();
    if (model.takes === "edges") {
      const lines = photo && await createImageBitmap(await post("/api/translate/source", photo.blob, {}));
      if (mine !== turn) return;
      canvas.begin(wide, high, (context) => {
        context.fillStyle = "#fff";
        context.fillRect(0, 0, wide, high);
        if (lines) context.drawImage(lines, 0, 0);
      });
    } else if (model.takes === "hole" && photo) canvas.begin(wide, high, (context) => { context.clearRect(0, 0, wide, high); paint(context, wide, high); });
    await showGiven();
    if (mine !== turn) return;
    showTools();
    run();
  }

  async function showGiven() {
    const drawn = draws();
    canvas.element.hidden = !drawn;
    canvas.element.classList.toggle("lines", model.takes === "edges");
    drop.hidden = drawn || photo !== null;
    shown.hidden = drawn || photo === null;
    tools.hidden = !drawn;
    width.hidden = model.takes !== "hole";
    if (!shown.hidden) {
      const old = shown.src;
      shown.src = URL.createObjectURL(await fitted());
      word(shown, ["translate.sourceAlt", { name: photo.name }], "alt");
      if (old) URL.revokeObjectURL(old);
    }
  }

  function showTools() { undo.disabled = clear.disabled = !canvas.touched; }

  // ---- what is asked, and the result ----

  function fields() {
    const settings = [...options.querySelectorAll("[data-attribute]")].filter((one) => one.value !== "").map((one) => `${one.dataset.attribute}=${one.value}`).join(",");
    const how = fit();
    return {
      fit: model.takes === "hole" || how === "whole" ? null : how,
      direction: document.getElementById("translate-direction")?.value ?? null,
      settings: settings || null,
      strength: settings ? Number(document.getElementById("translate-strength").value) : null,
      points: document.getElementById("translate-points")?.value.trim() || null,
    };
  }

  /** What has to be done before there is something to ask; null for nothing. */
  function wanting(asked) {
    if (model.takes === "edges" && !photo && !canvas.touched) return "translate.nothing";
    if (model.takes !== "edges" && !photo) return "translate.nothing";
    if (model.takes === "hole" && !canvas.touched) return "translate.holeFirst";
    if (model.attributes.length && !asked.settings) return "translate.setFirst";
    if (model.points && !asked.points) return "translate.pointsFirst";
    return null;
  }

  const run = latest(() => attempt(async () => {
    const asked = fields();
    const first = wanting(asked);
    if (first) { clearResult(first); return; }
    const [of, now] = [model, turn];
    const slow = setTimeout(() => frame.classList.add("busy"), 250);
    try {
      let blob = photo?.blob;
      let source = null;
      if (draws()) blob = await canvas.blob();
      else if (of.takes === "grey") blob = source = await post("/api/translate/source", photo.blob, {});
      else {
        source = await fitted();
        const big = photo.bitmap.width * photo.bitmap.height > of.most_pixels;
        if (asked.fit === null && !of.attributes.length && big) blob = source;
      }
      const made = await post("/api/translate/picture", blob, asked);
      if (of !== model || now !== turn) return;
      sent = { blob, asked };
      result = made;
      await showResult(source ?? blob);
    } catch (error) {
      if (error.status !== 409) clearResult();
      throw error;
    } finally {
      clearTimeout(slow);
      frame.classList.remove("busy");
    }
  }));

  async function showResult(source) {
    const old = [before.src, after.src];
    before.src = URL.createObjectURL(source);
    after.src = URL.createObjectURL(result);
    await Promise.all([before.decode().catch(() => {}), after.decode().catch(() => {})]);
    for (const url of old) if (url) URL.revokeObjectURL(url);
    word(after, ["translate.resultAlt", { model: model.model }], "alt");
    frame.style.setProperty("--ratio", after.naturalWidth / after.naturalHeight);
    before.classList.toggle("lines", model.takes === "edges");
    if (frame.hidden && draws()) at.value = 0;
    wipe();
    nothing.hidden = true;
    frame.hidden = labels.hidden = false;
    save.disabled = both.disabled = false;
    tell(say("translate.done"));
  }

  function clearResult(why = "translate.nothing") {
    result = null;
    word(nothing, why);
    nothing.hidden = false;
    frame.hidden = labels.hidden = true;
    save.disabled = both.disabled = true;
  }

  async function keep(compare) {
    await attempt(async () => {
      const blob = compare ? await post("/api/translate/picture", sent.blob, { ...sent.asked, compare: true }) : result;
      const base = (photo?.name ?? "drawing").replace(/\.\w{1,5}$/, "");
      download(blob, `${base}-${model.model.split("/").pop()}${compare ? "-both" : ""}.png`);
      tell(say("explore.saved"));
    });
  }

  // ---- the model ----

  function field(id, name, control) {
    return h("div", { class: "field" }, h("label", { for: id, ...(name.word ? { word: name.word } : {}) }, ...(name.word ? [] : [name])), control);
  }

  function asks() {
    const anew = () => attempt(begin);
    options.replaceChildren();
    const fits = { photo: ["crop", "pad", "stretch", "whole"], hole: ["crop", "whole"] }[model.takes] ?? [];
    const usable = model.attributes.length || model.points ? fits.filter((one) => one !== "whole") : fits;
    if (usable.length) {
      const one = h("select", { id: "translate-fit", onchange: anew }, ...usable.map((name) => h("option", { value: name, word: [FITS[name], { size: `${model.width}×${model.height}` }] })));
      options.append(field(one.id, { word: "translate.fit" }, one));
    }
    if (model.directions) {
      const one = h("select", { id: "translate-direction", onchange: () => run() }, h("option", { value: "", word: "translate.asTrained" }),
        h("option", { value: "a_to_b", word: "translate.aToB" }), h("option", { value: "b_to_a", word: "translate.bToA" }));
      options.append(field(one.id, { word: "translate.direction" }, one));
    }
    for (const [number, name] of model.attributes.entries()) {
      const one = h("select", { id: `translate-set-${number}`, "data-attribute": name, onchange: () => run() },
        h("option", { value: "", word: "translate.leave" }), h("option", { value: "1", word: "explore.yes" }), h("option", { value: "0", word: "explore.no" }));
      options.append(field(one.id, name, one));
    }
    if (model.attributes.length) {
      const fill = () => one.style.setProperty("--to", `${one.value * 100}%`);
      const one = h("input", { type: "range", id: "translate-strength", min: "0", max: "1", step: "0.05", value: "1", oninput: () => { fill(); run(); } });
      fill();
      options.append(field(one.id, { word: "translate.strength" }, one));
    }
    if (model.points) {
      const one = h("input", { type: "text", id: "translate-points", maxlength: "2000", autocomplete: "off", onchange: () => run() });
      options.append(field(one.id, { word: ["translate.points", { count: model.points }] }, one), h("p", { class: "help", word: ["translate.pointsHelp", { size: `${model.width}×${model.height}` }] }));
    }
  }

  async function open(id) {
    await attempt(async () => {
      const mine = opening += 1;
      const found = await askJson("/api/translate/model", { model: id });
      if (mine !== opening) return;
      model = found;
      word(facts, ["shell.trained", { recipe: model.recipe, count: count(model.images_seen ?? 0) }]);
      body.hidden = false;
      body.dataset.takes = model.takes;
      use("pen");
      fillRange();
      asks();
      await begin();
    });
  }

  function list() {
    const models = app.models("photo");
    empty.hidden = models.length > 0;
    select.disabled = !models.length;
    select.replaceChildren(...models.map((one) => h("option", { value: one.id }, one.id)));
    if (model && models.some((one) => one.id === model.model)) select.value = model.model;
    return models;
  }

  let seen = false;
  return {
    async show() {
      if (seen) await app.refresh();
      seen = true;
      const models = list();
      if (!model && models.length) await open(models[0].id);
    },
  };
}
