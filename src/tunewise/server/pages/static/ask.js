"use strict";
// Asking: the question goes out as a form; the answer comes back as a stream of events whose markup the server made.
// The stream is read with fetch, because an EventSource can neither post a question nor be told to stop.
const desk = document.getElementById("desk"), thread = document.getElementById("thread");
const composer = document.getElementById("composer"), box = document.getElementById("question");
const send = document.getElementById("send"), stop = document.getElementById("stop"), viewer = document.getElementById("viewer");
const clone = (id) => document.getElementById(id).content.cloneNode(true).firstElementChild;
let running = null;

const fit = () => { box.style.height = "auto"; box.style.height = Math.min(box.scrollHeight, 220) + "px"; };
box.addEventListener("input", fit);
box.addEventListener("keydown", (event) => {
  // An input method's Enter chooses a Chinese word; it does not send.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) { event.preventDefault(); composer.requestSubmit(); }
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); box.focus(); }
});

function markup(text) {
  // From our own server, escaped there; the page's policy runs no script that might stand in it all the same.
  const holder = document.createElement("template");
  holder.innerHTML = text;
  return holder.content.firstElementChild;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    for (let cut; (cut = waiting.indexOf("\n\n")) >= 0; waiting = waiting.slice(cut + 2)) {
      let name = "message", data = "";
      for (const line of waiting.slice(0, cut).split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) yield [name, JSON.parse(data)];
    }
  }
}

async function reply(place, fields, signal) {
  const text = place.querySelector(".answer");
  let finished = null;
  try {
    const response = await fetch("/ask/stream", { method: "POST", body: new URLSearchParams(fields), signal });
    if (!response.ok) throw markup(await response.text()) || new Error(response.status);
    for await (const [name, data] of events(response)) {
      if (name === "delta") {
        if (place.dataset.state === "waiting") {
          place.dataset.state = "writing";
          place.querySelector(".doing").hidden = true;
          place.querySelector(".doing-writing").hidden = false;
        }
        text.textContent += data.text;
        stay();
      } else if (name === "reply") {
        finished = markup(data.html);
        place.replaceWith(finished);
        translate(finished);
        htmx.process(finished);
        stay();
      } else if (name === "conversation") {
        thread.dataset.conversation = data.id;
        history.replaceState(null, "", "/?c=" + encodeURIComponent(data.id));
      }
    }
    if (!finished) throw new Error("the stream ended early");
  } catch (error) {
    place.dataset.state = "done";
    place.querySelector(".badge.busy")?.remove();
    if (signal.aborted) place.append(clone("stopped-reply"));
    else { const notice = error instanceof Element ? error : clone("lost-reply"); place.append(notice); translate(notice); }
  }
}

// Follow the answer down, unless the reader has scrolled away from the end.
let following = true;
addEventListener("scroll", () => { following = innerHeight + scrollY >= document.documentElement.scrollHeight - 160; }, { passive: true });
const stay = () => { if (following) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }); };

composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(composer), question = form.get("question").trim();
  if (!question || running) return;
  running = new AbortController();
  send.hidden = true;
  stop.hidden = false;
  thread.querySelector(".welcome")?.remove();
  document.querySelector(".fresh").hidden = false;
  const turn = clone("blank-turn"), asked = [form.get("approach")];
  if (form.get("beside") && form.get("beside") !== asked[0]) asked.push(form.get("beside"));
  turn.querySelector(".question").textContent = question;
  const replies = turn.querySelector(".replies");
  replies.dataset.count = asked.length;
  thread.append(turn);
  box.value = "";
  fit();
  following = true;
  const places = asked.map((approach) => {
    const place = clone("blank-reply");
    place.querySelector(".approach").textContent = approach;
    replies.append(place);
    return place;
  });
  translate(turn);
  stay();
  const turnId = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  // One after the other: two at once would only make both slower on one machine, and the first is read meanwhile.
  for (const [i, approach] of asked.entries()) {
    if (running.signal.aborted) { places[i].remove(); continue; }
    await reply(places[i], { question, approach, turn: turnId, conversation: thread.dataset.conversation }, running.signal);
  }
  running = null;
  stop.hidden = true;
  send.hidden = false;
  if (document.activeElement === document.body || document.activeElement === stop) box.focus({ preventScroll: true });
});
stop.addEventListener("click", () => running?.abort());

// ---- examples, and sources in the viewer beside the talk
let opener = null;
async function openSource(button) {
  opener = button;
  for (const other of document.querySelectorAll("[data-source].open")) other.classList.remove("open");
  button.classList.add("open");
  hideFloat();
  const response = await fetch(button.dataset.source, { headers: { "HX-Request": "true" } });
  const piece = markup(await response.text());
  viewer.replaceChildren(piece);
  translate(viewer);
  htmx.process(viewer);
  viewer.hidden = false;
  desk.classList.add("split");
  showMarked();
  button.scrollIntoView({ block: "nearest", behavior: "instant" });
  viewer.focus({ preventScroll: true });
}
function showMarked() {
  const marked = viewer.querySelector(".lines mark, .lines .cited");
  const pane = viewer.querySelector(".pane");
  if (marked && pane) pane.scrollTop += marked.getBoundingClientRect().top - pane.getBoundingClientRect().top - pane.clientHeight / 3;
}
function closeSource() {
  if (viewer.hidden) return;
  viewer.hidden = true;
  viewer.replaceChildren();
  desk.classList.remove("split");
  opener?.classList.remove("open");
  opener?.focus({ preventScroll: true });
}
viewer.addEventListener("htmx:afterSwap", showMarked);
document.addEventListener("tunewise:close", closeSource);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeSource(); });
document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-example]"), source = event.target.closest("[data-source]");
  if (example) { box.value = example.dataset.example; composer.requestSubmit(); }
  if (source) openSource(source);
});
if (location.search) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
