// Completes filters in a search box: a combobox with a list below it.

const PAUSE_MS = 80;

/** Let a box complete the filters that are typed into it. */
export function completing(box) {
  const list = document.createElement("ul");
  list.id = `${box.id}-completions`;
  list.className = "completions";
  list.role = "listbox";
  list.ariaLabel = "Filters";
  list.hidden = true;
  box.after(list);
  box.role = "combobox";
  box.ariaAutoComplete = "list";
  box.ariaExpanded = "false";
  box.setAttribute("aria-controls", list.id);

  let offered = [];
  let active = -1;
  let asking = null;
  let timer = 0;

  function close() {
    clearTimeout(timer);
    asking?.abort();
    offered = [];
    show();
  }

  function show() {
    active = -1;
    list.replaceChildren(...offered.map((each, at) => {
      const option = document.createElement("li");
      option.id = `${list.id}-${at}`;
      option.role = "option";
      option.ariaSelected = "false";
      const token = document.createElement("span");
      token.textContent = each.token;
      option.append(token);
      if (each.help) {
        const help = document.createElement("span");
        help.className = "dim small";
        help.textContent = each.help;
        option.append(" ", help);
      }
      option.addEventListener("click", () => take(each));
      return option;
    }));
    list.hidden = !offered.length;
    box.ariaExpanded = String(!list.hidden);
    box.removeAttribute("aria-activedescendant");
  }

  function choose(at) {
    clearTimeout(timer); // what one chooses from stays
    asking?.abort();
    list.children[active]?.setAttribute("aria-selected", "false");
    active = at;
    const option = list.children[at];
    option.ariaSelected = "true";
    option.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", option.id);
  }

  function take(each) {
    box.value = each.text;
    const at = [...each.text].slice(0, each.at).join("").length; // places are letters, not UTF-16
    box.setSelectionRange(at, at);
    close();
    box.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const before = box.value.slice(0, box.selectionEnd);
    const given = new URLSearchParams({ q: box.value, at: [...before].length });
    try {
      const answer = await fetch(`/complete?${given}`, {
        headers: { Accept: "application/json" }, signal: asking.signal,
      });
      offered = answer.ok ? (await answer.json()).completions : [];
      show();
    } catch { /* a newer text has taken its place, or nobody answers: the list tells of that */ }
  }

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
  box.addEventListener("blur", close);
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || list.hidden) return;
    const last = offered.length - 1;
    if (event.key === "ArrowDown") choose(active < last ? active + 1 : 0);
    else if (event.key === "ArrowUp") choose(active > 0 ? active - 1 : last);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) take(offered[active]);
    // A word may only happen to begin as a filter does.
    else if (event.key === "Tab" && !event.shiftKey && (active >= 0 || !offered[0].help))
      take(offered[Math.max(active, 0)]);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  box.form?.addEventListener("submit", close);
}
