// Data: the contact sheet of a set page by page, copies and look-alikes, labels and attributes to filter by.

import { askJson, askPicture, attempt, count, h, latest, moveInGrid, say, tell, word } from "./dom.js";

const COUNT = 48;
const SHOWS = ["all", "copies", "alike", "blurred"];

export function mount(panel) {
  let sets = [];
  let known = null; // What /api/data/set says of the set shown.
  let looked = null; // What measuring it found; null before.
  let asked = fresh();
  let total = 0;
  let page = []; // Pictures of the page shown.
  let url = null;
  let timer = null;
  let large = null; // Row looked at alone, by its place on the page.
  let largeUrl = null;

  function fresh() { return { show: "all", label: null, have: [], lack: [], first: 0 }; }

  const select = h("select", { id: "data-set", onchange: () => open(select.value) });
  const facts = h("p", { class: "facts" });
  const none = h("p", { class: "empty", word: "data.none", hidden: true });
  const shows = h("div", { class: "pages", role: "group", label: "data.show" });
  const where = h("p", { class: "facts", role: "status" });
  const previous = [0, 1].map(() => h("button", { type: "button", word: "data.previous", onclick: () => turn(-1) }));
  const next = [0, 1].map(() => h("button", { type: "button", word: "data.next", onclick: () => turn(1) }));
  const grid = h("div", { class: "photos", role: "listbox", label: "data.pictures", onkeydown: arrow });
  const foot = h("div", { class: "pages foot" }, previous[1], next[1]);
  const nothing = h("p", { class: "empty", word: "data.nothing", hidden: true });
  const clear = h("button", { type: "button", word: "data.clear", onclick: () => set({ label: null, have: [], lack: [] }) });
  const about = h("dl", { class: "about" });
  const advice = h("ul", { class: "advice" });
  const labels = h("div", { class: "counts", role: "group", label: "data.labels" });
  const attributes = h("div", { class: "counts" });
  const leftOut = h("details", { class: "left-out" });
  const unused = h("details", { class: "left-out unused" });

  const body = h("div", { class: "data", hidden: true },
    h("div", { class: "card contact" },
      h("div", { class: "head" }, shows, h("div", { class: "pages" }, previous[0], next[0])),
      h("div", { class: "head line" }, where, clear), grid, nothing, foot),
    h("div", { class: "aside" },
      h("div", { class: "card", id: "data-labels" }, h("h2", { word: "data.labels" }), labels),
      h("div", { class: "card", id: "data-attributes" }, h("h2", { word: "data.attributes" }), attributes),
      h("div", { class: "card" }, h("h2", { word: "data.about" }), about, h("h2", { word: "data.advice" }), advice, leftOut, unused)));
  const closer = h("button", { type: "button", word: "data.close", onclick: () => dialog.close() });
  const image = h("img", { class: "large", alt: "" });
  const name = h("h2", { class: "run-name" });
  const told = h("dl", { class: "about" });
  const dialog = h("dialog", { class: "card photo", label: "data.one", onclose: () => { large = null; }, onkeydown: step },
    image, name, told, h("div", { class: "actions" },
      h("button", { type: "button", word: "data.before", onclick: () => look(large - 1) }),
      h("button", { type: "button", word: "data.after", onclick: () => look(large + 1) }), closer));
  panel.append(h("div", { class: "bar" }, h("label", { for: "data-set", word: "data.set" }), select, facts), none, body, dialog);

  const query = () => ({ set: known.id, ...asked, count: COUNT });

  const draw = latest(() => attempt(async () => {
    const wanted = query();
    const found = await askJson("/api/data/page", wanted);
    if (wanted.set !== known.id) return;
    const sheet = found.pictures.length ? await askPicture("/api/data/sheet", wanted) : null;
    const rows = Math.ceil(found.pictures.length / found.columns);
    total = found.total;
    page = found.pictures;
    const focused = grid.contains(document.activeElement);
    const old = url;
    url = sheet?.url ?? null;
    if (url) { const ready = new Image(); ready.src = url; await ready.decode().catch(() => {}); }
    grid.classList.toggle("coarse", found.side < 64);
    grid.replaceChildren(...page.map((one, at) => {
      const spot = h("span", { class: "seed-image" });
      if (url && !one.problem) {
        spot.style.backgroundImage = `url(${url})`;
        spot.style.backgroundSize = `${found.columns * 100}% ${rows * 100}%`;
        spot.style.backgroundPosition = `${(at % found.columns) * (100 / (found.columns - 1))}% ${rows > 1 ? Math.floor(at / found.columns) * (100 / (rows - 1)) : 0}%`;
      }
      const title = [one.name, one.label].filter(Boolean).join(" · ");
      return h("button", { type: "button", role: "option", class: `seed${one.problem ? " bad" : ""}`, "aria-label": title, title: one.problem ? `${title}: ${one.problem}` : title,
        "data-row": String(one.row), tabIndex: at ? -1 : 0, onclick: () => look(at) }, spot,
      one.problem ? h("span", { class: "bad-sign", "aria-hidden": "true" }, "!") : null,
      one.group === null ? null : h("span", { class: `group group-${one.group % 2}` }, String(one.group + 1)));
    }));
    if (old) URL.revokeObjectURL(old);
    if (focused) grid.firstChild?.focus();
    nothing.hidden = total > 0;
    foot.hidden = total <= COUNT;
    for (const button of previous) button.disabled = asked.first === 0;
    for (const button of next) button.disabled = asked.first + COUNT >= total;
    show();
  }));

  function show() {
    clear.hidden = asked.label === null && !asked.have.length && !asked.lack.length;
    word(where, total ? ["data.where", { first: count(asked.first + 1), last: count(Math.min(total, asked.first + COUNT)), total: count(total) }] : ["data.zero", {}]);
    const ready = looked?.state === "ready";
    const counts = { all: known.count, copies: looked?.copies, alike: looked?.look_alikes, blurred: looked?.blurred };
    for (const button of shows.children) {
      const one = button.dataset.show;
      button.setAttribute("aria-pressed", String(asked.show === one));
      button.disabled = one !== "all" && !(ready && counts[one] > 0);
      word(button, one === "all" || ready ? [`data.${one}`, { count: count(counts[one]) }] : [`data.${one}`, { count: "…" }]);
    }
    for (const button of labels.children) button.setAttribute("aria-pressed", String(asked.label === button.dataset.name));
    for (const box of attributes.querySelectorAll("select")) {
      box.value = asked.have.includes(box.dataset.name) ? "1" : asked.lack.includes(box.dataset.name) ? "0" : "";
    }
  }

  function set(change) { asked = { ...asked, first: 0, ...change }; show(); draw(); }

  function turn(way) {
    const first = asked.first + way * COUNT;
    if (first < 0 || first >= total) return;
    set({ first });
  }

  function controls() {
    shows.replaceChildren(...SHOWS.map((one) => h("button", { type: "button", "data-show": one, onclick: () => set({ show: one }) })));
    const most = Math.max(1, ...known.labels.map((one) => one.count));
    document.getElementById("data-labels").hidden = !known.labels.length;
    labels.replaceChildren(...known.labels.map((one) => h("button", { type: "button", class: "count", "data-name": one.name,
      onclick: () => set({ label: asked.label === one.name ? null : one.name }) },
    h("span", { class: "count-name" }, one.name), h("span", { class: "count-number" }, count(one.count)), bar(one.count / most))));
    document.getElementById("data-attributes").hidden = !known.attributes.length;
    attributes.replaceChildren(...known.attributes.map((one, number) => {
      const box = h("select", { id: `data-attribute-${number}`, "data-name": one.name, onchange: () => {
        const without = (list) => list.filter((each) => each !== one.name);
        set({ have: box.value === "1" ? [...without(asked.have), one.name] : without(asked.have), lack: box.value === "0" ? [...without(asked.lack), one.name] : without(asked.lack) });
      } }, h("option", { value: "", word: "data.any" }), h("option", { value: "1", word: "explore.yes" }), h("option", { value: "0", word: "explore.no" }));
      return h("div", { class: "count attribute" }, h("label", { class: "count-name", for: box.id }, one.name), h("span", { class: "count-number" }, count(one.count)), bar(one.count / known.count), box);
    }));
    list(leftOut, "data.refused", known.refused, known.refused_files);
    list(unused, "data.unused", known.unused.length, known.unused);
  }

  function list(details, key, number, files) {
    details.hidden = !number;
    details.replaceChildren(h("summary", { word: [key, { count: count(number) }] }),
      h("ul", {}, ...files.map((one) => h("li", {}, `${one.name}: ${one.reason}`))));
  }

  function bar(share) {
    const inner = h("span", { class: "share" });
    inner.style.width = `${Math.max(share * 100, share ? 1 : 0)}%`;
    return h("span", { class: "shares", "aria-hidden": "true" }, inner);
  }

  function term(list, key, text) {
    if (text === null || text === undefined || text === "") return;
    list.append(h("dt", { word: key }), h("dd", {}, ...(Array.isArray(text) ? [h("span", { word: text })] : [text])));
  }

  function describe() {
    const pair = (size) => (size ? `${size[0]}×${size[1]}` : "");
    const several = (list) => list.map((one) => `${one.name} ${count(one.count)}`).join(", ");
    about.replaceChildren();
    term(about, "data.countOf", count(known.count));
    if (looked?.state === "ready") {
      term(about, "data.measured", looked.looked_at < known.count ? count(looked.looked_at) : null);
      term(about, "data.sizes", pair(looked.smallest) === pair(looked.largest) ? pair(looked.median) : `${pair(looked.smallest)} – ${pair(looked.largest)}`);
      term(about, "data.formats", several(looked.formats));
      term(about, "data.modes", several(looked.modes));
    }
    term(about, "data.captions", known.captions === null ? null : count(known.captions));
    term(about, "data.heldOut", known.held_out === null ? null : count(known.held_out));
    term(about, "data.unlabelled", known.unlabelled ? count(known.unlabelled) : null);
    term(about, "data.licence", known.licence ?? ["data.unknown", {}]);
    term(about, "data.runs", sets.find((one) => one.id === known.id)?.runs.join(", "));
    advice.replaceChildren(...(looked?.state === "ready" ? looked.advice.map((one) => h("li", {}, one))
      : [h("li", looked?.state === "failed" ? { class: "alarm" } : { class: "help", word: "data.working" }, ...(looked?.state === "failed" ? [looked.problem] : []))]));
  }

  async function measure() {
    clearTimeout(timer);
    const id = known.id;
    const found = await askJson("/api/data/report", { set: id });
    if (known?.id !== id || !here) return;
    if (found.state === "working") { timer = setTimeout(() => attempt(measure), 700); return; }
    looked = found;
    describe();
    show();
  }

  function look(at) {
    if (at < 0 || at >= page.length) return;
    large = at;
    return attempt(async () => {
      const { row } = page[at];
      const one = await askJson("/api/data/one", { set: known.id, row });
      const found = one.problem ? null : await askPicture("/api/data/picture", { set: known.id, row });
      if (large !== at) return;
      if (largeUrl) URL.revokeObjectURL(largeUrl);
      largeUrl = found?.url ?? null;
      image.hidden = !found;
      if (found) image.src = found.url;
      image.alt = one.name;
      image.classList.toggle("coarse", Math.max(one.width ?? 0, one.height ?? 0) < 200);
      name.textContent = one.name;
      told.replaceChildren();
      term(told, "data.problem", one.problem);
      term(told, "data.size", one.width ? `${one.width}×${one.height}` : null);
      term(told, "data.label", one.label);
      term(told, "data.attributes", one.has.join(", "));
      term(told, "data.caption", one.caption);
      if (one.held_out) term(told, "data.part", ["data.heldOutOne", {}]);
      if (!dialog.open) dialog.showModal();
      closer.focus();
      tell(one.name);
    });
  }

  function step(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    look(large + way);
  }

  function arrow(event) {
    if (event.key === "PageDown" || event.key === "PageUp") {
      event.preventDefault();
      turn(event.key === "PageDown" ? 1 : -1);
      return;
    }
    moveInGrid(event);
  }

  async function open(id) {
    clearTimeout(timer);
    await attempt(async () => {
      known = await askJson("/api/data/set", { set: id });
      looked = null;
      asked = fresh();
      total = known.count;
      select.value = id;
      word(facts, ["data.facts", { count: count(known.count) }]);
      body.hidden = false;
      controls();
      describe();
      show();
      await draw();
      await measure();
    });
  }

  let here = false;
  return {
    async show() {
      here = true;
      document.querySelector("footer").hidden = true; // What it says of pictures is not true of these.
      sets = await askJson("/api/data/sets");
      none.hidden = sets.length > 0;
      select.disabled = !sets.length;
      select.replaceChildren(...sets.map((one) => h("option", { value: one.id }, one.id)));
      if (known && sets.some((one) => one.id === known.id)) {
        select.value = known.id;
        if (!looked) await measure();
      } else if (sets.length) await open(sets[0].id);
      else body.hidden = true;
    },
    hide() { here = false; clearTimeout(timer); document.querySelector("footer").hidden = false; if (dialog.open) dialog.close(); },
  };
}
