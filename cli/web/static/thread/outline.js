// The turns at the side: filled in some at a time, with the one that is read marked.

import { fetchPart, say } from "/static/common.js";
import * as place from "./place.js";
import * as turns from "./turns.js";

const box = document.getElementById("outline");
const list = document.getElementById("turn-list");
const seen = new IntersectionObserver(
  (entries) => { for (const each of entries) if (each.isIntersecting) fill(each.target); },
  { root: box, rootMargin: "600px 0px" },
);
const SIZE = 200; // of a page, as the server has it
const ROW = 44; // pixels of a row that is not here yet
const MOST = 20; // pages that are here
let marked = null;

const linkTo = (turn) => box.querySelector(`a[data-turn="${CSS.escape(turn)}"]`);

async function fetched(number) {
  const answer = await fetchPart(`${turns.url}/outline?page=${number}`);
  if (!answer.ok) throw await turns.trouble(answer);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  return made.content.querySelector(".page");
}

const filling = new WeakMap();

/** Have a page of the list here, asked for once by all who want it meanwhile. */
function fill(old) {
  if (!filling.has(old)) filling.set(old, filled(old).finally(() => filling.delete(old)));
  return filling.get(old);
}

async function filled(old) {
  if (!old.isConnected) return;
  try {
    const made = await fetched(old.dataset.page);
    if (!old.isConnected) return; // refilled meanwhile
    keepFocus(() => old.replaceWith(made));
    renew(made);
    letGo(made);
  } catch {
    renew(old); // the turns tell of it
  }
  tag(place.current());
}

/** Keep room only for pages that are far from what is seen. */
function letGo(fresh) {
  const here = [...list.querySelectorAll(".page:not(.room)")];
  const middle = box.getBoundingClientRect().top + box.clientHeight / 2;
  const far = (page) => {
    const { top, bottom } = page.getBoundingClientRect();
    return Math.max(top - middle, middle - bottom);
  };
  const used = (page) => page === fresh || page.contains(marked) || page.contains(document.activeElement);
  const order = here.map((page) => [far(page), page]).sort(([one], [other]) => one - other);
  for (const [, page] of order.slice(MOST)) {
    if (used(page)) continue;
    const made = room(page.dataset.page, page.offsetHeight);
    page.replaceWith(made);
    seen.observe(made);
  }
}

/** What came of the turns is asked for again as long as it is not known. */
function renew(page) {
  if ("unfinished" in page.dataset) setTimeout(() => fill(page), 3000);
}

/** Change the list while somebody may step through it. */
function keepFocus(change) {
  const turn = list.contains(document.activeElement) && document.activeElement.dataset.turn;
  change();
  if (turn) linkTo(turn)?.focus({ preventScroll: true });
}

let refilling = false;
let again = false;

/** Have room for all pages, and what is in those that are seen. */
export async function refill() {
  again = true;
  if (refilling) return;
  refilling = true;
  while (again) {
    again = false;
    try {
      await refillOnce();
    } catch { /* the turns tell of it */ }
  }
  refilling = false;
}

async function refillOnce() {
  const count = Number(place.root.dataset.count);
  const last = Math.max(Math.ceil(count / SIZE) - 1, 0);
  const made = await fetched(last);
  const here = box.querySelector(`.page[data-page="${last}"]`);
  const places = [];
  for (let at = 0; at < last; at += 1) places.push(box.querySelector(`.page[data-page="${at}"]`) ?? room(at));
  const top = box.scrollTop;
  keepFocus(() => list.replaceChildren(...places, made));
  box.scrollTop = top;
  for (const each of places.filter((one) => one.matches(".room"))) {
    seen.unobserve(each); // so that it is told again of one that could not be filled
    seen.observe(each);
  }
  renew(made);
  if (here) tag(place.current());
  else mark(place.current());
}

function room(number, height = SIZE * ROW) {
  const made = document.createElement("div");
  made.className = "page room";
  made.dataset.page = number;
  made.style.minHeight = `${height}px`;
  return made;
}

/** Mark the turn that is read, where it is in the list. */
function tag(article) {
  marked?.removeAttribute("aria-current");
  marked = article ? linkTo(article.dataset.turn) : null;
  marked?.setAttribute("aria-current", "location");
  place.tellWhere();
}

/** Have it in view, too. */
async function mark(article) {
  if (!article) return;
  const number = Number(article.dataset.number);
  if (number && !linkTo(article.dataset.turn)) {
    const found = box.querySelector(`.room[data-page="${Math.floor((number - 1) / SIZE)}"]`);
    if (found) await fill(found);
  }
  if (place.current() !== article) return;
  tag(article);
  if (!marked) return;
  const inside = box.getBoundingClientRect();
  const at = marked.getBoundingClientRect();
  if (at.top < inside.top + 20 || at.bottom > inside.bottom - 20)
    box.scrollTop += at.top - inside.top - inside.height / 2.5;
}

const failed = () => [...place.box.querySelectorAll(".part.failed")];

/** The failed command next to where one is, of those that are here. */
function failedHere(by) {
  const every = failed();
  const at = every.indexOf(place.target());
  if (at >= 0) return every[at + by];
  const top = place.top();
  const is = by > 0 ? (each) => place.yOf(each) > top + 2 : (each) => place.yOf(each) < top - 2;
  return by > 0 ? every.find(is) : every.findLast(is);
}

/** The link to the next turn with a failed command, beyond those that are here; null if there is
    none, and undefined if that is not known yet. */
async function failedBeyond(by, overtaken) {
  const loaded = place.articles().map((each) => linkTo(each.dataset.turn)).filter(Boolean);
  const edge = loaded.at(by > 0 ? -1 : 0);
  if (!edge) return undefined;
  let unknown = false;
  let number = Number(edge.closest(".page").dataset.page);
  for (;; number += by) {
    const find = () => list.querySelector(`.page[data-page="${number}"]`);
    if (find()?.matches(".room")) await fill(find());
    const page = find();
    if (overtaken()) return undefined;
    if (!page) return unknown ? undefined : null;
    unknown ||= page.matches(".room, [data-unfinished]");
    let links = [...page.querySelectorAll("a")];
    if (by < 0) links.reverse();
    if (page.contains(edge)) links = links.slice(links.indexOf(edge) + 1);
    const found = links.find((each) => each.querySelector("em"));
    if (found) return found;
  }
}

/** Go to the next failed command, or to the turn further on that has some. */
export async function byFailure(by) {
  const mine = turns.jump();
  let part = failedHere(by);
  if (!part) {
    const link = await failedBeyond(by, () => turns.isOvertaken(mine));
    if (turns.isOvertaken(mine)) return;
    if (link === undefined) return say("It is not known yet which commands failed: try again soon.");
    if (!link) return say(by > 0 ? "No command failed further on." : "No command failed before this.");
    const { turn } = link.dataset;
    await turns.toTurn(turn);
    part = failed().filter((each) => each.closest("article").dataset.turn === turn).at(by > 0 ? 0 : -1);
    if (!part || place.current()?.dataset.turn !== turn) return;
  }
  part.closest(".block").classList.add("shown");
  turns.bring(part);
}

export function focus() {
  if (getComputedStyle(box).display === "none") box.showPopover();
  (marked ?? list.querySelector("a"))?.focus();
}

export function start() {
  place.onHere(mark);
  new ResizeObserver(() => mark(place.current())).observe(box); // a drawer has no height at first
  box.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (box.matches(":popover-open") && getComputedStyle(box).position === "fixed") box.hidePopover();
    history.pushState(null, "", link.href);
    turns.toTurn(link.dataset.turn);
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const links = [...box.querySelectorAll("a")];
    links[links.indexOf(document.activeElement) + by]?.focus();
  });
  const page = box.querySelector(".page");
  if (page) renew(page);
  else if (Number(place.root.dataset.count)) refill();
}
