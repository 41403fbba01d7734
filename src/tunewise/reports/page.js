"use strict";
// Language, theme, explanations at the headers, sorting. No request, no markup from data: text goes in by textContent.
const root = document.documentElement;
const language = () => root.dataset.language;
const remember = (key, value) => { try { localStorage.setItem("tunewise-" + key, value); } catch (error) { return error; } };
const recall = (key) => { try { return localStorage.getItem("tunewise-" + key); } catch (error) { return null; } };

// ---- language: both are in the page; switching keeps what the reader is looking at where it is
const inView = () => {
  for (const y of [90, 140, 220, 320, 480]) {
    for (const x of [0.2, 0.4, 0.6, 0.8]) {
      const found = document.elementFromPoint(innerWidth * x, y), piece = found && found.closest("main") && found.closest("tr, figure, li, h2, p, dt, .reply, .row, .verdict-card");
      if (piece) return piece.matches(".row") ? piece.closest(".matrix") : piece;
    }
  }
  return null;
};
function setLanguage(code) {
  const anchor = inView(), before = anchor ? anchor.getBoundingClientRect().top : 0;
  root.dataset.language = root.lang = code;
  for (const node of document.querySelectorAll("[data-aria-label-en]")) node.setAttribute("aria-label", node.getAttribute("data-aria-label-" + code));
  for (const node of document.querySelectorAll("[data-placeholder-en]")) node.placeholder = node.getAttribute("data-placeholder-" + code);
  for (const button of document.querySelectorAll("[data-set-language]")) button.setAttribute("aria-pressed", button.dataset.setLanguage === code);
  document.dispatchEvent(new Event("language"));
  if (anchor && scrollY > 0) scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
}
for (const button of document.querySelectorAll("[data-set-language]")) {
  button.addEventListener("click", () => { setLanguage(button.dataset.setLanguage); remember("language", button.dataset.setLanguage); });
}

// ---- theme: the system's, until the reader chooses; always light on paper
const dark = matchMedia("(prefers-color-scheme: dark)"), themeButton = document.getElementById("theme");
function setTheme(name) {
  root.dataset.theme = name;
  themeButton.setAttribute("aria-pressed", name === "dark");
  themeButton.querySelector(".en").textContent = name === "dark" ? "Light" : "Dark";
  themeButton.querySelector(".zh").textContent = name === "dark" ? "浅色" : "深色";
}
themeButton.addEventListener("click", () => { const next = root.dataset.theme === "dark" ? "light" : "dark"; setTheme(next); remember("theme", next); });
dark.addEventListener("change", () => { if (!recall("theme")) setTheme(dark.matches ? "dark" : "light"); });
setTheme(recall("theme") || (dark.matches ? "dark" : "light"));
let themeBefore = null;
// What is folded for a screen is laid open for paper.
const folded = [...document.querySelectorAll("details.finer, details.paper")];
let closed = [];
addEventListener("beforeprint", () => {
  themeBefore = root.dataset.theme;
  root.dataset.theme = "light";
  closed = folded.filter((one) => !one.open);
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  if (themeBefore) root.dataset.theme = themeBefore;
  for (const one of closed) one.open = false;
});

// ---- explanations: one box beside the header that has the pointer or the focus
const float = document.getElementById("float");
function explain(button) {
  const tip = document.getElementById(button.getAttribute("aria-describedby"));
  if (!tip) return;
  const words = tip.querySelector("." + language()) || tip;
  float.textContent = words.textContent;
  float.hidden = false;
  const at = button.getBoundingClientRect(), size = float.getBoundingClientRect();
  float.style.left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8)) + "px";
  float.style.top = (at.bottom + 8 + size.height > innerHeight ? at.top - size.height - 8 : at.bottom + 8) + "px";
}
for (const button of document.querySelectorAll("button[aria-describedby]")) {
  button.addEventListener("pointerenter", () => explain(button));
  button.addEventListener("focus", () => explain(button));
  for (const leave of ["pointerleave", "blur"]) button.addEventListener(leave, () => { float.hidden = true; });
}
addEventListener("keydown", (event) => { if (event.key === "Escape") float.hidden = true; });
addEventListener("scroll", () => { float.hidden = true; }, { passive: true, capture: true });

// ---- sorting: numbers first by size, names by the alphabet; empty cells stay last in both directions
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending" || (head.getAttribute("aria-sort") === "none" && column === 0);
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.sort;
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = column === 0 ? x.localeCompare(y) : Number(x) - Number(y);
      return up ? order : -order;
    });
    body.append(...rows);
  }));
}
