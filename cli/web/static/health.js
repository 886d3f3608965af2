// Parts of the page of health, which change while one looks.

import { refreshTimes, say } from "./common.js";

async function load(part, url) {
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    if (answer.ok) part.innerHTML = text; // a fragment, escaped where it was made
    else say("This could not be loaded: is threadkeep still running?", { bad: true });
  } catch {
    say("threadkeep does not answer: is it still running?", { bad: true });
    return;
  }
  refreshTimes(part);
  again(part);
}

function again(part) {
  const mark = part.querySelector("[data-again]");
  if (mark) setTimeout(() => load(part, part.dataset.part), Number(mark.dataset.again));
}

for (const part of document.querySelectorAll("[data-part]")) {
  part.addEventListener("click", (event) => {
    const button = event.target.closest("[data-load]");
    if (button) {
      button.disabled = true;
      load(part, button.dataset.load);
    }
  });
  if ("now" in part.dataset) {
    part.innerHTML = '<p class="dim">Checking…</p>';
    load(part, part.dataset.part);
  } else again(part);
}
