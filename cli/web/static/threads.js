// The list of threads: it follows the box as one types, goes on as one scrolls, and tells of changes.

import { NO_ANSWER, fetchPart, patiently, refreshTimes, say } from "/static/common.js";
import { keys } from "/static/keys.js";

const PAUSE_MS = 180;
const SAME_STEP_MS = 3000; // what is typed without a longer pause is one step of the history
const MOST_PARTS = 20;

const box = document.getElementById("search");
const list = document.getElementById("list");
const told = document.getElementById("told");
let shown = new URL(location.href); // the address of what the list shows
let asking = null;
let typed = 0;
let timer = 0;

const rows = () => [...document.querySelectorAll("#rows > .row")];
const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

function addressOf(text) {
  const address = new URL(shown);
  address.searchParams.delete("cursor");
  if (text.trim()) address.searchParams.set("q", text.trim());
  else address.searchParams.delete("q");
  return address;
}

function partOf(address) {
  const part = new URL(address);
  part.pathname = "/threads";
  return part;
}

/** Show the list of an address. What was asked before is forgotten. */
async function show(address, { announced = true } = {}) {
  clearTimeout(timer);
  asking?.abort();
  const own = (asking = new AbortController());
  list.ariaBusy = "true";
  shown = new URL(address);
  try {
    const answer = await patiently(fetchPart(partOf(address), { signal: own.signal }));
    const found = parsed(await answer.text());
    if (answer.status === 401) return location.reload(); // the server was started again
    if (answer.ok) {
      put(found);
      if (announced) told.textContent = document.getElementById("count")?.innerText ?? "";
    } else list.replaceChildren(...found.body.children);
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (!list.classList.contains("stale")) say(NO_ANSWER, { bad: true });
    list.classList.add("stale");
  }
  if (asking === own) asking = null;
  list.ariaBusy = "false";
  return true;
}

function put(found) {
  list.classList.remove("stale");
  const focused = document.activeElement;
  for (const part of found.querySelectorAll("[data-part]")) {
    const place = document.getElementById(part.dataset.part);
    place?.replaceChildren(...part.childNodes);
  }
  if (!focused.isConnected) refocus(nameOf(focused));
  const text = shown.searchParams.get("q");
  document.title = `${text ? `${text} · ` : ""}Threads · threadkeep`;
  watchEnd();
}

const nameOf = (link) => (link.querySelector(".clip") ?? link).textContent.trim();

/** Have the focus on the link of this name again, or else at the list. */
function refocus(name) {
  const links = [...document.querySelectorAll(":is(#sides, #list) a.filter")];
  const same = links.find((each) => nameOf(each) === name);
  (same ?? document.getElementById("main")).focus({ preventScroll: true });
}

function go(address) {
  if (address.href === location.href) return show(address);
  history.pushState({}, "", address);
  box.value = address.searchParams.get("q") ?? "";
  scrollTo(0, 0);
  return show(address);
}

// The box

box.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(type, PAUSE_MS);
});

box.addEventListener("search", type); // Escape, or the cross in the box, clears it

function type() {
  clearTimeout(timer);
  const address = addressOf(box.value);
  if (address.href === shown.href) return;
  const goesOn = history.state?.typed && Date.now() - typed < SAME_STEP_MS;
  typed = Date.now();
  history[goesOn ? "replaceState" : "pushState"]({ typed: true }, "", address);
  scrollTo(0, 0);
  show(address);
}

box.form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  const address = addressOf(box.value);
  if (address.href !== location.href) history.pushState({}, "", address);
  show(address);
});

box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && !event.isComposing && box.ariaExpanded !== "true" && rows().length) {
    event.preventDefault();
    focus(rows()[0]);
  }
});

addEventListener("popstate", async () => {
  box.value = new URL(location.href).searchParams.get("q") ?? "";
  await show(location.href);
  restore();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.filter");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  document.querySelector(".side:popover-open")?.hidePopover();
  go(new URL(link.href));
});

// More threads as one scrolls

let coming = null;
const end = new IntersectionObserver((seen) => {
  if (seen.some((each) => each.isIntersecting)) more();
}, { rootMargin: "900px" });

function watchEnd() {
  end.disconnect();
  const last = document.querySelector("#rows > .more");
  if (last) end.observe(last);
}

/** Put the next part behind the list. Gives whether there was one. */
function more() {
  coming ??= fetchMore().finally(() => { coming = null; });
  return coming;
}

async function fetchMore() {
  const last = document.querySelector("#rows > .more");
  if (!last) return false;
  end.disconnect();
  const address = shown.href;
  try {
    const answer = await fetchPart(last.firstElementChild.dataset.part);
    if (!answer.ok || shown.href !== address) return false; // the link is there, and tells why
    const known = new Set(rows().map((row) => row.id));
    const found = [...parsed(await answer.text()).body.children];
    if (!last.isConnected) return false;
    last.replaceWith(...found.filter((row) => !known.has(row.id)));
  } catch {
    return false;
  }
  watchEnd();
  return true;
}

// Keys

const linkOf = (row) => row?.querySelector(".title a");
const current = () => document.activeElement?.closest("#rows > .row");

function focus(row) {
  linkOf(row)?.focus();
  row?.scrollIntoView({ block: "nearest" });
}

async function step(by, isOvertaken) {
  const all = rows();
  const at = all.indexOf(current());
  if (at < 0) return focus(all.find((row) => row.getBoundingClientRect().bottom > 80) ?? all[0]);
  if (by < 0 && !at) return box.focus();
  if (at + by === all.length) await more();
  if (isOvertaken()) return;
  focus(rows()[at + by]);
}

keys("The list", [
  { keys: ["j", "ArrowDown"], what: "Next thread", inTurn: true, run: (isOvertaken) => step(1, isOvertaken) },
  { keys: ["k", "ArrowUp"], what: "Previous thread", inTurn: true, run: (isOvertaken) => step(-1, isOvertaken) },
  { keys: ["Enter"], what: "Open the thread" },
  ...(document.querySelector("[data-change]")
    ? [{ keys: ["c"], what: "Change the thread", inTurn: true, run: () => current()?.querySelector("[data-change]")?.click() }]
    : []),
]);

// Come back to where one was

addEventListener("pagehide", () => {
  const row = current() ?? rows().find((each) => each.getBoundingClientRect().bottom > 80);
  if (row) history.replaceState({ ...history.state, row: row.id, top: row.getBoundingClientRect().top }, "");
});

async function restore() {
  const { row, top } = history.state ?? {};
  if (!row) return;
  for (let part = 0; part < MOST_PARTS && !document.getElementById(row); part++)
    if (!(await more())) return;
  const place = document.getElementById(row);
  scrollBy(0, place.getBoundingClientRect().top - top);
  if (document.activeElement === document.body) linkOf(place)?.focus({ preventScroll: true });
}

// What changes meanwhile: rows are renewed where they are; what would move them is told first.

const RENEWED_MS = 3000; // at most so often: a thread that is being written changes all the time

let following = null;
let renewing = 0;
let renewed = 0;

function follow() {
  if (following) return;
  following = new EventSource(list.dataset.events);
  following.addEventListener("changed", renewSoon);
  following.addEventListener("error", () => {
    if (following?.readyState !== EventSource.CLOSED) return; // the browser tries again
    following = null;
    setTimeout(() => { if (!document.hidden) follow(); }, 5000);
  });
}

function renewSoon() {
  clearTimeout(renewing);
  renewing = setTimeout(renew, Math.max(300, renewed + RENEWED_MS - Date.now()));
}

async function renew() {
  if (document.hidden || shown.searchParams.has("cursor")) return;
  if (asking) return renewSoon(); // the answer that is waited for may be older than the change
  const address = shown.href;
  renewed = Date.now();
  let found;
  try {
    const answer = await fetchPart(partOf(address));
    if (!answer.ok) return;
    found = parsed(await answer.text());
  } catch {
    return;
  }
  if (asking || shown.href !== address) return;
  const old = rows();
  const fresh = [...found.querySelectorAll("#rows > .row")];
  if (!old.length || !fresh.length) return put(found);
  tell(changes(old, fresh));
  for (const row of fresh) renewRow(row);
  lengthen(old, fresh, found.querySelector("#rows > .more"));
  for (const part of ["sides", "count"]) {
    const place = document.getElementById(part);
    const now = found.querySelector(`[data-part="${part}"], #${part}`);
    if (place && now && !place.contains(document.activeElement) && place.innerHTML !== now.innerHTML)
      place.replaceChildren(...now.childNodes);
  }
  refreshTimes();
}

/** Put a newer row in the place of the one of the same thread. */
function renewRow(row) {
  const place = document.getElementById(row.id);
  if (!place || place.dataset.version === row.dataset.version) return;
  const focused = place.contains(document.activeElement) && document.activeElement;
  const now = row.cloneNode(true);
  // What was said stays: the row of one thread alone has nothing that was searched for.
  if (!now.querySelector(".said :is(.who, .file)"))
    now.querySelector(".facts").before(...place.querySelectorAll(".said:has(.who, .file)"));
  place.replaceWith(now);
  if (focused) (focused.matches("[data-change]") ? now.querySelector("[data-change]") : linkOf(now)).focus({ preventScroll: true });
}

document.addEventListener("threadkeep:changed", async (event) => {
  event.preventDefault();
  const part = partOf(shown);
  part.searchParams.delete("cursor");
  part.searchParams.set("only", event.detail.id);
  const answer = await fetchPart(part).catch(() => ({ ok: false })); // renewing tells of it
  if (answer.ok) for (const row of parsed(await answer.text()).querySelectorAll(".row")) renewRow(row);
  renew();
});

/** How many threads are new at the beginning of a list, have moved up, or have gone from there. */
function changes(old, fresh) {
  const places = new Map(old.map((row, at) => [row.id, at]));
  let lowest = Infinity;
  let count = 0;
  for (const row of [...fresh].reverse()) {
    const at = places.get(row.id) ?? -1;
    if (at >= 0 && at < lowest) lowest = at;
    else if (at >= 0 || lowest < Infinity) count++; // what is only behind the others was not seen
  }
  const still = new Set(fresh.map((row) => row.id));
  const last = Math.max(...fresh.map((row) => places.get(row.id) ?? -1));
  return count + old.slice(0, last + 1).filter((row) => !still.has(row.id)).length;
}

/** Put behind a list that was whole what is there by now: an index is filled from the newest. */
function lengthen(old, fresh, end) {
  const last = fresh.findIndex((row) => row.id === old.at(-1).id);
  if (last < 0 || document.querySelector("#rows > .more")) return;
  const behind = fresh.slice(last + 1).filter((row) => !document.getElementById(row.id));
  document.getElementById("rows").append(...behind, ...(end ? [end] : []));
  watchEnd();
}

function tell(count) {
  const news = document.getElementById("news");
  if (!news) return;
  if (!count) {
    news.hidden = true;
    return;
  }
  const text = `${count} ${count === 1 ? "thread has" : "threads have"} changed: show`;
  if (news.hidden) told.textContent = `${text}.`;
  news.hidden = false;
  news.firstElementChild.textContent = text;
}

document.addEventListener("click", async (event) => {
  if (!event.target.closest?.("#news button")) return;
  scrollTo(0, 0);
  await show(shown, { announced: false });
  focus(rows()[0]);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    following?.close(); // a browser keeps few of them open
    following = null;
  } else {
    follow();
    renewSoon();
  }
});
document.addEventListener("threadkeep:complete", renewSoon);
setInterval(() => {
  if (!document.getElementById("incomplete")?.hidden) renew();
}, 3000);

follow();
watchEnd();
restore();
