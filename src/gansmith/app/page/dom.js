// Elements, words and requests: what all tabs share.

const words = { en: null, zh: null };
let language = "en";

/** An element: h("button", {class: "x", onclick: f, word: "explore.save"}, child, "text"). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "word") word(element, value);
    else if (name === "label") word(element, value, "label");
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Give an element the words of a key, now and after each change of language: "key" or ["key", {values}]. */
export function word(element, key, where = "") {
  const [name, values] = Array.isArray(key) ? key : [key, null];
  const prefix = where ? `word${where[0].toUpperCase()}${where.slice(1)}` : "word";
  element.dataset[prefix] = name;
  if (values) element.dataset[`${prefix}Values`] = JSON.stringify(values);
  else delete element.dataset[`${prefix}Values`];
  write(element);
}

/** The words of a key in the language shown, {name} replaced by values.name. */
export function say(key, values = {}) {
  const [part, name] = key.split(".");
  const text = words[language]?.[part]?.[name] ?? words.en?.[part]?.[name] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, one) => values[one] ?? "");
}

/** A number as the language writes it. */
export const count = (number) => new Intl.NumberFormat(language).format(number);

function write(element) {
  const data = element.dataset;
  const values = (text) => (text ? JSON.parse(text) : {});
  if (data.word) element.textContent = say(data.word, values(data.wordValues));
  if (data.wordLabel) element.setAttribute("aria-label", say(data.wordLabel, values(data.wordLabelValues)));
  if (data.wordAlt) element.setAttribute("alt", say(data.wordAlt, values(data.wordAltValues)));
  if (data.wordHint) element.setAttribute("placeholder", say(data.wordHint, values(data.wordHintValues)));
}

/** Show the page in a language; it is remembered. */
export async function speak(wanted) {
  for (const one of new Set(["en", wanted])) {
    words[one] ??= await (await fetch(`/page/words.${one}.json`)).json();
  }
  language = wanted;
  document.documentElement.lang = wanted === "zh" ? "zh-Hans" : wanted;
  for (const element of document.querySelectorAll("[data-word], [data-word-label], [data-word-alt], [data-word-hint]")) {
    write(element);
  }
  try { localStorage.setItem("language", wanted); } catch { /* A browser that keeps nothing. */ }
}

/** The language to begin with. */
export function firstLanguage() {
  let kept = null;
  try { kept = localStorage.getItem("language"); } catch { /* As above. */ }
  return kept ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
}

/** Tell a person something: aloud for those who do not see the page. */
export function tell(text) { document.getElementById("status").textContent = text; }

/** Show what went wrong until it is closed or something works. */
export function complain(text) {
  const box = document.getElementById("message");
  box.querySelector("span").textContent = text;
  box.hidden = !text;
}

/** An answer that is no success; its message is for a person. */
export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

const tab = crypto.getRandomValues(new Uint32Array(2)).join("-");

/** Ask the app: parameters in the address; a list is repeated, null is left out. Gives the Response. */
export async function ask(path, parameters = {}, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  const where = query.size ? `${path}?${query}` : path;
  let answer;
  try {
    answer = await fetch(where, { ...options, headers: { "X-Tab": tab, ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, say("shell.offline"));
  }
  if (answer.ok) return answer;
  let message = answer.statusText;
  let kind = "other";
  try { ({ message = message, kind = kind } = await answer.json()); } catch { /* No JSON: the status must do. */ }
  throw new Refused(answer.status, explained(kind, message));
}

/** What a server says, which is English, with a sentence before it in the language shown. */
function explained(kind, message) {
  const known = words.en?.problem && kind in words.en.problem ? kind : "other";
  const first = words[language] ? say(`problem.${known}`) : "";
  return first ? `${first} (${message})` : message;
}

/** Ask for JSON. */
export const askJson = async (path, parameters, options) => (await ask(path, parameters, options)).json();

/** Ask for a picture: {blob, url}; call URL.revokeObjectURL(url) when it is no longer shown. */
export async function askPicture(path, parameters, options) {
  const blob = await (await ask(path, parameters, options)).blob();
  return { blob, url: URL.createObjectURL(blob) };
}

/** Run something and show what goes wrong; a request that a newer one displaced says nothing. */
export async function attempt(work) {
  try {
    const found = await work();
    complain("");
    return found;
  } catch (error) {
    if (error.name === "AbortError" || error.status === 409) return null;
    complain(error.message || String(error));
    if (!(error instanceof Refused)) console.error(error);
    return null;
  }
}

/** The newest wish alone: while one is in flight the last of those that come is kept, and sent next. */
export function latest(work) {
  let busy = false;
  let next = null;
  return async function run(...given) {
    if (busy) { next = given; return; }
    busy = true;
    try {
      await work(...given);
    } finally {
      busy = false;
      if (next) { const then = next; next = null; run(...then); }
    }
  };
}

/** Hand a file to the person. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The arrow keys, Home and End move the focus among the cells of the grid that hears them. */
export function moveInGrid(event) {
  const grid = event.currentTarget;
  const cells = [...grid.children];
  const here = cells.indexOf(document.activeElement);
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + columns, ArrowUp: here - columns, Home: 0, End: cells.length - 1 }[event.key];
  if (here < 0 || to === undefined || !cells[to]) return;
  event.preventDefault();
  for (const cell of cells) cell.tabIndex = -1;
  cells[to].tabIndex = 0;
  cells[to].focus();
}
