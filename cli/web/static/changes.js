// Change a thread in a dialog: the forms are those of the page that is there without a script.

import { NO_ANSWER, fetchPart, post, say, told } from "/static/common.js";
import { keys } from "/static/keys.js";

const idOf = (url) => decodeURIComponent(new URL(url, location.href).pathname.split("/")[2]);

function dialog() {
  let found = document.getElementById("change");
  if (!found) {
    found = document.createElement("dialog");
    found.id = "change";
    found.setAttribute("aria-labelledby", "change-title");
    found.addEventListener("cancel", (event) => {
      const form = unsaved(found)[0];
      if (!form || !form.querySelector(".refused").hidden) return;
      event.preventDefault();
      refuse(form, "This is not saved yet. Escape leaves it.");
    });
    document.body.append(found);
  }
  return found;
}

async function open(link) {
  const box = dialog();
  try {
    const answer = await fetchPart(link.href);
    if (!answer.ok) return say(await told(answer), { bad: true });
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    const close = document.createElement("form");
    close.method = "dialog";
    close.className = "close";
    const button = document.createElement("button");
    button.className = "quiet";
    button.ariaLabel = "Close";
    button.textContent = "✕";
    close.append(button);
    box.replaceChildren(close, ...found.body.childNodes);
  } catch {
    return say(NO_ANSWER, { bad: true });
  }
  if (!box.open) box.showModal();
  box.querySelector("input:not([type=hidden]), textarea, .changes button")?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-change]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(link);
});

const typed = (form) => form.querySelector("input:not([type=hidden]), textarea");

/** The forms into which something was typed, but for what was refused. */
function unsaved(box) {
  return [...box.querySelectorAll("form.changes")].filter((form) => {
    const field = typed(form);
    const known = [field?.defaultValue, field?.dataset.refused];
    return field && !known.includes(field.value) && field.checkValidity();
  });
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.changes");
  if (!form) return;
  event.preventDefault();
  const box = dialog();
  // What was typed into the others is wanted, too.
  const wanted = [...unsaved(box).filter((each) => each !== form), form];
  const fields = wanted.map((each) => new URLSearchParams(new FormData(each, each === form ? event.submitter : null)));
  const buttons = [...box.querySelectorAll(".changes button")];
  for (const button of buttons) button.disabled = true;
  let sent = 0;
  while (sent < wanted.length && (await send(wanted[sent], fields[sent]))) sent += 1;
  for (const button of buttons) button.disabled = false;
  if (sent === wanted.length) box.close();
});

/** Gives whether the change was made; else the form says why not. */
async function send(form, fields) {
  form.querySelector(".refused").hidden = true;
  try {
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: fields });
    const field = typed(form);
    if (!answer.ok) {
      if (field) field.dataset.refused = field.value;
      refuse(form, await told(answer));
      return false;
    }
    if (field) field.defaultValue = field.value;
    changed(idOf(form.action), await answer.json());
    return true;
  } catch {
    refuse(form, NO_ANSWER);
    return false;
  }
}

function refuse(form, text) {
  for (const button of form.querySelectorAll("button")) button.disabled = false; // to be focused
  const place = form.querySelector(".refused");
  place.hidden = false;
  place.textContent = text;
  document.getElementById("change-refused")?.removeAttribute("id");
  place.id = "change-refused";
  const field = typed(form);
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-describedby", place.id);
  (field ?? form.querySelector("button")).focus();
}

function changed(id, { told: done, undo }) {
  say(done, { undo: undo ? () => takeBack(id, undo) : null });
  const event = new CustomEvent("threadkeep:changed", { detail: { id }, cancelable: true });
  if (document.dispatchEvent(event)) renewHeader();
}

async function takeBack(id, undo) {
  const answer = await post(`/thread/${encodeURIComponent(id)}/undo`, { undo });
  if (answer) changed(id, await answer.json());
}

/** Show the head of a thread's page as it is now; the turns stay. */
async function renewHeader() {
  const place = document.querySelector("header.about");
  if (!place) return;
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.querySelector("header.about");
  if (!now) return;
  const focused = place.contains(document.activeElement) || document.activeElement === document.body;
  for (const script of now.querySelectorAll("script")) script.remove(); // it runs already
  place.replaceChildren(...now.childNodes);
  document.title = page.title;
  if (focused) place.querySelector("[data-change]")?.focus({ preventScroll: true });
}

if (document.querySelector("header.about [data-change]"))
  keys("This thread", [
    { keys: ["c"], what: "Change the thread", inTurn: true, run: () => document.querySelector("header.about [data-change]")?.click() },
  ]);
