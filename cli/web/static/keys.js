// Keys. A page gives its own as data: keys("This thread", [{ keys: ["j"], what, run }, …]).
// A key of two strokes is written "g t". Without `run` it is only listed. One that is `inTurn` waits
// until all before it are done, so that each press counts; whatever else the reader does ends that.

const sections = new Map();
const ELSEWHERE = new Set([
  ...["Enter", " ", "Tab", "Escape", "Home", "End", "PageUp", "PageDown"],
  ...["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"],
]);
const GESTURE_MS = 200; // a trackpad goes on to scroll for a while, at shorter intervals
let before = "";
let forget = 0;

export function keys(title, rows) {
  sections.set(title, [...(sections.get(title) ?? []), ...rows]);
}

let last = Promise.resolve();
let steps = 0; // that wait or are under way
let course = {}; // another one when the reader does something else

/** Do something when all that was asked for before is done, unless the reader does something else
    before it begins. It is given a function that tells whether the reader has done so since. */
export function inTurn(work) {
  const mine = course;
  steps += 1;
  last = last
    .then(() => (mine === course ? work(() => mine !== course) : undefined))
    .finally(() => { steps -= 1; })
    .catch(reportError); // and the next step is done nevertheless
}

/** The reader does something else: steps that wait are forgotten, and the one under way is told. */
function takeOver() {
  if (!steps) return;
  course = {};
  last = Promise.resolve();
  document.dispatchEvent(new CustomEvent("threadkeep:elsewhere"));
}

function typing(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") ?? null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  const field = typing(event.target);
  if (field) {
    if (event.key === "Escape") field.blur();
    return;
  }
  const stroke = before ? `${before} ${event.key}` : event.key;
  const all = [...sections.values()].reverse().flat(); // a page may take a key of all pages
  before = "";
  clearTimeout(forget);
  const row = all.find((each) => each.run && each.keys.includes(stroke));
  if (row?.inTurn) {
    event.preventDefault();
    if (!event.repeat || !steps) inTurn(row.run); // a key that is held asks for no more than can be done
  } else if (row) {
    event.preventDefault();
    takeOver();
    row.run();
  } else if (all.some((each) => each.keys.some((key) => key.startsWith(`${stroke} `)))) {
    before = stroke;
    forget = setTimeout(() => { before = ""; }, 1500);
  } else if (ELSEWHERE.has(event.key)) takeOver();
});

for (const kind of ["pointerdown", "click"])
  addEventListener(kind, (event) => { if (!event.target.closest?.("[data-step]")) takeOver(); }, { capture: true });
addEventListener("popstate", takeOver);
let wheeled = -Infinity;
addEventListener("wheel", ({ timeStamp }) => {
  if (timeStamp - wheeled > GESTURE_MS) takeOver();
  wheeled = timeStamp;
}, { passive: true });

const names = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };

/** List the keys of the page in its dialog. */
export function fillKeys(dialog) {
  const place = dialog.querySelector("div");
  place.replaceChildren();
  const taken = new Set(); // by the page from all pages
  for (const [title, rows] of [...sections].reverse()) {
    const table = document.createElement("table");
    table.createCaption().textContent = title;
    for (const row of rows.filter((each) => !each.keys.every((key) => taken.has(key)))) {
      for (const key of row.keys) taken.add(key);
      const line = table.insertRow();
      const cell = line.insertCell();
      row.keys.forEach((key, at) => {
        if (at) cell.append(" or ");
        key.split(/(?<=.) (?=.)/).forEach((stroke, place) => {
          const shown = document.createElement("kbd");
          shown.textContent = names[stroke] ?? stroke;
          cell.append(place ? " " : "", shown);
        });
      });
      line.insertCell().textContent = row.what;
    }
    place.append(table);
  }
}
