// Watch: the runs below the folder, and one of them in full, asked for anew every few seconds while looked at.

import { ask, askJson, attempt, count, h, latest, say, tell, word } from "./dom.js";
import { chart } from "./chart.js";

const EVERY = 3000;
const FIRST = ["discriminator/loss", "generator/loss"];

export function mount(panel) {
  let chosen = null;
  let grids = [];
  let at = -1; // The grid shown; the newest is followed until an older one is chosen.
  let follow = true;
  let url = null;
  let shownGrid = null;
  let timer = null;
  let here = false;
  let before = null;

  const list = h("ul", { class: "runs" });
  const none = h("p", { class: "empty", word: "watch.none", hidden: true });
  const name = h("h2", { class: "run-name" });
  const state = h("p", { class: "facts" });
  const bar = h("progress", { max: "1", label: "watch.progress" });
  const picture = h("img", { class: "grid", alt: "" });
  const noGrid = h("p", { class: "empty", word: "watch.noGrid" });
  const older = h("input", { type: "range", id: "watch-grid", min: "0", max: "0", step: "1",
    oninput: () => { at = Number(older.value); follow = at === grids.length - 1; drawGrid(); } });
  const olderLabel = h("label", { for: "watch-grid" });
  const warnings = h("ul", { class: "warnings", tabIndex: 0, label: "watch.warnings" });
  const notes = h("ul", { class: "notes" });
  const charts = h("div", { class: "charts", role: "group", tabIndex: 0, label: "watch.curves" });
  const detail = h("div", { class: "watched", hidden: true },
    h("div", { class: "card" }, h("div", { class: "head" }, name), state, bar, warnings,
      picture, noGrid, h("div", { class: "slider grid-slider" }, olderLabel, older), notes),
    h("div", { class: "card" }, h("div", { class: "head" }, h("h2", { word: "watch.curves" })), charts));
  const broken = h("p", { class: "card broken-run", word: "watch.brokenHelp", hidden: true });
  panel.append(none, h("div", { class: "watch" }, h("div", { class: "card" }, h("div", { class: "head" }, h("h2", { word: "watch.runs" })), list), detail, broken));

  function seconds(left) {
    if (left === null || left === undefined) return "";
    const minutes = Math.round(left / 60);
    if (minutes < 1) return say("watch.soon");
    return minutes < 120 ? say("watch.minutes", { count: count(minutes) }) : say("watch.hours", { count: count(Math.round(minutes / 60)) });
  }

  function facts(run) {
    if (run.state === "broken") return say("watch.broken");
    const seen = run.goal === null || run.state === "finished" ? say("watch.seen", { count: count(run.images) }) : say("watch.of", { count: count(run.images), goal: count(run.goal) });
    return [say(`watch.${run.state}`), seen, seconds(run.seconds_left)].filter(Boolean).join(" · ");
  }

  const drawGrid = latest(() => attempt(async () => {
    const images = grids[at];
    picture.hidden = images === undefined;
    noGrid.hidden = !picture.hidden;
    older.parentElement.hidden = grids.length < 2;
    if (images === undefined) return;
    word(olderLabel, ["watch.grid", { count: count(images) }]);
    const key = `${chosen} ${images}`;
    if (key === shownGrid) return;
    const blob = await (await ask("/api/watch/grid", { run: chosen, images })).blob();
    const fresh = URL.createObjectURL(blob);
    const ready = new Image(); // Decoded before it is shown, so that nothing flickers.
    ready.src = fresh;
    await ready.decode().catch(() => {});
    if (key !== `${chosen} ${grids[at]}`) { URL.revokeObjectURL(fresh); return; }
    picture.src = fresh;
    picture.dataset.images = images;
    word(picture, ["watch.gridOf", { run: chosen, count: count(images) }], "alt");
    if (url) URL.revokeObjectURL(url);
    url = fresh;
    shownGrid = key;
  }));

  function drawCurves(run) {
    const losses = run.curves.filter((one) => FIRST.includes(one.name));
    const rest = run.curves.filter((one) => !FIRST.includes(one.name));
    const others = [...run.metrics, ...rest.filter((one) => one.name.includes("/")), ...rest.filter((one) => !one.name.includes("/"))];
    const groups = [...(losses.length ? [losses] : []), ...others.map((one) => [one])];
    charts.replaceChildren(...groups.map((curves) => {
      const title = curves.map((one) => one.name).join(", ");
      return h("figure", {}, h("figcaption", {}, ...curves.map((one, number) =>
        h("span", { class: `key key-${number}` }, `${one.name} ${lastOf(one)}`))), chart(curves, title));
    }));
    if (!groups.length) charts.append(h("p", { class: "empty", word: "watch.noCurves" }));
  }

  function lastOf(one) {
    const value = one.values.findLast((each) => each !== null);
    return value === undefined ? "" : String(Number(value.toPrecision(4)));
  }

  function showRuns(runs) {
    none.hidden = runs.length > 0;
    const kept = list.contains(document.activeElement) ? document.activeElement.dataset.run : null;
    list.replaceChildren(...runs.map((run) => h("li", {}, h("button", { type: "button", class: `run ${run.state}`, "data-run": run.id,
      "aria-pressed": String(run.id === chosen), onclick: () => { choose(run.id); refresh(); } },
    h("span", { class: "run-id" }, run.id), h("span", { class: "facts" }, facts(run)),
    run.alarms ? h("span", { class: "alarm" }, say("watch.alarms", { count: count(run.alarms) })) : null))));
    if (kept !== null) [...list.querySelectorAll("button")].find((one) => one.dataset.run === kept)?.focus();
  }

  function choose(run) { chosen = run; follow = true; grids = []; at = -1; before = null; }

  const refresh = latest(() => attempt(async () => {
    const runs = await askJson("/api/watch/runs");
    if (!runs.some((run) => run.id === chosen)) {
      if (chosen !== null) tell(say("watch.gone", { run: chosen }));
      choose((runs.find((run) => run.state === "training") ?? runs[0])?.id ?? null);
    }
    showRuns(runs);
    const listed = runs.find((run) => run.id === chosen);
    detail.hidden = !listed || listed.state === "broken";
    broken.hidden = listed?.state !== "broken";
    if (detail.hidden) return;
    const run = await askJson("/api/watch/run", { run: chosen }).catch((error) => {
      if (error.status === 404) return null; // It vanished between the two; the next look knows.
      throw error;
    });
    if (!run || run.id !== chosen) return;
    name.textContent = run.id;
    state.textContent = [run.recipe, run.data, facts(run)].join(" · ");
    bar.hidden = !run.goal;
    if (run.goal) bar.value = Math.min(1, run.images / run.goal);
    warnings.replaceChildren(...run.warnings.toReversed().map((one) => h("li", { class: "alarm" }, `${count(one.images)}: ${one.message}`)));
    notes.replaceChildren(...run.notes.map((note) => h("li", {}, note)));
    grids = run.grids;
    older.max = String(Math.max(0, grids.length - 1));
    if (follow) at = grids.length - 1;
    older.value = String(at);
    const now = JSON.stringify([run.images, run.metrics.length]);
    if (before !== now) drawCurves(run);
    before = now;
    drawGrid();
  }));

  function wake() {
    clearInterval(timer);
    timer = null;
    if (!here || document.hidden) return;
    refresh();
    timer = setInterval(refresh, EVERY);
  }
  document.addEventListener("visibilitychange", wake);
  return { show() { here = true; wake(); }, hide() { here = false; wake(); } };
}
