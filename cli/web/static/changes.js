// Change a thread in a dialog: the forms are those of the page that is there without a script.

import { keys, post, say, told } from "/static/common.js";

let opener = null;

const idOf = (url) => decodeURIComponent(new URL(url, location.href).pathname.split("/")[2]);

function dialog() {
  let found = document.getElementById("change");
  if (!found) {
    found = document.createElement("dialog");
    found.id = "change";
    found.setAttribute("aria-labelledby", "change-title");
    document.body.append(found);
  }
  return found;
}

async function open(link) {
  const box = dialog();
  try {
    const answer = await fetch(link.href);
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
    return say("threadkeep does not answer: is it still running?", { bad: true });
  }
  opener = link;
  box.showModal();
  box.querySelector("input:not([type=hidden]), textarea, .changes button")?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-change]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(link);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.changes");
  if (!form) return;
  event.preventDefault();
  const buttons = [...form.querySelectorAll("button")];
  const fields = new URLSearchParams(new FormData(form, event.submitter));
  for (const button of buttons) button.disabled = true;
  form.querySelector(".refused").hidden = true;
  try {
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: fields });
    if (!answer.ok) return refuse(form, await told(answer));
    dialog().close();
    changed(idOf(form.action), await answer.json());
  } catch {
    refuse(form, "threadkeep does not answer: is it still running?");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
});

function refuse(form, text) {
  for (const button of form.querySelectorAll("button")) button.disabled = false; // to be focused
  const place = form.querySelector(".refused");
  place.hidden = false;
  place.textContent = text;
  document.getElementById("change-refused")?.removeAttribute("id");
  place.id = "change-refused";
  const field = form.querySelector("input:not([type=hidden]), textarea");
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
    { keys: ["c"], what: "Change the thread", run: () => document.querySelector("header.about [data-change]")?.click() },
  ]);
