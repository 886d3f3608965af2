// Parts of the page of health, which change while one looks.

import { NO_ANSWER, fetchPart, refreshTimes, say, told } from "./common.js";

async function load(part, url) {
  try {
    const answer = await fetchPart(url);
    if (answer.ok) part.innerHTML = await answer.text(); // a fragment, escaped where it was made
    else say(await told(answer), { bad: true });
  } catch {
    say(NO_ANSWER, { bad: true });
    for (const button of part.querySelectorAll("[data-load]")) button.disabled = false;
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
