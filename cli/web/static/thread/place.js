// The turn one is at. It follows from what is seen, whatever has moved the page: so it is worked
// out from that, and never kept.

export const root = document.getElementById("thread");
export const box = document.getElementById("turns");
const where = document.getElementById("where");
const LINE = 0.22; // how far down the window one reads, of its height
const STILL = 3; // pixels
const listeners = [];
let here = null;
let went = null;

/** Call something with the turn one is at, whenever that is another one. */
export const onHere = (call) => listeners.push(call);
export const articles = () => [...box.querySelectorAll(":scope > article.turn")];
export const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
export const atLast = () => !box.querySelector(".later");
/** Where what one goes to is brought: below the bar. */
export const top = () => parseFloat(getComputedStyle(box.firstElementChild ?? box).scrollMarginTop);
export const yOf = (element) => element.getBoundingClientRect().top;

/** Be at an element, until it is elsewhere in the window: near an end it may not come to the top. */
export function pin(element) {
  went = element && { element, y: yOf(element) };
  look();
}

/** What one went to, if it still is where it was then. */
export function target() {
  if (went && !(went.element.isConnected && Math.abs(yOf(went.element) - went.y) < STILL)) went = null;
  return went?.element ?? null;
}

function seen() {
  const pinned = target();
  if (pinned) return pinned.closest("article");
  const every = articles();
  if (atEnd() && atLast()) return every.at(-1) ?? null;
  if (scrollY <= 0 && !box.querySelector(".earlier")) return every[0] ?? null;
  const line = Math.max(innerHeight * LINE, top() + STILL);
  let low = 0; // the last turn that begins above the line
  for (let high = every.length; high - low > 1;) {
    const middle = (low + high) >> 1;
    if (yOf(every[middle]) <= line) low = middle;
    else high = middle;
  }
  const above = every[low + 1] && every[low].getBoundingClientRect().bottom < top(); // it ends there
  return every[above ? low + 1 : low] ?? null;
}

/** See which turn one is at now, and tell of it. */
export function look() {
  const article = seen();
  if (article === here) return;
  here?.classList.remove("here");
  here = article;
  here?.classList.add("here");
  tellWhere();
  if (here) for (const call of listeners) call(here);
}

export function current() {
  look();
  return here;
}

export function tellWhere() {
  const number = here?.dataset.number;
  where.replaceChildren();
  if (!number) return;
  const name = document.createElement("b");
  name.textContent = `Turn ${Number(number).toLocaleString("en")}`;
  where.append(name, ` of ${Number(root.dataset.count).toLocaleString("en")}`);
  const prompt = document.querySelector(`#outline a[data-turn="${CSS.escape(here.dataset.turn)}"] .prompt`);
  if (prompt) where.append(` · ${prompt.textContent}`);
}

export function start() {
  let frame = 0;
  const soon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      look();
    });
  };
  for (const kind of ["scroll", "resize"]) addEventListener(kind, soon, { passive: true });
  new ResizeObserver(soon).observe(box); // turns come and go, parts are unfolded, images come
}
