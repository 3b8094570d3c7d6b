"use strict";
// A page is whole without this. It filters lists, copies commands, and opens for the printer and for links what is closed.
for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.querySelectorAll(form.dataset.rows)];
  const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const groups = [...new Set(rows.map((row) => row.closest("[data-group]")).filter(Boolean))];
  const status = form.querySelector("[role=status]");
  const show = () => {
    const wanted = new FormData(form);
    const texts = wanted.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    const choices = [...wanted].filter(([name, value]) => name !== "text" && value);
    let shown = 0;
    for (const row of rows) {
      const fits = choices.every(([name, value]) => row.dataset[name] === value)
        && texts.every((text) => words.get(row).includes(text));
      row.hidden = !fits;
      shown += fits;
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(`${form.dataset.rows}:not([hidden])`);
      if (group.tagName === "DETAILS" && (texts.length || choices.length)) group.open = true;
    }
    status.textContent = `${shown} of ${rows.length} ${status.dataset.many}`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}
for (const box of navigator.clipboard ? document.querySelectorAll(".command") : []) {
  const button = document.createElement("button");
  const text = box.querySelector("code").textContent;
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${text}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  });
  box.append(button);
}
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) {
    at.hidden = false;
    if (at.tagName === "DETAILS") at.open = true;
  }
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(.not-printed)")];
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
});
