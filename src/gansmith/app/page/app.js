// The shell: tabs, language, the list of models. A tab is a module with mount(panel, app), loaded when it is
// first shown; what mount gives may have show() and hide(), called as the tab comes and goes.

import { askJson, attempt, complain, firstLanguage, speak } from "./dom.js";

const tabs = [...document.querySelectorAll("#tabs [role=tab]")];
const mounted = new Map();
let shown = null;

/** What tabs share: app.about has version, models, data; refresh() asks for it anew. */
const app = {
  about: { version: "", models: [], data: null },
  async refresh() {
    this.about = await askJson("/api/about");
    return this.about;
  },
  /** Models of a kind that can be used now. */
  models(kind) { return this.about.models.filter((one) => one.kind === kind && !one.problem); },
};

async function choose(name, focus = false) {
  for (const tab of tabs) {
    const mine = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(mine));
    tab.tabIndex = mine ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !mine;
    if (mine && focus) tab.focus();
    if (mine) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  if (shown && shown !== name) mounted.get(shown)?.hide?.();
  shown = name;
  if (location.hash.slice(1).split("?")[0] !== name) history.replaceState(null, "", `#${name}`);
  complain("");
  await attempt(async () => {
    if (!mounted.has(name)) {
      mounted.set(name, null);
      const module = await import(`./${name}.js`);
      mounted.set(name, (await module.mount(document.getElementById(`panel-${name}`), app)) ?? {});
    }
    if (shown === name) await mounted.get(name)?.show?.();
  });
}

function move(event) {
  const at = tabs.indexOf(event.currentTarget);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(tabs[(to + tabs.length) % tabs.length].id.slice(4), true);
}

/** The tab that the address names; explore where it names none. */
function asked() {
  const name = location.hash.slice(1).split("?")[0];
  return tabs.some((tab) => tab.id === `tab-${name}`) ? name : "explore";
}

async function start() {
  const language = document.getElementById("language");
  language.value = firstLanguage();
  language.addEventListener("change", () => speak(language.value));
  document.querySelector("#message button").addEventListener("click", () => complain(""));
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab.id.slice(4)));
    tab.addEventListener("keydown", move);
  }
  await Promise.all([speak(language.value), attempt(() => app.refresh())]);
  await choose(asked());
  addEventListener("hashchange", () => { if (asked() !== shown) choose(asked()); });
}

start();
