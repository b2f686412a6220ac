import { h } from "./dom.js";

export function mount(panel) {
  panel.append(h("h1", { word: "translate.title" }));
}
