// Curves as SVG: numbers over images seen, with gaps where there is no number.

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const HEIGHT = 150;
const EDGE = { left: 54, right: 8, top: 8, bottom: 22 };

function node(tag, attributes, text = null) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

const short = (value) => new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: Math.abs(value) >= 1000 ? "compact" : "standard" }).format(value);

/** A chart of curves [{name, images, values}]; label is what it is called aloud. */
export function chart(curves, label) {
  const values = curves.flatMap((one) => one.values).filter((value) => value !== null);
  const images = curves.flatMap((one) => one.images);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label });
  if (!values.length) return svg;
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
  const last = Math.max(...images, 1);
  const x = (seen) => EDGE.left + (seen / last) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(node("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value), class: "rule" }));
    svg.append(node("text", { x: EDGE.left - 6, y: y(value) + 3.5, "text-anchor": "end" }, short(value)));
  }
  svg.append(node("text", { x: EDGE.left, y: HEIGHT - 6 }, "0"));
  svg.append(node("text", { x: WIDTH - EDGE.right, y: HEIGHT - 6, "text-anchor": "end" }, short(last)));
  for (const [number, one] of curves.entries()) {
    let path = "";
    let pen = "M";
    for (const [at, value] of one.values.entries()) {
      if (value === null) { pen = "M"; continue; }
      path += `${pen}${x(one.images[at]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
    if (path) svg.append(node("path", { d: path, class: `curve curve-${number % 4}` }));
  }
  return svg;
}
