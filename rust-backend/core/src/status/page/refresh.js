"use strict";
(() => {
  const PERIOD = 10000;
  const status = document.getElementById("refresh");
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = true;
  label.append(box, " refresh every 10 seconds");
  status.after(label);

  // A part in which somebody reads or types stays as it is.
  const isInUse = (part) => part.contains(document.activeElement)
    || part.querySelector("details[open]") || part.contains(document.getSelection().focusNode);

  const refresh = async () => {
    const response = await fetch(location.href, { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const text = await response.text();
    // The policy of this page does not allow the style of the next one.
    const page = new DOMParser().parseFromString(text.slice(text.indexOf("<body")), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (next && !isInUse(part)) part.replaceWith(document.adoptNode(next));
    }
    status.replaceChildren(...page.getElementById("refresh").childNodes);
  };

  setInterval(() => {
    if (!box.checked || document.hidden) return;
    refresh().catch((error) => { status.textContent = `The page could not be refreshed: ${error.message}`; });
  }, PERIOD);
})();
