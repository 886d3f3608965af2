// A thread that is being written: what is added appears at its end.

import * as outline from "./outline.js";
import * as turns from "./turns.js";

const { root, box, url } = turns;
const notice = document.getElementById("reading");
const warnings = document.getElementById("warnings");
const end = document.getElementById("end");
const pill = document.getElementById("pill");
let known = Number(root.dataset.count);
let news = 0;
let renewing = false;
let again = false;
let rewritten = false;

function note(text, link = "") {
  notice.replaceChildren(text);
  notice.hidden = !text;
  if (!link) return;
  const made = document.createElement("a");
  made.href = url;
  made.textContent = link;
  notice.append(" ", made);
}

function tellNews(count) {
  news = count;
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
      old.replaceWith(each);
    } else chunk.insertBefore(each, place);
  }
  for (const gone of before.values()) gone.remove();
}

function add(made) {
  const fresh = [...made.querySelectorAll("article.turn")];
  const last = turns.articles().at(-1);
  if (last && fresh[0]?.dataset.turn === last.dataset.turn) {
    const same = fresh.shift();
    last.querySelector("h2").replaceWith(same.querySelector("h2"));
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
async function renewOnce() {
  const last = turns.articles().at(-1);
  if (!last) {
    if (await turns.show("")) turns.scrollToEnd();
    return;
  }
  if (!turns.atLast()) return;
  const spot = turns.spotOf(last.dataset.turn, last.querySelector(".chunk:last-child").dataset.chunk);
  const made = await turns.part(`from=${encodeURIComponent(spot)}`);
  if (turns.articles().at(-1) !== last || !turns.atLast()) return; // one is elsewhere by now
  const stays = turns.follows();
  const height = box.scrollHeight;
  turns.keepPlace(() => {
    add(made);
    turns.trim(false);
  });
  turns.watch();
  document.dispatchEvent(new CustomEvent("threadkeep:turns"));
  if (stays) turns.scrollToEnd();
  else if (box.scrollHeight > height + 4) pill.dataset.grown = "yes";
}

async function renew() {
  again = true;
  if (renewing) return;
  renewing = true;
  while (again) {
    again = false;
    try {
      await renewOnce();
    } catch (error) {
      if (error.status === 400 || error.status === 404) noteRewritten();
      else turns.fail(error);
    }
  }
  renewing = false;
  tellNews(news);
  turns.tellWhere();
  tellEnd();
}

function noteRewritten() {
  rewritten = true;
  note("This thread was rewritten: the turns on this page are not what they were.", "Load it again");
}

function onTurns({ data }) {
  const told = JSON.parse(data);
  const more = told.count - known;
  known = told.count;
  root.dataset.count = told.count;
  if (told.numbers) number(told.numbers);
  if (!told.partial && more < 0) noteRewritten();
  if (!told.partial && !rewritten) note("");
  warnings.replaceChildren(...told.warnings.map(warning));
  if (!told.partial && "partial" in root.dataset) turns.nowWhole();
  if (turns.follows()) news = 0;
  else if (!told.partial && !told.numbers) news += Math.max(more, 0);
  if (more || told.numbers || !told.partial) outline.refill();
  renew();
}

function warning(text) {
  const made = document.createElement("p");
  made.className = "warning";
  made.textContent = text;
  return made;
}

/** Give the turns their numbers, which are known when all of the thread has been read. */
function number(numbers) {
  for (const article of turns.articles()) {
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
  const live = turns.articles().at(-1)?.querySelector(".block:last-child > .note .name")?.textContent === "not finished";
  end.textContent = live && turns.atLast() ? "New messages appear here." : "";
}

function seenEnd() {
  if (!turns.atEnd() || !turns.atLast()) return;
  delete pill.dataset.grown;
  tellNews(0);
}

const GONE = "The file of this thread is gone. What is on this page is all there is.";
let source = null;
let lost = false;

/** Tell why the server refuses to tell of events, of which the browser says nothing. */
async function tellRefused() {
  try {
    const answer = await fetch(`${url}/outline`);
    if (answer.status === 404) note(GONE);
    else if (!answer.ok) note((await turns.trouble(answer)).message);
  } catch { /* it is told already */ }
}

/** Hear of what happens, while somebody sees the page: a browser keeps six such connections, and
    another page of ours would wait for one of them. */
function listen() {
  if (source) return;
  source = new EventSource(`${url}/events`);
  const on = (name, call) => source.addEventListener(name, call);
  on("open", () => {
    if (lost) note("");
    lost = false;
  });
  on("error", () => {
    if (!lost && notice.hidden) {
      note("threadkeep does not answer: this page is not kept up to date.");
      lost = true;
    }
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again
    source = null;
    tellRefused();
    setTimeout(() => { if (!document.hidden) listen(); }, 5000);
  });
  on("turns", onTurns);
  on("reading", ({ data }) => {
    const part = `${Math.round(JSON.parse(data).part * 100)} %`;
    note(`${turns.articles().length ? "The beginning is being read" : "This thread is being read for the first time"}: ${part}.`);
  });
  on("gone", () => note(GONE));
  on("back", () => note(""));
  on("archived", () => note("The thread was archived."));
  on("unarchived", () => note("The thread is no longer archived."));
  on("trouble", ({ data }) => note(JSON.parse(data).message));
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
