// A search in the thread: the server finds, the page steps through what is found and marks it.

import { patiently, say } from "/static/common.js";
import { inTurn } from "/static/keys.js";
import { articles, box, current, pin, root } from "./place.js";
import * as turns from "./turns.js";

const form = document.getElementById("find");
const field = form.querySelector("input");
const output = document.getElementById("tally");
const panel = document.getElementById("found");
const MOST_RANGES = 3000;
let places = [];
let listed = null; // the places that the panel has
let pattern = null;
let at = -1;
let done = true;
let read = null;
let running = null;

export function focus() {
  field.focus({ preventScroll: true });
  field.select();
}

function order(one, other) {
  for (let each = 0; each < 3; each += 1)
    if (one.order[each] !== other.order[each]) return one.order[each] - other.order[each];
  return 0;
}

function patternOf(terms) {
  const quoted = (piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const each = terms.map((pieces) => pieces.map(quoted).join("\\s+"));
  return new RegExp(each.join("|"), "giu");
}

async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done: end } = await reader.read();
    if (end) break;
    const all = (rest + value).split("\n");
    rest = all.pop();
    for (const line of all) yield JSON.parse(line);
  }
}

/** Search, until the first match is shown or there is none; the others come in meanwhile and later. */
const search = (text, options = {}) => new Promise((shown) => { receive(text, options, shown).finally(shown); });

async function receive(text, { words = false, start = null }, shown) {
  running?.abort();
  const mine = (running = new AbortController());
  places = [];
  at = -1;
  done = false;
  read = null;
  pattern = null;
  let gone = false;
  tell();
  const query = new URLSearchParams({ q: text, stream: "1" });
  if (words) query.set("words", "1");
  const here = current()?.dataset.turn;
  if (here) query.set("near", here);
  try {
    const answer = await patiently(fetch(`${turns.url}/search?${query}`, { signal: mine.signal }));
    if (!answer.ok) throw await turns.trouble(answer);
    for await (const part of lines(answer)) {
      mine.signal.throwIfAborted();
      if (part.error) throw Object.assign(new Error(part.error), { status: 500 });
      if (part.terms) pattern = patternOf(part.terms);
      read = part.read ?? null;
      if (part.places?.length) {
        const held = places[at];
        places = [...places, ...part.places].sort(order);
        at = held ? places.indexOf(held) : -1;
      }
      if (part.done) done = true;
      if (!gone && places.length && (done || (!words && !start))) {
        gone = true;
        await to(first({ words, start }));
        shown();
      }
      tell();
    }
  } catch (error) {
    if (!mine.signal.aborted) turns.fail(error);
  }
  if (mine.signal.aborted) return;
  done = true;
  tell();
  paint();
}

/** Which match one is brought to: the best one of a search in the list, else the next one. */
function first({ words, start }) {
  if (start) {
    const known = places.findIndex((each) => each.turn === start.turn && each.block === start.block);
    if (known >= 0) return known;
  }
  if (words) {
    const most = Math.max(...places.map((each) => each.terms));
    return places.findIndex((each) => each.terms === most);
  }
  const here = Number(current()?.dataset.number ?? 0);
  const after = places.findIndex((each) => each.number >= here);
  return after >= 0 ? after : places.length - 1;
}

function tell() {
  const count = places.length.toLocaleString("en");
  if (!field.value.trim() || (!pattern && done)) output.textContent = "";
  else if (!places.length) output.textContent = done ? "none" : read === null ? "…" : `${Math.round(read * 100)} %`;
  else output.textContent = `${at + 1} / ${count}${done ? "" : "+"}`;
  fillPanel();
}

function fillPanel() {
  panel.hidden = !places.length;
  if (panel.hidden) return;
  if (listed !== places) {
    listed = places;
    const head = document.createElement("header");
    const close = document.createElement("button");
    close.type = "button";
    close.className = "quiet";
    close.textContent = "✕";
    close.setAttribute("aria-label", "Close the matches");
    close.addEventListener("click", stop);
    const title = document.createElement("span");
    const focused = panel.contains(document.activeElement);
    title.textContent = `${places.length.toLocaleString("en")} ${places.length === 1 ? "message" : "messages"}`;
    head.append(title, close);
    const list = document.createElement("ol");
    list.className = "hits";
    places.slice(0, 300).forEach((place) => list.append(row(place)));
    panel.replaceChildren(head, list);
    if (focused) (list.querySelectorAll("button")[at] ?? close).focus({ preventScroll: true });
  }
  panel.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const here = panel.querySelectorAll("li > button")[at];
  here?.setAttribute("aria-current", "true");
  here?.scrollIntoView({ block: "nearest" });
}

function row(place) {
  const item = document.createElement("li");
  const go = document.createElement("button");
  go.type = "button";
  const number = document.createElement("b");
  number.textContent = place.number || "·";
  go.append(number, " ");
  for (const [text, marked] of place.line) {
    const piece = document.createElement(marked ? "mark" : "span");
    piece.textContent = text;
    go.append(piece);
  }
  go.addEventListener("click", () => to(places.indexOf(place)));
  item.append(go);
  return item;
}

function blockOf(place) {
  return box.querySelector(
    `article[data-turn="${CSS.escape(place.turn)}"] .block[data-block="${CSS.escape(place.block)}"]`,
  );
}

/** The ranges in a block that match, also across elements. */
function rangesIn(block) {
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  const nodes = [];
  let text = "";
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest(".copy, [aria-hidden]")) continue;
    nodes.push([text.length, node]);
    text += node.data;
  }
  const found = [];
  const point = (offset, end) => {
    let low = 0;
    for (let high = nodes.length; high - low > 1;) {
      const middle = (low + high) >> 1;
      if (nodes[middle][0] < offset || (!end && nodes[middle][0] === offset)) low = middle;
      else high = middle;
    }
    return [nodes[low][1], offset - nodes[low][0]];
  };
  for (const match of text.matchAll(pattern)) {
    if (!match[0]) continue;
    const range = new Range();
    range.setStart(...point(match.index, false));
    range.setEnd(...point(match.index + match[0].length, true));
    found.push(range);
    if (found.length > MOST_RANGES) break;
  }
  return found;
}

function paint() {
  if (!("highlights" in CSS)) return;
  CSS.highlights.delete("found");
  if (!pattern) return;
  const all = new Highlight();
  const wanted = new Set(places.map((each) => `${each.turn} ${each.block}`));
  for (const block of wanted.size ? box.querySelectorAll(".block") : []) {
    if (!wanted.has(`${block.closest("article").dataset.turn} ${block.dataset.block}`)) continue;
    for (const range of rangesIn(block)) all.add(range);
    if (all.size > MOST_RANGES) break;
  }
  CSS.highlights.set("found", all);
}

async function to(number) {
  const place = places[number];
  if (!place) return;
  at = number;
  const mine = turns.jump();
  const overtaken = () => turns.isOvertaken(mine) || !places.includes(place);
  try {
    if (!blockOf(place)) await turns.show(`from=${encodeURIComponent(place.spot)}`);
    const block = blockOf(place);
    if (!block || overtaken()) return;
    for (const each of document.querySelectorAll(".block.hit")) each.classList.remove("hit");
    block.classList.add("hit", "shown");
    let ranges = rangesIn(block);
    const cut = block.querySelector(".more a");
    if (!ranges.length && cut) {
      await turns.whole(cut);
      if (overtaken()) return;
      ranges = rangesIn(block);
    }
    for (const each of block.querySelectorAll("details"))
      if (!ranges.length || ranges.some((range) => each.contains(range.startContainer))) each.open = true;
    scrollToMatch(block, ranges[0]);
    pin(block);
    if ("highlights" in CSS && ranges.length) {
      const marked = new Highlight(ranges[0]);
      marked.priority = 1;
      CSS.highlights.set("here", marked);
    }
  } catch (error) {
    turns.fail(error);
  }
  tell();
  paint();
}

function scrollToMatch(block, range) {
  const inner = range?.startContainer.parentElement.closest("pre");
  if (inner && inner.scrollHeight > inner.clientHeight)
    inner.scrollTop += range.getBoundingClientRect().top - inner.getBoundingClientRect().top - inner.clientHeight / 3;
  const y = (range ?? block).getBoundingClientRect().top;
  scrollBy({ top: y - innerHeight * 0.33, behavior: "instant" });
}

export function step(by) {
  if (!pattern) {
    if (field.value.trim()) return search(field.value);
    say("Nothing is searched for: / finds a text.");
    return;
  }
  if (!places.length) {
    say(done ? "No match." : "No match so far.");
    return;
  }
  const next = at + by;
  if (next >= places.length && done) say("From the beginning again.");
  if (next < 0) say("From the end again.");
  return to((next + places.length) % places.length);
}

function stop() {
  running?.abort();
  places = [];
  pattern = null;
  done = true;
  at = -1;
  if ("highlights" in CSS) CSS.highlights.clear();
  for (const each of document.querySelectorAll(".block.hit")) each.classList.remove("hit");
  field.value = "";
  tell();
}

export function start() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) {
      field.blur();
      inTurn(() => search(field.value));
    }
  });
  field.addEventListener("search", () => { if (!field.value) stop(); });
  for (const each of form.querySelectorAll("[data-step]"))
    each.addEventListener("click", () => inTurn(() => step(Number(each.dataset.step))));
  let soon = 0;
  document.addEventListener("threadkeep:turns", () => {
    clearTimeout(soon);
    soon = setTimeout(paint, 100);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && pattern && !event.target.closest("input, dialog, [popover]")) stop();
  });
  const { find, hit, hitAt } = root.dataset;
  if (find) return search(find, { words: true, start: hit ? { turn: hitAt, block: hit } : null });
}
