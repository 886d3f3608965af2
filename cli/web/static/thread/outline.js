// The turns at the side: filled in some at a time, with the one that is read marked.

import { fetchPart, say } from "/static/common.js";
import * as turns from "./turns.js";

const box = document.getElementById("outline");
const list = document.getElementById("turn-list");
const seen = new IntersectionObserver(
  (entries) => { for (const each of entries) if (each.isIntersecting) fill(each.target); },
  { root: box, rootMargin: "600px 0px" },
);
const SIZE = 200; // of a page, as the server has it
const ROW = 44; // pixels of a row that is not here yet
let marked = null;

const linkTo = (turn) => box.querySelector(`a[data-turn="${CSS.escape(turn)}"]`);

async function fetched(number) {
  const answer = await fetchPart(`${turns.url}/outline?page=${number}`);
  if (!answer.ok) throw await turns.trouble(answer);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  return made.content.querySelector(".page");
}

async function fill(place) {
  if (place.dataset.busy || !place.isConnected) return;
  place.dataset.busy = "yes";
  try {
    const made = await fetched(place.dataset.page);
    if (!place.isConnected) return; // refilled meanwhile
    keepFocus(() => place.replaceWith(made));
    renew(made);
  } catch {
    delete place.dataset.busy; // the turns tell of it
  }
  tag(turns.current());
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
  const count = Number(turns.root.dataset.count);
  const last = Math.max(Math.ceil(count / SIZE) - 1, 0);
  const made = await fetched(last);
  const here = box.querySelector(`.page[data-page="${last}"]`);
  const places = [];
  for (let at = 0; at < last; at += 1) places.push(box.querySelector(`.page[data-page="${at}"]`) ?? room(at));
  const top = box.scrollTop;
  keepFocus(() => list.replaceChildren(...places, made));
  box.scrollTop = top;
  for (const each of places) if (each.matches(".room")) seen.observe(each);
  renew(made);
  if (here) tag(turns.current());
  else mark(turns.current());
}

function room(number) {
  const made = document.createElement("div");
  made.className = "page room";
  made.dataset.page = number;
  made.style.minHeight = `${SIZE * ROW}px`;
  return made;
}

/** Mark the turn that is read, where it is in the list. */
function tag(article) {
  marked?.removeAttribute("aria-current");
  marked = article ? linkTo(article.dataset.turn) : null;
  marked?.setAttribute("aria-current", "location");
  turns.tellWhere();
}

/** Have it in view, too. */
async function mark(article) {
  if (!article) return;
  const number = Number(article.dataset.number);
  if (number && !linkTo(article.dataset.turn)) {
    const place = box.querySelector(`.room[data-page="${Math.floor((number - 1) / SIZE)}"]`);
    if (place) await fill(place);
  }
  if (turns.current() !== article) return;
  tag(article);
  if (!marked) return;
  const inside = box.getBoundingClientRect();
  const at = marked.getBoundingClientRect();
  if (at.top < inside.top + 20 || at.bottom > inside.bottom - 20)
    box.scrollTop += at.top - inside.top - inside.height / 2.5;
}

/** Go to the next failed command, or to the turn further on that has some. */
export async function byFailure(by) {
  const failed = () => [...turns.box.querySelectorAll(".part.failed")];
  const top = turns.topOfRead();
  const beside = () => {
    const ys = failed().map((each) => each.getBoundingClientRect().top);
    return by > 0 ? ys.findIndex((y) => y > top) : ys.findLastIndex((y) => y < top - 4);
  };
  let at = beside();
  if (at < 0) {
    const links = [...box.querySelectorAll("a")];
    const loaded = turns.articles().map((each) => linkTo(each.dataset.turn)).filter(Boolean);
    const edge = links.indexOf(by > 0 ? loaded.at(-1) : loaded[0]);
    const others = by > 0 ? links.slice(edge + 1) : links.slice(0, Math.max(edge, 0)).reverse();
    const next = others.find((each) => each.querySelector("em"));
    if (!next) return say(by > 0 ? "No command failed further on." : "No command failed before this.");
    await turns.toTurn(next.dataset.turn);
    const inTurn = failed().filter((each) => each.closest("article").dataset.turn === next.dataset.turn);
    at = inTurn.length ? failed().indexOf(by > 0 ? inTurn[0] : inTurn.at(-1)) : -1;
  }
  const part = failed()[at];
  if (!part) return;
  part.closest(".block").classList.add("shown");
  turns.goElsewhere();
  part.scrollIntoView({ block: "start", behavior: "instant" });
  turns.pin(part.closest("article"));
}

export function focus() {
  if (getComputedStyle(box).display === "none") box.showPopover();
  (marked ?? list.querySelector("a"))?.focus();
}

export function start() {
  turns.onHere(mark);
  box.addEventListener("toggle", () => mark(turns.current())); // it has a height now
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
  else if (Number(turns.root.dataset.count)) refill();
}
