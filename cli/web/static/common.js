// What all pages share: messages, times that stay right, the switch of colours.

import { completing } from "/static/complete.js";
import { fillKeys, keys } from "/static/keys.js";

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

/** Tell the reader something, for some seconds. `undo` is called by a button of that name. */
export function say(text, { undo = null, bad = false } = {}) {
  const place = document.getElementById("messages");
  const message = document.createElement("div");
  message.className = bad ? "message bad" : "message";
  const words = document.createElement("span");
  words.textContent = text;
  message.append(words);
  const gone = () => message.remove();
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Undo";
    button.addEventListener("click", () => { gone(); undo(); });
    message.append(button);
  }
  while (place.children.length > 2) place.firstElementChild.remove();
  place.append(message);
  let timer = setTimeout(gone, bad || undo ? 12000 : 5000);
  message.addEventListener("pointerenter", () => clearTimeout(timer));
  message.addEventListener("focusin", () => clearTimeout(timer));
  message.addEventListener("pointerleave", () => { timer = setTimeout(gone, 4000); });
  return gone;
}

export const NO_ANSWER = "threadkeep does not answer: is it still running?";

/** Ask for a part of a page. Browsers say so by themselves, but not to other machines. */
export const fetchPart = (url, options = {}) => fetch(url, { headers: { Accept: "text/html" }, ...options });

/** Wait for something that the reader asked for, and say so if it takes long. */
export async function patiently(work) {
  const slow = setTimeout(() => say("threadkeep takes long to answer. Is it still running?"), 4000);
  try {
    return await work;
  } finally {
    clearTimeout(slow);
  }
}

/** Send a change. Gives the answer; null where it was refused, which the reader is told. */
export async function post(url, fields = {}) {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams({ ...fields, csrf }),
    });
    if (answer.ok) return answer;
    say(await told(answer), { bad: true });
  } catch {
    say(NO_ANSWER, { bad: true });
  }
  return null;
}

/** What an answer says that is none: why it was refused, and what to do. */
export async function told(answer) {
  const text = await answer.text();
  if (answer.headers.get("content-type")?.includes("json")) {
    const { message, hint } = JSON.parse(text).error ?? {};
    return [message, hint].filter(Boolean).join(" ");
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const lines = page.querySelectorAll(":is(.problem, main) > p:not(:has(a))");
  return [...lines].map((line) => line.textContent.trim()).join(" ") || `Refused (${answer.status}).`;
}

/** Open a dialog of the page; what it asks of is in its own form. */
export function ask(dialog) {
  if (dialog.id === "keys") fillKeys(dialog);
  dialog.showModal();
}

const go = (url) => () => { location.href = url; };
const search = document.getElementById("search");
completing(search);
keys("Everywhere", [
  { keys: ["/"], what: "Search threads", run: () => { search.focus({ preventScroll: true }); search.select(); } },
  { keys: ["g t"], what: "Threads", run: go("/") },
  { keys: ["g u"], what: "Usage", run: go("/usage") },
  { keys: ["g h"], what: "Health", run: go("/health") },
  { keys: ["?"], what: "These keys", run: () => ask(document.getElementById("keys")) },
  { keys: ["Escape"], what: "Leave a field, close what is open" },
]);

document.addEventListener("click", async (event) => {
  const opener = event.target.closest?.("[data-dialog]");
  if (opener) ask(document.getElementById(opener.dataset.dialog));
  const copied = event.target.closest?.("[data-copy]");
  if (copied) {
    try {
      await navigator.clipboard.writeText(copied.dataset.copy);
      say("Copied.");
    } catch {
      say("The browser does not let pages copy: select the text instead.", { bad: true });
    }
  }
  if (event.target.tagName === "DIALOG") {
    if (event.target.requestClose) event.target.requestClose(); // one clicked beside it
    else event.target.close();
  }
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target) || event.target.closest("details.menu > div :is(a, button)")) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Times

/** How long ago, as the list of the command says it. */
export function age(then, now = Date.now()) {
  const seconds = Math.floor((now - then) / 1000);
  if (seconds < 60) return seconds > -60 ? "now" : "ahead";
  for (const [unit, size, limit] of [["m", 60, 60], ["h", 3600, 24], ["d", 86400, 14], ["w", 604800, 52]])
    if (Math.floor(seconds / size) < limit) return `${Math.floor(seconds / size)}${unit}`;
  return `${Math.floor(seconds / 31557600)}y`;
}

export function refreshTimes(root = document) {
  for (const time of root.querySelectorAll("time.ago")) {
    const text = age(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(refreshTimes, 30000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshTimes(); });

// How far the index is

const line = document.getElementById("incomplete");
const began = Date.now();

async function follow() {
  if (line.hidden) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(line.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const { incomplete } = await answer.json();
        if (line.textContent !== incomplete) line.textContent = incomplete;
        if (!incomplete) {
          line.hidden = true;
          if (Date.now() - began > 5000) say("The index is complete.");
          document.dispatchEvent(new CustomEvent("threadkeep:complete"));
          return;
        }
      }
    } catch { /* the next time */ }
  }
  setTimeout(follow, 2000);
}
follow();

// Colours: as the system has them, light, dark

const switchOfColours = document.getElementById("theme");
const choices = ["", "light", "dark"];

function nameColours() {
  const here = document.documentElement.dataset.theme ?? "";
  const text = `Colours: ${here || "as the system"}`;
  switchOfColours.title = text;
  switchOfColours.querySelector(".unseen").textContent = text;
}

switchOfColours.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order = dark ? ["", "light", "dark"] : ["", "dark", "light"]; // the first click shows a change
  const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % choices.length];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  document.cookie = `theme=${next}; path=/; SameSite=Strict; max-age=${next ? 31536000 : 0}`;
  nameColours();
});
nameColours();
