// The turns that are here, those that are loaded above and below them, and going to one.

import { NO_ANSWER, fetchPart, patiently, say, told } from "/static/common.js";
import { dress } from "./looks.js";
import { articles, atEnd, atLast, box, current, pin, root, start as startPlace, target, top, yOf } from "./place.js";

export const url = root.dataset.url;
const MOST = 3_000_000; // characters of HTML that stay here
const near = new IntersectionObserver(
  (entries) => { for (const each of entries) if (each.isIntersecting) load(each.target); },
  { rootMargin: "1500px 0px" },
);

export const spotOf = (turn, chunk) => `${chunk}${turn.slice(turn.indexOf("."))}`;

/** What the reader is told where an answer is an error. */
export const trouble = async (answer) => Object.assign(new Error(await told(answer)), { status: answer.status });

/** Some turns, as elements. */
export async function part(query, signal = null) {
  const answer = await fetchPart(`${url}/turns?${query}`, { signal });
  if (!answer.ok) throw await trouble(answer);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  dress(made.content);
  return made.content;
}

/** Tell of what went wrong, but not that the server is gone: the line of events does. */
export function fail(error) {
  if (error.name === "AbortError") return; // something else was asked for meanwhile
  say(error.status ? error.message : NO_ANSWER, { bad: true });
}

/** There are other turns here now. */
export function changed() {
  near.disconnect();
  for (const each of box.querySelectorAll(".load")) near.observe(each);
  document.dispatchEvent(new CustomEvent("threadkeep:turns"));
}

/** Change what is here without what is read moving. */
export function keepPlace(change) {
  const every = [...box.querySelectorAll(".block, article > h2")];
  const first = every.findIndex((each) => each.getBoundingClientRect().bottom > top() + 18);
  const seen = [target(), ...(first < 0 ? [] : every.slice(first, first + 3))].filter(Boolean);
  const before = seen.map(yOf);
  change();
  const at = seen.findIndex((each) => each.isConnected); // a heading may be another one now
  if (at < 0) return;
  const moved = yOf(seen[at]) - before[at];
  if (Math.abs(moved) > 0.5) scrollBy({ top: moved, behavior: "instant" });
}

const FOCUSED = "a[href], button, summary, [tabindex]";

/** Put an element in the place of another one; the focus stays where it was in it. */
export function swap(old, fresh) {
  const at = [...old.querySelectorAll(FOCUSED)].indexOf(document.activeElement);
  old.replaceWith(fresh);
  if (at >= 0) fresh.querySelectorAll(FOCUSED)[at]?.focus({ preventScroll: true });
}

/** Have the parts of one turn in one element, which keeps what was unfolded in it. */
function join(first, second, kept) {
  if (!first || !second || first.dataset.turn !== second.dataset.turn) return;
  const other = kept === first ? second : first;
  const chunks = other.querySelectorAll(":scope > .chunk");
  if (kept === first) kept.append(...chunks);
  else {
    swap(kept.querySelector(":scope > h2"), other.querySelector(":scope > h2"));
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
  const focused = place.contains(document.activeElement);
  const old = articles();
  const fresh = made.querySelectorAll("article.turn");
  made.querySelector(earlier ? ".later" : ".earlier")?.parentElement.remove();
  keepPlace(() => {
    place.replaceWith(made);
    if (earlier) join(fresh[fresh.length - 1], old[0], old[0]);
    else join(old[old.length - 1], fresh[0], old[old.length - 1]);
    trim(earlier);
  });
  if (focused) nameOf(earlier ? old[0] : (old.at(-1)?.nextElementSibling ?? null))?.focus({ preventScroll: true });
  changed();
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

const find = (turn) => box.querySelector(`article[data-turn="${CSS.escape(turn)}"]`);
const nameOf = (article) => article?.querySelector("h2 .name");

let following = false;
let wanted = ""; // a turn that was asked for before its number was known
let jumps = 0;
let showing = null;

/** Begin to go somewhere: that ends whatever went elsewhere and is not there yet. Gives a number
    that tells whether it is itself overtaken. */
export function jump() {
  overtake();
  following = false;
  wanted = "";
  return jumps;
}

function overtake() {
  showing?.abort();
  jumps += 1;
}
export const isOvertaken = (number) => number !== jumps;

/** Have other turns here, instead of those that are. Fails if others are asked for meanwhile. */
export async function show(query) {
  showing?.abort();
  const { signal } = (showing = new AbortController());
  const made = await patiently(part(query, signal));
  signal.throwIfAborted();
  box.replaceChildren(made);
  changed();
}

/** Go to a turn, wherever it is: to its heading. */
export async function toTurn(turn) {
  jump();
  try {
    if (!find(turn)?.querySelector('[data-chunk="0"]')) await show(`from=${encodeURIComponent(turn)}`);
    toHeading(find(turn));
  } catch (error) {
    fail(error);
  }
}

function toHeading(article) {
  if (!article) return;
  bring(article.querySelector("h2"));
  nameOf(article).focus({ preventScroll: true });
}

/** Bring a part of what is here to the top. */
export function bring(element) {
  jump();
  element.scrollIntoView({ block: "start", behavior: "instant" });
  pin(element);
}

/** The turn before (-1) or behind (1) the one that one is at, or this one from within it; null if
    its heading is not here. */
function beside(by) {
  const every = articles();
  const here = every.indexOf(current());
  const within = here >= 0 && yOf(every[here].querySelector("h2")) < top() - 2;
  const found = every[by < 0 && within ? here : here + by];
  return by < 0 && found?.querySelector(".continued") ? null : (found ?? null);
}

/** Go to the heading of the next turn, or of the one before, or of this one from within it. */
export async function byPrompt(by) {
  const mine = jump();
  for (;;) {
    const found = beside(by);
    if (found) return toHeading(found);
    const more = box.querySelector(by > 0 ? ".later" : ".earlier");
    if (!more) break;
    if (!(await load(more.parentElement)) || isOvertaken(mine)) return;
  }
  if (by > 0) scrollToEnd();
  else scrollToBegin();
}

let lastY = 0;

/** Whether the end is what the reader looks at: it stays in view when something is added. */
export const follows = () => following && atLast();

export function scrollToEnd() {
  following = true;
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  pin(null);
}

function scrollToBegin() {
  scrollTo({ top: 0, behavior: "instant" });
  pin(articles()[0] ?? null);
}

export async function toEnd() {
  jump();
  try {
    if (!atLast()) await show("");
    scrollToEnd();
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
    changed();
  }
  if (wanted) toNumber(wanted);
}

export async function toBegin() {
  jump();
  if ("partial" in root.dataset) {
    wanted = "1";
    say("The beginning is still being read: it is shown when that is done.");
    return;
  }
  try {
    if (box.querySelector(".earlier")) await show("turn=1");
    scrollToBegin();
  } catch (error) {
    fail(error);
  }
}

export async function copyLink(article) {
  const link = nameOf(article);
  if (!link) return;
  try {
    await navigator.clipboard.writeText(link.href);
    say(`Copied a link to ${link.textContent.toLowerCase()}.`);
  } catch {
    history.replaceState(null, "", link.href);
    say("The browser does not let pages copy: the address of this turn is above.");
  }
}

async function toNumber(number) {
  jump();
  try {
    if (!document.getElementById(`turn-${number}`)) await show(`turn=${number}`);
    toHeading(document.getElementById(`turn-${number}`));
    return true;
  } catch (error) {
    fail(error);
    return false;
  }
}

const asked = (name) => new URLSearchParams(location.search).get(name);
const askedNumber = () => /^#turn-(\d{1,9})$/.exec(location.hash)?.[1] ?? asked("turn");

/** Go where the address says; false where that is nowhere (yet). */
async function toAddress() {
  const number = askedNumber();
  if (!number) return false;
  if (!("partial" in root.dataset)) return toNumber(number);
  wanted = number;
  return false;
}

/** Begin: where the address says, or else at the end. */
export async function start() {
  history.scrollRestoration = "manual";
  dress(box);
  startPlace();
  changed();
  box.addEventListener("click", (event) => {
    if (event.target.closest("h2 .link")) copyLink(event.target.closest("article"));
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
  addEventListener("popstate", () => {
    if (askedNumber()) toAddress();
    else if (asked("from")) toTurn(asked("from"));
    else toEnd(); // where the thread was opened
  });
  addEventListener("scroll", () => {
    if (scrollY > lastY && atEnd()) following = true;
    else if (scrollY < lastY - 1 && !atEnd()) following = false;
    lastY = scrollY;
  }, { passive: true });
  const there = await toAddress();
  document.addEventListener("threadkeep:elsewhere", overtake);
  if (there) return;
  if (asked("from") || asked("before")) toHeading(articles()[0]);
  else if (!root.dataset.find) scrollToEnd();
}

/** Load all of a block that is cut. */
export async function whole(link) {
  const block = link.closest(".block");
  const focused = link === document.activeElement;
  try {
    const answer = await fetchPart(link.href);
    if (!answer.ok) throw await trouble(answer);
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    dress(made.content);
    block.replaceChildren(made.content);
    if (focused) {
      block.tabIndex = -1;
      block.focus({ preventScroll: true });
    }
    document.dispatchEvent(new CustomEvent("threadkeep:turns"));
  } catch (error) {
    fail(error);
  }
}
