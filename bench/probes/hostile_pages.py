"""Hostile texts in every place of the web pages, looked at in a real Chromium: the probes XS1 and XS2.

The texts stand in names of files, titles, passages, citations, answers (the echo model answers with a passage's
sentence), questions, reasons, errors and the project's name. What is counted: dialogs, lines of the console (a report
of the policy is one), requests to other hosts, and elements in the page that none of our templates holds.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tunewise.jobs.ingest import ingest_project
from tunewise.nouns import Question
from tunewise.project import Project, load_project
from tunewise.questions import save_questions

TURNS = 20
"""Turns of one conversation that is opened."""
PIECES = 20
"""Texts whose pieces are put into one page."""
_TOML = """\
[project]
name = {name}
model = "echo"
embedder = "hash"
[approaches.rag]
index = true
"""
_STRANGE = """() => {
  const found = [], loading = "img, iframe, object, embed, video, audio, base, style, meta[http-equiv=refresh]";
  const ours = (address) => new URL(address, location.href).origin === location.origin;
  for (const one of document.querySelectorAll("*")) {
    // Our own scripts give the box and the float their size.
    const shaped = one.matches("#question, #float, .toast");
    for (const each of one.attributes)
      if (/^on/i.test(each.name) || (each.name === "style" && !shaped)) found.push(one.outerHTML);
    if (one.matches(loading)) found.push(one.outerHTML);
    if (one.matches("script, link") && !ours(one.src || one.href)) found.push(one.outerHTML);
    if (one.matches("script:not([src])")) found.push(one.outerHTML);
    if (one.matches("a[href], form[action]") && !ours(one.getAttribute("href") || one.getAttribute("action")))
      found.push(one.outerHTML);
    for (const name of ["hx-get", "hx-post", "data-hx-get"])
      if (one.hasAttribute(name) && !ours(one.getAttribute(name))) found.push(one.outerHTML);
  }
  return found.map((html) => html.slice(0, 200));
}"""

_PIECES = """async ([text, id]) => {
  const asked = new URLSearchParams({ find: text, document: id });
  const absent = new URLSearchParams({ document: text }), form = new URLSearchParams({ approaches: text });
  const bodies = [
    ["/documents/list?" + asked], ["/source?" + asked], ["/source?" + absent],
    ["/login?" + new URLSearchParams({ to: text })], ["/compare", form],
    ["/ask/stream", new URLSearchParams({ question: "x", approach: text })],
  ];
  for (const [path, body] of bodies) {
    const headers = { "HX-Request": "true" };
    const reply = await fetch(path, body ? { method: "POST", body, headers } : { headers });
    let html = await reply.text();
    if (path === "/ask/stream") html = JSON.parse(html.trim().split("\\n").pop().slice("data: ".length)).html;
    const holder = document.createElement("div");
    holder.innerHTML = html;
    document.getElementById("main").append(holder);
  }
  return bodies.length;
}"""


def hostile_project(folder: Path, texts: Sequence[str]) -> Project:
    """A project with a document for each text: in its name, its title and its passage; and in the project's name."""
    (folder / "documents").mkdir(parents=True)
    for number, text in enumerate(texts):
        line = " ".join(text.replace("\0", "").split())
        name = re.sub(r"[/\x00-\x1f]", "_", text).encode()[:120].decode(errors="ignore")
        body = f"# Zebra {line}\n\nThe zebra with the number z{number}z says {line} to everybody.\n"
        (folder / "documents" / f"{number:03} {name}.md").write_text(body, encoding="utf-8")
    save_questions(folder / "questions.jsonl", [Question("q", f"What says {texts[0]}?", ("nothing",), split="train")])
    (folder / "tunewise.toml").write_text(_TOML.format(name=json.dumps(texts[-1])), encoding="utf-8")
    project = load_project(folder, environ={}, user=folder / "none.toml")
    ingest_project(project)
    return project


class Watch:
    """A page of the browser, and everything that happened in it and must not."""

    def __init__(self, browser: Any, address: str, language: str) -> None:
        self.address, self.dialogs, self.lines, self.foreign, self.strange = address, [], [], [], []
        self.context = browser.new_context(locale=language)
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.page.on("dialog", lambda one: (self.dialogs.append(one.message), one.dismiss()))
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda one: self.lines.append(str(one)))
        # Also what was stopped before it left, and what leads a new window elsewhere.
        self.context.on("request", self._asked)
        self.opened = 0

    def _said(self, one: Any) -> None:
        # That an error page was asked for is what the browser itself notes; the policy's reports are other lines.
        expected = one.text.startswith("Failed to load resource: the server responded")
        if one.type in ("error", "warning") and not expected:
            self.lines.append(one.text)

    def _asked(self, one: Any) -> None:
        if not one.url.startswith((self.address, "data:", "about:")):
            self.foreign.append(one.url)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.check()

    def check(self) -> None:
        self.opened += 1
        self.strange += self.page.evaluate(_STRANGE)


def _handed_in(client: httpx.Client, texts: Sequence[str]) -> None:
    """Files that cannot be read, with these names."""
    for text in texts:
        reply = client.post("/v1/documents", files={"files": (f"{text}.pdf", b"%PDF none")})
        # Some are no names at all: a slash at the end leaves nothing before the suffix.
        if reply.status_code not in (202, 400, 415):
            reply.raise_for_status()
    until = time.monotonic() + 300
    while any(one["state"] in ("waiting", "reading") for one in client.get("/v1/uploads").json()["data"]):
        assert time.monotonic() < until, "the uploads are not read"
        time.sleep(0.1)


def _talked(client: httpx.Client, texts: Sequence[str]) -> list[str]:
    """Conversations in which each text was asked about, cited and answered."""
    talks = []
    for first in range(0, len(texts), TURNS):
        talk = ""
        for number, text in list(enumerate(texts))[first : first + TURNS]:
            form = {"question": f"{text.strip()[:2000]} What says the zebra with the number z{number}z?",
                    "conversation": talk, "turn": str(number)}
            said = client.post("/ask/stream", data=form).raise_for_status().text
            talk = re.findall(r'event: conversation\ndata: \{"id": "(\w+)"', said)[0]
        talks.append(talk)
    return talks


def look(browser: Any, address: str, texts: Sequence[str], *, whole: int = 10) -> dict[str, Any]:
    """Every place of the pages with every text; what happened that must not.

    Replies are opened as whole pages; of the other places each text is asked for as the piece that htmx puts into a
    page, and every `whole`-th as a whole page, and through the box, too.
    """
    with httpx.Client(base_url=address, timeout=60) as client:
        _handed_in(client, texts)
        talks = _talked(client, texts)
        ids = [one["id"] for one in client.get("/v1/documents").json()["data"]]
        reasons = sum(bool(one["reason"]) for one in client.get("/v1/uploads").json()["data"])
    shown = Counter[str]()
    with _watched(browser, address) as watch:
        page = watch.page
        for talk in talks:
            watch.open(f"/?c={talk}")
            page.evaluate("document.querySelectorAll('.evidence').forEach((one) => { one.open = true; })")
            chips = page.locator(".chip:not([disabled])")
            shown["chips"] += chips.count()
            shown["replies"] += page.locator(".reply").count()
            for chip in [chips.nth(i) for i in range(0, chips.count(), whole)]:
                chip.hover()
                watch.check()
                chip.click()
                page.locator("#source .lines").wait_for()
                watch.check()
                page.keyboard.press("Escape")
        for number, (text, id) in enumerate(zip(texts, ids, strict=True)):
            if number % PIECES == 0:
                watch.open("/documents")
            shown["pieces"] += page.evaluate(_PIECES, [text, id])
            if number % PIECES == PIECES - 1 or number == len(texts) - 1:
                watch.check()
        watch.open("/")
        for text in texts[::whole]:
            done = page.locator('.reply[data-state="done"]')
            before = done.count()
            page.fill("#question", f"{text.strip()[:2000]} What says the zebra?")
            page.keyboard.press("Enter")
            done.nth(before).wait_for()
            watch.check()
        for text, id in list(zip(texts, ids, strict=True))[::whole]:
            asked = str(httpx.QueryParams({"find": text, "to": text, "c": text, "document": id}))
            for path in ("/documents?", "/source?", "/login?", "/?"):
                watch.open(path + asked)
            # An error that names it, as a form without a script meets it.
            page.evaluate("""(text) => {
                const form = Object.assign(document.createElement("form"), { method: "post", action: "/compare" });
                form.append(Object.assign(document.createElement("input"), { name: "approaches", value: text }));
                document.body.append(form); form.submit(); }""", text)
            page.wait_for_url("**/compare")
            page.locator("h1").first.wait_for()
            watch.check()
        for path in ("/compare", "/rate", "/runs"):
            watch.open(path)
    return {
        "n": len(texts), "pages": watch.opened, **shown, "files_with_a_reason": reasons,
        "dialogs": len(watch.dialogs), "console_lines": len(watch.lines), "foreign_requests": len(watch.foreign),
        "strange_elements": len(watch.strange),
        "first_faults": [*watch.dialogs, *watch.lines, *watch.foreign, *watch.strange][:3],
    }


@contextmanager
def _watched(browser: Any, address: str) -> Iterator[Watch]:
    watch = Watch(browser, address, "zh-CN")
    try:
        yield watch
    finally:
        watch.context.close()


def live(browser: Any, texts: Sequence[str]) -> int:
    """How many of the texts run, or ask another host, in a page that does not escape them: that they are no blanks."""
    context = browser.new_context()
    context.route("**/*", lambda route: route.abort())
    fired: set[int] = set()
    for number, text in enumerate(texts):
        page = context.new_page()
        page.on("dialog", lambda one, number=number: (fired.add(number), one.dismiss()))
        page.on("request", lambda one, number=number: fired.add(number) if "elsewhere" in one.url else None)
        page.evaluate("(text) => { document.open(); document.write(text); document.close(); }", text)
        page.wait_for_timeout(40)
        page.close(run_before_unload=False)
    context.close()
    return len(fired)
