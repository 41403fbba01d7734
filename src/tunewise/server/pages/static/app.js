"use strict";
// What every page has: language, theme, hover boxes, copying, and what happens when a request fails.
// Nothing here turns data into markup: text goes in by textContent; markup comes from the server, escaped there.
const root = document.documentElement;
const keep = (name, value) => { document.cookie = `tunewise-${name}=${value}; path=/; max-age=31536000; samesite=lax`; };
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

// ---- language: both are in the page, so that switching keeps the place, the text in a box and a running answer
const language = () => root.dataset.language;
function inView() {
  for (const y of [90, 160, 260, 400]) {
    for (const x of [.25, .5, .75]) {
      const found = document.elementFromPoint(innerWidth * x, y)?.closest("main p, main li, main tr, main h1, main h2, main article, main section");
      if (found) return found;
    }
  }
  return null;
}
function translate(within) {
  const code = language();
  for (const name of ["aria-label", "placeholder", "title", "alt"]) {
    for (const node of within.querySelectorAll(`[data-${name}-${code}]`)) {
      const words = node.getAttribute(`data-${name}-${code}`);
      if (node.tagName === "TITLE") document.title = words + " · " + document.querySelector(".brand bdi").textContent;
      else node.setAttribute(name, words);
    }
  }
  for (const node of within.querySelectorAll(`[data-text-${code}]`)) node.textContent = node.getAttribute(`data-text-${code}`);
}
function setLanguage(code) {
  const anchor = inView(), before = anchor?.getBoundingClientRect().top;
  root.dataset.language = code;
  root.lang = code === "zh" ? "zh-Hans" : "en";
  translate(document);
  for (const button of document.querySelectorAll("[data-set-language]")) button.setAttribute("aria-pressed", button.dataset.setLanguage === code);
  keep("language", code);
  if (anchor && scrollY > 0) scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
}

// ---- theme: the system's until somebody chooses
const dark = matchMedia("(prefers-color-scheme: dark)");
function flipTheme() {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  keep("theme", root.dataset.theme);
}

// ---- a hover box: what an element's <template> or data-tip says, beside it, for pointer and keyboard alike
const float = document.getElementById("float");
let floated = null;
function showFloat(owner) {
  const template = owner.querySelector(":scope > template");
  if (!template) return;
  floated = owner;
  float.replaceChildren(template.content.cloneNode(true));
  float.hidden = false;
  const at = owner.getBoundingClientRect(), size = float.getBoundingClientRect();
  float.style.left = Math.max(8, Math.min(at.left - 12, innerWidth - size.width - 8)) + "px";
  float.style.top = (at.top - size.height - 8 > 60 ? at.top - size.height - 8 : at.bottom + 8) + "px";
  owner.setAttribute("aria-describedby", "float");
}
function hideFloat() {
  floated?.removeAttribute("aria-describedby");
  floated = null;
  float.hidden = true;
}

// ---- a word at the foot of the page
let toastTimer = 0;
function toast(name, text) {
  const box = document.getElementById("toast"), template = name && document.getElementById("word-" + name);
  if (template) box.replaceChildren(template.content.cloneNode(true)); else box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, 4000);
}
async function copy(text) {
  try { await navigator.clipboard.writeText(text); toast("copied"); } catch (error) { toast("", text); }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  if (button.dataset.setLanguage) setLanguage(button.dataset.setLanguage);
  else if (button.id === "theme") flipTheme();
  else if (button.dataset.copy !== undefined) copy(button.dataset.copy);
  else if (button.dataset.close !== undefined) document.getElementById(button.dataset.close)?.dispatchEvent(new CustomEvent("tunewise:close", { bubbles: true }));
});
for (const [event, action] of [["pointerover", showFloat], ["focusin", showFloat], ["pointerout", hideFloat], ["focusout", hideFloat]]) {
  document.addEventListener(event, (happened) => { const owner = happened.target.closest?.("[data-tip]"); if (owner) action(owner); });
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideFloat(); });
addEventListener("scroll", hideFloat, { passive: true, capture: true });
document.addEventListener("htmx:sendError", () => toast("gone"));
document.addEventListener("htmx:afterSwap", (event) => translate(event.detail.target));
