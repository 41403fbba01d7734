"use strict";
// The keys that stand on the buttons press them; how long a pair was looked at goes along.
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "bad", s: "skip", u: "undo" };
let since = performance.now();
document.addEventListener("keydown", (event) => {
  const choice = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!choice || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("input, textarea, select, summary")) return;
  const button = document.querySelector(`#judging button[value="${choice}"]`);
  if (!button) return;
  event.preventDefault();
  if (!document.querySelector("#judging .htmx-request")) button.click();
});
document.addEventListener("click", (event) => {
  const seconds = event.target.closest("#judging button[name=choice]")?.form.elements.seconds;
  if (seconds) seconds.value = ((performance.now() - since) / 1000).toFixed(1);
}, true);
document.addEventListener("htmx:afterSwap", () => {
  since = performance.now();
  // The next question is read out, and Tab goes on from it.
  const asked = document.querySelector("#judging .asked, #judging h1");
  asked?.setAttribute("tabindex", "-1");
  asked?.focus({ preventScroll: true });
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-copy-here]")) copy(location.href); });
