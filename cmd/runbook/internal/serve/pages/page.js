"use strict";
(() => {
  const status = document.getElementById("status");

  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // pages of plain HTTP have no clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await copy(document.getElementById(button.dataset.from).textContent);
        status.textContent = button.textContent = "Copied";
      } catch {
        status.textContent = "The browser does not let this page copy: select the text";
      }
      setTimeout(() => { button.textContent = "Copy"; status.textContent = ""; }, 2000);
    });
  }

  const input = document.getElementById("q");
  if (!input) return;
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA)$/.test(e.target.tagName)) return;
    e.preventDefault();
    input.focus();
    input.select();
  });
  let timer, asked;
  async function search() {
    const url = new URL(input.form.action);
    if (input.value.trim()) url.searchParams.set("q", input.value);
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(url, { signal: asked.signal });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("packages");
      if (!answer.ok || !found) throw new Error(answer.status);
      document.getElementById("packages").replaceWith(found);
      history.replaceState(null, "", url);
      status.textContent = found.dataset.said;
    } catch (e) {
      if (e.name !== "AbortError") status.textContent = "The search failed: press Enter to try again";
    }
  }
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 100); });
})();
