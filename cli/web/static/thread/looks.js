// What is unfolded, folded and left out, by its kind; and buttons that copy.

import { say } from "/static/common.js";

const root = document.getElementById("thread");
const selects = [...document.querySelectorAll("#looks select")];
const STORED = "threadkeep.looks";
const looks = { reasoning: "", output: "", patch: "" };

function read() {
  try {
    Object.assign(looks, JSON.parse(localStorage.getItem(STORED) ?? "{}"));
  } catch { /* as they are at first */ }
}

function apply(kind, within) {
  const look = looks[kind];
  root.dataset[kind] = look;
  for (const each of within.querySelectorAll(`details[data-kind="${kind}"]`)) {
    each.dataset.first ??= each.open ? "open" : "";
    each.open = look === "open" || (look !== "fold" && each.dataset.first === "open");
  }
}

function button(copied) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "copy";
  made.textContent = "Copy";
  made.title = `Copy ${copied}`;
  made.setAttribute("aria-label", made.title);
  return made;
}

/** Have new parts of the page as the others are. */
export function dress(within) {
  for (const kind of Object.keys(looks)) apply(kind, within);
  for (const part of within.querySelectorAll(".part")) {
    if (part.querySelector(":scope > .copy")) continue;
    if (part.querySelector(":scope > .command")) part.append(button("the command"));
    else if (part.matches(".user")) part.append(button("the prompt"));
    else if (part.matches(".tool") && part.querySelector("pre, .diff")) part.append(button("the text"));
  }
  for (const pre of within.querySelectorAll(".said pre")) {
    if (pre.parentElement.matches(".code")) continue;
    const code = document.createElement("div");
    code.className = "code";
    pre.replaceWith(code);
    code.append(pre, button("the code"));
  }
  for (const heading of within.querySelectorAll("article.turn > h2")) {
    if (heading.querySelector("button") || !heading.querySelector(".name")) continue;
    const link = document.createElement("button");
    link.type = "button";
    link.className = "quiet link";
    link.textContent = "copy link";
    heading.append(link);
  }
}

function textOf(copy) {
  const around = copy.parentElement;
  const command = around.querySelector(":scope > .command");
  if (command) return command.firstChild.data.slice(2).trimEnd();
  const own = around.querySelectorAll("pre, .said");
  if (own.length) return own[0].textContent.replace(/\n$/, "");
  return [...around.querySelectorAll(".diff")].map(patchText).join("");
}

/** A patch as it was, without the lines that stand on both sides. */
function patchText(diff) {
  const copy = diff.cloneNode(true);
  for (const twice of copy.querySelectorAll("[aria-hidden]")) twice.remove();
  return copy.textContent;
}

export function nextTools() {
  const select = selects.find((each) => each.dataset.look === "output");
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
  change("output", select.value);
  say(`Tools: ${select.selectedOptions[0].textContent}.`);
}

function change(kind, look) {
  looks[kind] = look;
  try {
    localStorage.setItem(STORED, JSON.stringify(looks));
  } catch { /* for this page then */ }
  document.dispatchEvent(new CustomEvent("threadkeep:looks", { detail: () => apply(kind, document) }));
}

export function start() {
  read();
  for (const select of selects) {
    select.value = looks[select.dataset.look] ?? "";
    select.addEventListener("change", () => change(select.dataset.look, select.value));
  }
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest(".copy");
    if (!copy) return;
    try {
      await navigator.clipboard.writeText(textOf(copy));
      say("Copied.");
    } catch {
      say("The browser does not let pages copy: select the text instead.", { bad: true });
    }
  });
}
