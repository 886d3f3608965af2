// The turns that are here, those that are loaded above and below them, and the place one is at.

import { NO_ANSWER, fetchPart, patiently, say, told } from "/static/common.js";
import { dress } from "./looks.js";

export const root = document.getElementById("thread");
export const box = document.getElementById("turns");
export const url = root.dataset.url;
const where = document.getElementById("where");
const MOST = 3_000_000; // characters of HTML that stay here
const near = new IntersectionObserver(
  (entries) => { for (const each of entries) if (each.isIntersecting) load(each.target); },
  { rootMargin: "1500px 0px" },
);
const listeners = [];
let here = null;
let pinned = false; // one went to this turn, and has not scrolled since
let looking = 0;
let wish = 0; // counts where one wants to go: what is loaded for an earlier wish is not shown

/** Call something with the turn one is at, whenever that is another one. */
export const onHere = (call) => listeners.push(call);
export const current = () => here;
export const articles = () => [...box.querySelectorAll("article.turn")];
export const spotOf = (turn, chunk) => `${chunk}${turn.slice(turn.indexOf("."))}`;

/** What the reader is told where an answer is an error. */
export const trouble = async (answer) => Object.assign(new Error(await told(answer)), { status: answer.status });

/** Some turns, as elements. */
export async function part(query) {
  const answer = await fetchPart(`${url}/turns?${query}`);
  if (!answer.ok) throw await trouble(answer);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  dress(made.content);
  return made.content;
}

/** Tell of what went wrong, but not that the server is gone: the line of events does. */
export function fail(error) {
  say(error.status ? error.message : NO_ANSWER, { bad: true });
}

/** Be at a turn, until one scrolls or it is out of sight. */
export function pin(article) {
  pinned = true;
  setHere(article);
}

/** Find out which turn one is at. */
function look() {
  looking = 0;
  if (pinned && here?.isConnected) {
    const { top, bottom } = here.getBoundingClientRect();
    if (bottom > 0 && top < innerHeight) return;
  }
  pinned = false;
  const every = articles();
  const read = every.findLast((each) => each.getBoundingClientRect().top <= innerHeight * 0.22);
  setHere((atEnd() && atLast() ? every.at(-1) : read ?? every[0]) ?? null);
}

const lookSoon = () => { looking ||= requestAnimationFrame(look); };

/** Where the first line that is read is, below the bars. */
export const topOfRead = () => parseFloat(getComputedStyle(box.querySelector("h2") ?? box).scrollMarginTop) + 2;

/** Go somewhere else than what is being loaded would. */
export const goElsewhere = () => { wish += 1; };

function setHere(article) {
  if (article === here) return;
  here?.classList.remove("here");
  here = article;
  if (!article) return;
  article.classList.add("here");
  tellWhere();
  for (const call of listeners) call(article);
}

export function tellWhere() {
  const number = here?.dataset.number;
  const count = Number(root.dataset.count).toLocaleString("en");
  where.replaceChildren();
  if (!number) return;
  const name = document.createElement("b");
  name.textContent = `Turn ${Number(number).toLocaleString("en")}`;
  where.append(name, ` of ${count}`);
  const prompt = document.querySelector(`#outline a[data-turn="${CSS.escape(here.dataset.turn)}"] .prompt`);
  if (prompt) where.append(` · ${prompt.textContent}`);
}

/** Watch what is here: the links that load more, and the turns. */
export function watch() {
  near.disconnect();
  for (const each of box.querySelectorAll(".load")) near.observe(each);
  if (here && !here.isConnected) setHere(find(here.dataset.turn));
  lookSoon();
}

/** Change what is here without what is read moving. */
export function keepPlace(change) {
  const top = 120;
  const mark = [...box.querySelectorAll(".block, article > h2")].find(
    (each) => each.getBoundingClientRect().bottom > top,
  );
  const before = mark?.getBoundingClientRect().top;
  change();
  if (!mark?.isConnected) return;
  const moved = mark.getBoundingClientRect().top - before;
  if (Math.abs(moved) > 0.5) scrollBy({ top: moved, behavior: "instant" });
}

/** Have the parts of one turn in one element, which keeps what was unfolded in it. */
function join(first, second, kept) {
  if (!first || !second || first.dataset.turn !== second.dataset.turn) return;
  const other = kept === first ? second : first;
  const chunks = other.querySelectorAll(":scope > .chunk");
  if (kept === first) kept.append(...chunks);
  else {
    kept.querySelector(":scope > h2").replaceWith(other.querySelector(":scope > h2"));
    kept.querySelector(":scope > .chunk").before(...chunks);
    if (other.id) kept.id = other.id;
  }
  other.remove();
}

const loading = new WeakMap();

/** Load what a link stands for, once for all who ask meanwhile. Gives whether there is more now. */
function load(place) {
  if (!loading.has(place)) loading.set(place, loaded(place).finally(() => loading.delete(place)));
  return loading.get(place);
}

async function loaded(place) {
  const link = place.querySelector("a");
  const earlier = link.classList.contains("earlier");
  let made;
  try {
    made = await part(new URL(link.href).searchParams);
  } catch (error) {
    near.unobserve(place); // a click tries again
    fail(error);
    return false;
  }
  if (!place.isConnected) return true;
  const old = articles();
  const fresh = made.querySelectorAll("article.turn");
  made.querySelector(earlier ? ".later" : ".earlier")?.parentElement.remove();
  keepPlace(() => {
    place.replaceWith(made);
    if (earlier) join(fresh[fresh.length - 1], old[0], old[0]);
    else join(old[old.length - 1], fresh[0], old[old.length - 1]);
    trim(earlier);
  });
  watch();
  document.dispatchEvent(new CustomEvent("threadkeep:turns"));
  return true;
}

/** A link that loads what is above a turn, or (`later`) from it on. */
function moreAt(article, later) {
  const place = document.createElement("p");
  place.className = "load";
  const link = document.createElement("a");
  link.className = later ? "later" : "earlier";
  link.textContent = later ? "Later turns" : "Earlier turns";
  const spot = spotOf(article.dataset.turn, article.querySelector(".chunk").dataset.chunk);
  link.href = `${url}?${later ? "from" : "before"}=${encodeURIComponent(spot)}`;
  place.append(link);
  return place;
}

/** Let go of turns that are far away, at the end or else at the beginning. */
export function trim(end) {
  const every = articles();
  let size = every.reduce((sum, each) => sum + each.textContent.length, 0);
  const far = end ? every.reverse() : every;
  const kept = (each) => {
    const rect = each.getBoundingClientRect();
    return rect.bottom > -4000 && rect.top < innerHeight + 4000;
  };
  const gone = [];
  for (const each of far) {
    if (size < MOST || kept(each)) break;
    size -= each.textContent.length;
    gone.push(each);
  }
  if (!gone.length) return;
  const last = gone[gone.length - 1];
  const next = end ? last : far[gone.length];
  const place = moreAt(next, end);
  box.querySelector(end ? ".later" : ".earlier")?.parentElement.remove();
  for (const each of gone) each.remove();
  if (end) box.append(place);
  else box.prepend(place);
}

/** Have other turns here, instead of those that are. Gives false if one wants to be elsewhere by now. */
export async function show(query) {
  const mine = ++wish;
  const made = await patiently(part(query));
  if (mine !== wish) return false;
  box.replaceChildren(made);
  watch();
  document.dispatchEvent(new CustomEvent("threadkeep:turns"));
  return true;
}

const find = (turn) => box.querySelector(`article[data-turn="${CSS.escape(turn)}"]`);

/** Go to a turn, wherever it is: to its heading. */
export async function toTurn(turn) {
  try {
    const has = () => find(turn)?.querySelector('[data-chunk="0"]');
    if (has() || (await show(`from=${encodeURIComponent(turn)}`))) toHeading(find(turn));
  } catch (error) {
    fail(error);
  }
}

function toHeading(article) {
  if (!article) return;
  goElsewhere();
  following = false;
  const heading = article.querySelector("h2");
  heading.scrollIntoView({ block: "start", behavior: "instant" });
  heading.querySelector("a").focus({ preventScroll: true });
  pin(article);
}

/** Go to the heading of the next turn, or of the one before, or of this one from within it. */
export async function byPrompt(by) {
  const every = articles();
  const top = topOfRead();
  const heads = every.map((each) => each.querySelector("h2").getBoundingClientRect().top);
  let at = by > 0 ? heads.findIndex((y) => y > top) : heads.findLastIndex((y) => y < top - 4);
  if (at >= 0 && by < 0 && every[at].querySelector(".continued")) at = -1;
  if (at >= 0 && !(by > 0 && atEnd())) return toHeading(every[at]);
  const more = box.querySelector(by > 0 ? ".later" : ".earlier");
  if (more) {
    if (await load(more.parentElement)) return byPrompt(by);
    return;
  }
  if (by > 0) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  else scrollTo({ top: 0, behavior: "instant" });
}

let following = false;
let wanted = ""; // a turn that was asked for before its number was known
let lastY = 0;

/** Whether the end is what the reader looks at: it stays in view when something is added. */
export const follows = () => following && atLast();
export const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
export const atLast = () => !box.querySelector(".later");

export function scrollToEnd() {
  following = true;
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  pin(articles().at(-1) ?? null);
}

export async function toEnd() {
  goElsewhere();
  try {
    if (atLast() || (await show(""))) scrollToEnd();
  } catch (error) {
    fail(error);
  }
}

/** All turns are known now: those above can be loaded, and what was asked for can be shown. */
export function nowWhole() {
  delete root.dataset.partial;
  const first = articles()[0];
  const begins = first?.dataset.number === "1" && first.querySelector('.chunk[data-chunk="0"]');
  if (first && !begins && !box.querySelector(".earlier")) {
    keepPlace(() => box.prepend(moreAt(first, false)));
    watch();
  }
  if (wanted) toNumber(wanted);
  wanted = "";
}

export async function toBegin() {
  if ("partial" in root.dataset) {
    wanted = "1";
    say("The beginning is still being read: it is shown when that is done.");
    return;
  }
  goElsewhere();
  try {
    if (box.querySelector(".earlier") && !(await show("turn=1"))) return;
    following = false;
    scrollTo({ top: 0, behavior: "instant" });
    pin(articles()[0] ?? null);
  } catch (error) {
    fail(error);
  }
}

export async function copyLink(event, article = here) {
  const link = article?.querySelector("h2 a");
  if (!link) return;
  try {
    await navigator.clipboard.writeText(link.href);
    say(`Copied a link to ${link.textContent.toLowerCase()}.`);
  } catch {
    location.hash = new URL(link.href).hash;
    say("The browser does not let pages copy: the address of this turn is above.");
  }
}

async function toNumber(number) {
  try {
    const has = () => document.getElementById(`turn-${number}`);
    if (has() || (await show(`turn=${number}`))) toHeading(has());
    return true;
  } catch (error) {
    fail(error);
    return false;
  }
}

/** Go where the address says; false where that is nowhere (yet). */
async function toAddress() {
  const asked = new URLSearchParams(location.search).get("turn");
  const number = /^#turn-(\d{1,9})$/.exec(location.hash)?.[1] ?? asked;
  if (!number) return false;
  if (!("partial" in root.dataset)) return toNumber(number);
  wanted = number;
  return false;
}

const SCROLLS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "];
const unpin = () => {
  pinned = false;
  lookSoon();
};

/** Begin: where the address says, or else at the end. */
export async function start() {
  history.scrollRestoration = "manual";
  dress(box);
  watch();
  box.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.closest(".load")) {
      event.preventDefault();
      load(link.closest(".load"));
    } else if (link.closest(".more")) {
      event.preventDefault();
      whole(link);
    } else if (link.matches("h2 .name")) {
      event.preventDefault();
      history.pushState(null, "", link.href);
      toHeading(link.closest("article"));
    }
  });
  document.querySelector(".to-end")?.addEventListener("click", (event) => {
    event.preventDefault();
    toEnd();
  });
  addEventListener("popstate", async () => {
    if (!(await toAddress()) && !wanted && !location.search && !location.hash) toEnd(); // where it was opened
  });
  for (const kind of ["wheel", "touchmove", "pointerdown"]) addEventListener(kind, unpin, { passive: true });
  addEventListener("keydown", ({ key }) => { if (SCROLLS.includes(key)) unpin(); });
  addEventListener("scroll", () => {
    if (scrollY > lastY && atEnd()) following = true;
    else if (scrollY < lastY - 1 && !atEnd()) following = false;
    lastY = scrollY;
    lookSoon();
  }, { passive: true });
  const asked = new URLSearchParams(location.search);
  const elsewhere = location.hash || asked.has("turn") ? await toAddress() : false;
  if (elsewhere) return;
  if (asked.has("from") || asked.has("before")) pin(articles()[0] ?? null);
  else if (!root.dataset.find) scrollToEnd();
}

/** Load all of a block that is cut. */
export async function whole(link) {
  const block = link.closest(".block");
  try {
    const answer = await fetchPart(link.href);
    if (!answer.ok) throw await trouble(answer);
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    dress(made.content);
    block.replaceChildren(made.content);
    document.dispatchEvent(new CustomEvent("threadkeep:turns"));
  } catch (error) {
    fail(error);
  }
}
