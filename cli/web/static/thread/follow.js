// A thread that is being written: what is added appears at its end.

import * as outline from "./outline.js";
import { articles, atEnd, atLast, box, root, tellWhere } from "./place.js";
import * as turns from "./turns.js";

const { url } = turns;
const notice = document.getElementById("reading");
const warnings = document.getElementById("warnings");
const end = document.getElementById("end");
const pill = document.getElementById("pill");
const GRAVEST = ["gone", "rewritten", "silent", "trouble", "archived", "reading"];
const notes = new Map();
let known = Number(root.dataset.count);
let seen = known; // turns that there were when the end was seen
let lastTold = ""; // the last turn, as it was told
let renewing = false;
let again = false;

/** Say something about the thread, until it is so no more (""): the gravest such thing is shown. */
function note(kind, text) {
  if (text) notes.set(kind, text);
  else notes.delete(kind);
  const shown = GRAVEST.find((each) => notes.has(each));
  const said = notes.get(shown) ?? "";
  if (notice.textContent.trim() === said && notice.hidden === !said) return;
  notice.replaceChildren(said);
  notice.hidden = !said;
  if (shown !== "rewritten") return;
  const link = document.createElement("a");
  link.href = url;
  link.textContent = "Load it again";
  notice.append(" ", link);
}

function tellNews() {
  const count = Math.max(known - seen, 0);
  pill.hidden = !count && !pill.dataset.grown;
  pill.textContent = count ? `${count.toLocaleString("en")} new ${count === 1 ? "turn" : "turns"} ↓` : "More below ↓";
}

/** Put the blocks of a chunk that are new or have changed into the one that is here. */
function merge(chunk, fresh) {
  const before = new Map([...chunk.children].map((each) => [each.dataset.block, each]));
  let place = chunk.firstElementChild;
  for (const each of [...fresh.children]) {
    const old = before.get(each.dataset.block);
    before.delete(each.dataset.block);
    if (old && old.dataset.state === each.dataset.state) {
      if (old === place) place = place.nextElementSibling;
      else chunk.insertBefore(old, place);
      continue;
    }
    const unfolded = [...(old?.querySelectorAll("details") ?? [])].map((one) => one.open);
    [...each.querySelectorAll("details")].forEach((one, at) => { if (at in unfolded) one.open = unfolded[at]; });
    if (old) {
      if (old === place) place = place.nextElementSibling;
      turns.swap(old, each);
    } else chunk.insertBefore(each, place);
  }
  for (const gone of before.values()) gone.remove();
}

function add(made) {
  const fresh = [...made.querySelectorAll("article.turn")];
  const last = articles().at(-1);
  if (last && fresh[0]?.dataset.turn === last.dataset.turn) {
    const same = fresh.shift();
    const [old, heading] = [last, same].map((each) => each.querySelector("h2"));
    if (!old.isEqualNode(heading)) turns.swap(old, heading);
    for (const chunk of [...same.querySelectorAll(".chunk")]) {
      const here = last.querySelector(`.chunk[data-chunk="${chunk.dataset.chunk}"]`);
      if (here) merge(here, chunk);
      else last.append(chunk);
    }
  }
  box.append(...fresh, ...made.querySelectorAll(".load:has(.later)"));
  return fresh.length;
}

/** Have the end of the thread here as it is now, if its end is what is here. */
async function renew() {
  const last = articles().at(-1);
  if (!last) {
    await turns.show("");
    turns.scrollToEnd();
    return;
  }
  if (!atLast()) return;
  const spot = turns.spotOf(last.dataset.turn, last.querySelector(".chunk:last-child").dataset.chunk);
  const made = await turns.part(`from=${encodeURIComponent(spot)}`);
  if (articles().at(-1) !== last || !atLast()) { // somebody went elsewhere meanwhile
    again = true;
    return;
  }
  const stays = turns.follows();
  const height = box.scrollHeight;
  turns.keepPlace(() => {
    add(made);
    turns.trim(false);
  });
  turns.changed();
  if (stays) turns.scrollToEnd();
  else if (box.scrollHeight > height + 4) pill.dataset.grown = "yes";
}

const REWRITTEN = "This thread was rewritten: the turns on this page are not what they were.";

/** The page stays as it is, then: what it has and what there is do not go together. */
function isRewritten() {
  return notes.has("rewritten");
}

async function onTurns({ data }) {
  const told = JSON.parse(data);
  if (told.rewritten) note("rewritten", REWRITTEN);
  if (isRewritten()) return;
  const more = told.count - known;
  if (turns.follows()) seen = told.count;
  else if (told.numbers) seen += more; // those above are counted only now
  known = told.count;
  lastTold = told.last ?? "";
  root.dataset.count = told.count;
  if (told.numbers) number(told.numbers);
  note("trouble", "");
  if (!told.partial) note("reading", "");
  warnings.replaceChildren(...told.warnings.map(warning));
  await renewAll();
  if (isRewritten()) return;
  if (!told.partial && "partial" in root.dataset) turns.nowWhole();
  tellNews();
  if (more || told.numbers || !told.partial) outline.refill();
  tellWhere();
  tellEnd();
}

async function renewAll() {
  again = true;
  if (renewing) return;
  renewing = true;
  while (again && !isRewritten()) {
    again = false;
    try {
      await renew();
    } catch (error) {
      if (error.status === 400 || error.status === 404) note("rewritten", REWRITTEN);
      else turns.fail(error);
    }
  }
  renewing = false;
}

function warning(text) {
  const made = document.createElement("p");
  made.className = "warning";
  made.textContent = text;
  return made;
}

/** Give the turns their numbers, which are known when all of the thread has been read. */
function number(numbers) {
  for (const article of articles()) {
    const found = numbers[article.dataset.turn];
    if (!found || article.dataset.number) continue;
    article.dataset.number = found;
    if (!article.querySelector(".continued")) article.id = `turn-${found}`;
    const link = article.querySelector("h2 .name");
    link.textContent = `Turn ${found}`;
    link.href = `${url}?turn=${found}#turn-${found}`;
  }
}

function tellEnd() {
  const live = articles().at(-1)?.querySelector(".block:last-child > .note .name")?.textContent === "not finished";
  end.textContent = live && atLast() && !("copyOfFleet" in root.dataset) ? "New messages appear here." : "";
}

function seenEnd() {
  if (!atEnd() || !atLast()) return;
  delete pill.dataset.grown;
  seen = known;
  tellNews();
}

const GONE = "The file of this thread is gone. What is on this page is all there is.";
let source = null;

/** Tell why the server refuses to tell of events, of which the browser says nothing. */
async function tellRefused() {
  try {
    const answer = await fetch(`${url}/outline`);
    note("silent", "");
    if (answer.status === 404) note("gone", GONE);
    else if (!answer.ok) note("trouble", (await turns.trouble(answer)).message);
  } catch { /* it is told already */ }
}

/** Hear of what happens, while somebody sees the page: a browser keeps six such connections, and
    another page of ours would wait for one of them. */
function listen() {
  if (source) return;
  source = new EventSource(`${url}/events${lastTold && `?seen=${encodeURIComponent(lastTold)}`}`);
  const on = (name, call) => source.addEventListener(name, call);
  on("open", () => {
    note("silent", "");
    note("gone", "");
  });
  on("error", () => {
    if (!notes.has("gone")) note("silent", "threadkeep does not answer: this page is not kept up to date.");
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again
    source = null;
    tellRefused();
    setTimeout(() => { if (!document.hidden) listen(); }, 5000);
  });
  on("turns", onTurns);
  on("reading", ({ data }) => {
    const part = `${Math.round(JSON.parse(data).part * 100)} %`;
    note("reading", `${articles().length ? "The beginning is being read" : "This thread is being read for the first time"}: ${part}.`);
  });
  on("gone", () => note("gone", GONE));
  on("back", () => note("gone", ""));
  on("archived", () => note("archived", "The thread was archived."));
  on("unarchived", () => note("archived", "The thread is no longer archived."));
  on("trouble", ({ data }) => note("trouble", JSON.parse(data).message));
}

function quiet() {
  source?.close();
  source = null;
}

export function start() {
  pill.addEventListener("click", () => turns.toEnd().then(seenEnd));
  addEventListener("scroll", seenEnd, { passive: true });
  document.addEventListener("threadkeep:looks", ({ detail }) => {
    const stays = turns.follows();
    turns.keepPlace(detail);
    if (stays) turns.scrollToEnd();
  });
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) quiet();
    else listen();
  });
  addEventListener("pagehide", quiet);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  tellEnd();
}
