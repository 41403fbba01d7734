"""The web pages in a real browser: each page's main path, both languages, keyboard, narrow screen, hostile texts.

Every page that is opened is watched: it may write no error to the console, open no dialog, and ask no other host.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")
sys.path.append(str(Path(__file__).parent.parent / "bench" / "probes"))
from hostile_pages import hostile_project, look  # noqa: E402
from payloads import payloads  # noqa: E402

from sample_server import make_project, served, wait  # noqa: E402
from tunewise.jobs.background import jobs  # noqa: E402
from tunewise.jobs.ingest import ingest  # noqa: E402
from tunewise.project import load_project  # noqa: E402
from tunewise.server import open_state  # noqa: E402
from tunewise.server.pages.render import ROOM, words  # noqa: E402

HANDBOOK = Path(__file__).parent.parent / "examples" / "handbook"
PAGES = ("/", "/documents", "/compare", "/rate", "/runs")
MANIFEST = {
    "recipe": "raft", "model": "smollm2", "rows": 12, "seconds": 90.0, "tokens": 5000, "trained_parameters": 1000,
    "peak_memory_bytes": 10**9, "precision": "bfloat16", "resumed": False, "groups": [], "documents": [],
    "history": [{"step": 1, "loss": 3.2}, {"step": 5, "loss": 1.9}, {"step": 10, "loss": 1.1}],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """(address, application) of a small project, its owner asking."""
    project = make_project(tmp_path_factory.mktemp("shop"))
    folder = project.root / ".tunewise" / "adapters" / "raft-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "tunewise.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    with served(project) as (address, app):
        yield address, app


class Tab:
    """A page of the browser, and everything that it must not do."""

    def __init__(self, browser, address: str, *, language: str = "en", width: int = 1280, **options) -> None:
        locale = "zh-CN" if language == "zh" else "en-US"
        self.context = browser.new_context(locale=locale, viewport={"width": width, "height": 850}, **options)
        self.context.set_default_timeout(60_000)
        self.page, self.address, self.said = self.context.new_page(), address, []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda r: None if r.url.startswith((address, "data:")) else self.said.append(r.url))

    def goto(self, path: str):
        self.page.goto(self.address + path)
        return self.page

    def ask(self, question: str) -> None:
        done = self.page.locator('.reply[data-state="done"]')
        before = done.count()
        self.page.fill("#question", question)
        self.page.keyboard.press("Enter")
        done.nth(before).wait_for()

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind, *_) -> None:
        self.context.close()
        assert kind is not None or self.said == []


# ------------------------------------------------------------------------------------------------ without a browser


def test_every_word_that_a_template_uses_exists_in_both_languages() -> None:
    known = words()
    assert all(english.strip() and chinese.strip() for english, chinese in known.values())
    # What is filled in stands in both.
    for key, pair in known.items():
        assert {*re.findall(r"\{(\w+)", pair[0])} == {*re.findall(r"\{(\w+)", pair[1])}, key
    used = set()
    for template in (ROOM / "templates").glob("*.html"):
        used |= set(re.findall(r'(?:t|text)\("([a-z_]+\.[a-z_]+)"', template.read_text("utf-8")))
        used |= set(re.findall(r'attr\("[a-z-]+", "([a-z_]+\.[a-z_]+)"', template.read_text("utf-8")))
    assert len(used) > 100 and {key for key in used if not key.endswith("_")} <= set(known)


def test_no_template_holds_a_script_a_style_or_an_unescaped_value() -> None:
    for template in (ROOM / "templates").glob("*.html"):
        text = template.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|\|\s*safe|autoescape", text), template.name
        assert not re.search(r"<script(?! src=\"\{\{ static\()", text), template.name


def test_pages_answer_htmx_with_pieces_and_strangers_with_the_way_in(shop) -> None:
    address, _ = shop
    assert httpx.get(f"{address}/source?document=absent").status_code == 404
    piece = httpx.get(f"{address}/source?document=absent", headers={"HX-Request": "true"})
    assert piece.status_code == 404 and "<html" not in piece.text
    assert "no-referrer" not in httpx.get(address).headers["referrer-policy"]
    foreign = httpx.post(f"{address}/documents/reread", headers={"Origin": "https://elsewhere.example"})
    assert foreign.status_code == 403


# ------------------------------------------------------------------------------------------------ Ask


@pytest.mark.browser
def test_an_answer_streams_cites_and_opens_its_source(chromium, shop) -> None:
    address, app = shop
    with Tab(chromium, address) as tab:
        page = tab.goto("/")
        page.locator("[data-example]").first.wait_for()
        tab.ask("How much water does the kettle hold?")
        reply = page.locator(".reply").first
        assert "2 litres" in reply.locator(".answer").inner_text()
        assert reply.locator(".approach").inner_text() == "rag"
        assert "Checked against the source" in reply.inner_text()
        chip = reply.locator(".chip")
        chip.hover()
        assert "kettle.md" in page.locator("#float").inner_text() and "2 litres" in page.locator("#float").inner_text()
        reply.locator(".evidence summary").click()
        assert reply.locator(".passage").count() == 3 and reply.locator(".passage.unused").count() == 2
        assert "words, place 1" in reply.locator(".passage .why").first.inner_text()
        chip.click()
        page.locator("#source mark").wait_for()
        assert "2 litres" in page.locator("#source mark").inner_text()
        page.keyboard.press("Escape")
        assert page.locator("#source").count() == 0
        # A follow-up is understood from what was said before, and the conversation outlives the page.
        tab.ask("And the lamp?")
        assert page.locator(".turn").count() == 2 and "?c=" in page.url
        page.locator('.reply >> nth=1 >> [aria-label="Something is wrong"]').click()
        page.locator('.reply >> nth=1 >> textarea[name="better"]').fill("9 hours")
        page.locator('.reply >> nth=1 >> button[value="evidence"]').click()
        page.get_by_text("It counts in the ratings").wait_for()
        kept = app.state.house.state.ratings(kind="thumb")[-1].payload
        assert (kept["verdict"], kept["reason"], kept["note"]) == ("wrong", "evidence", "9 hours")
        page.reload()
        assert page.locator(".turn").count() == 2 and page.locator(".turn .chip").count() >= 1
        assert page.get_by_text("It counts in the ratings").is_visible()


@pytest.mark.browser
def test_two_approaches_side_by_side_and_no_source_said_plainly(chromium, shop) -> None:
    with Tab(chromium, shop[0]) as tab:
        page = tab.goto("/")
        page.select_option("[name=beside]", "zero-shot")
        page.fill("#question", "How long does the lamp glow after charging?")
        page.click("#send")
        page.locator('.reply[data-state="done"]').nth(1).wait_for()
        boxes = [page.locator(".reply").nth(i).bounding_box() for i in (0, 1)]
        assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2 and boxes[0]["x"] < boxes[1]["x"]
        assert page.locator(".reply .approach").all_inner_texts() == ["rag", "zero-shot"]
        assert "It does not know." in page.locator(".reply").nth(1).inner_text()
        page.reload()
        assert page.locator(".turn").count() == 1 and page.locator(".turn .reply").count() == 2


@pytest.mark.browser
def test_a_pdf_opens_at_its_page_with_the_lines_boxed(chromium, tmp_path: Path) -> None:
    (tmp_path / "documents" / "policies").mkdir(parents=True)
    shutil.copy(HANDBOOK / "documents" / "policies" / "warranty.pdf", tmp_path / "documents" / "policies")
    (tmp_path / "tunewise.toml").write_text('[project]\nname = "pdf"\nmodel = "echo"\nembedder = "hash"\n')
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    ingest(project.documents, project=project.root, embedder="hash")
    with served(project) as (address, _), Tab(chromium, address) as tab:
        page = tab.goto("/")
        tab.ask("On which day does the warranty start?")
        page.locator(".chip").first.click()
        page.locator("#source svg image").first.wait_for()
        assert page.locator("#source rect.box").count() >= 1
        picture = page.locator("#source svg image").first.get_attribute("href")
        assert httpx.get(address + picture).content.startswith(b"\x89PNG")
        page.locator("#source .seg a").nth(1).click()
        page.locator("#source mark").first.wait_for()
        assert "warranty" in page.locator("#source .lines").inner_text()


@pytest.mark.browser
def test_asking_by_keyboard_alone(chromium, shop) -> None:
    with Tab(chromium, shop[0]) as tab:
        page = tab.goto("/documents")
        page.keyboard.press("Tab")
        assert "Skip to the page" in page.evaluate("document.activeElement.innerText")
        page.goto(shop[0] + "/")
        page.locator("body").click(position={"x": 2, "y": 400})
        page.keyboard.press("/")
        page.keyboard.type("How many people sleep in the tent?")
        page.keyboard.press("Enter")
        page.locator(".chip").wait_for()
        page.locator("#question").focus()
        for _ in range(12):
            page.keyboard.press("Shift+Tab")
            if page.evaluate("document.activeElement.classList.contains('chip')"):
                break
        assert "4 people" in page.locator("#float").inner_text(), "focus shows what the pointer would"
        page.keyboard.press("Enter")
        page.locator("#source mark").wait_for()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.classList.contains('chip')"), "back where it was opened"


@pytest.mark.browser
def test_a_stopped_answer_and_a_full_house_are_said_plainly(chromium, shop) -> None:
    address, app = shop
    desk = app.state.house.desk
    with Tab(chromium, address) as tab:
        page = tab.goto("/")
        room, desk.queue = desk.queue, 0
        try:
            page.fill("#question", "How much water does the kettle hold?")
            page.keyboard.press("Enter")
            page.get_by_text("Many people are asking").wait_for()
        finally:
            desk.queue = room
        page.route("**/ask/stream", lambda route: route.abort())
        page.fill("#question", "And now?")
        page.keyboard.press("Enter")
        page.get_by_text("The answer broke off").wait_for()
        assert [text for text in tab.said if "ERR_FAILED" not in text] == []
        tab.said.clear()


# ------------------------------------------------------------------------------------------------ Documents


@pytest.mark.browser
def test_documents_come_in_fail_with_a_reason_and_go(chromium, shop) -> None:
    address, app = shop
    with Tab(chromium, address) as tab:
        page = tab.goto("/documents")
        before = page.locator(".file").count()
        page.fill("#groups", "kitchen，office")
        page.set_input_files("#files", [
            {"name": "grill.md", "mimeType": "text/markdown", "buffer": b"# Grill\n\nThe grill weighs 12 kilograms.\n"},
            {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 this is none"},
            {"name": "page.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"},
        ])
        page.locator(".sending.bad", has_text="page.exe").wait_for()
        assert tab.said.pop().endswith("415 (Unsupported Media Type)"), "the browser notes it by itself"
        page.locator(".file.ready", has_text="grill.md").wait_for()
        groups = page.locator(".file", has_text="grill.md").locator(".badge.warn")
        groups.nth(1).wait_for()
        assert groups.all_inner_texts() == ["kitchen", "office"]
        failed = page.locator(".file.failed", has_text="broken.pdf")
        failed.wait_for()
        assert len(failed.locator(".reason").inner_text()) > 10
        page.fill("input.find", "grill")
        page.locator(".file").nth(1).wait_for(state="detached")
        assert page.locator(".file").count() == 1
        page.locator(".file .remove summary").click()
        page.locator(".file .remove button").click()
        page.locator(".file", has_text="grill.md").wait_for(state="detached")
        assert app.state.house.answering.document("uploads/grill.md", None) is None
        page.goto(address + "/documents")
        assert page.locator(".file").count() == before + 1
        page.get_by_role("button", name="Read all again").click()
        wait(lambda: app.state.house.intake.progress() is None)


@pytest.mark.browser
def test_a_file_is_dropped(chromium, shop) -> None:
    with Tab(chromium, shop[0]) as tab:
        page = tab.goto("/documents")
        data = page.evaluate_handle("""() => { const data = new DataTransfer();
            data.items.add(new File(["# Rope\\n\\nThe rope is 30 metres long.\\n"], "rope.md")); return data; }""")
        page.dispatch_event("#drop", "dragenter", {"dataTransfer": data})
        assert "over" in page.locator("#drop").get_attribute("class")
        page.dispatch_event("#drop", "drop", {"dataTransfer": data})
        page.locator(".file.ready", has_text="rope.md").wait_for()
        page.goto(shop[0] + "/")
        tab.ask("How long is the rope?")
        assert "30 metres" in page.locator(".reply .answer").last.inner_text()


# ------------------------------------------------------------------------------------------------ Compare, Rate, Runs


@pytest.mark.browser
def test_compare_then_rate(chromium, shop) -> None:
    address, app = shop
    project = app.state.house.project
    with Tab(chromium, address) as tab:
        page = tab.goto("/compare")
        for name in ("zero-shot", "few-shot"):
            page.locator(f'input[value="{name}"]').set_checked(name == "zero-shot")
        page.get_by_role("button", name="Start", exact=True).click()
        page.locator('.job[data-state="running"]').wait_for()
        assert "tunewise compare --approach zero-shot --approach rag" in page.locator(".command code").inner_text()
        page.reload()  # a refreshed page finds the job again
        page.locator('.job[data-state="done"]').wait_for(timeout=40_000)
        assert page.locator(".standings tbody tr").count() == 2
        report = page.frame_locator(".report iframe")
        report.locator("#headline").wait_for()
        assert report.locator("#count").inner_text().endswith("questions")
        assert [job.state for job in jobs(project)] == ["done"]
        # The pairs are judged by keyboard; no name is in the page before the end.
        page.goto(address + "/rate")
        page.select_option("[name=a]", "rag")
        page.select_option("[name=b]", "zero-shot")
        page.fill("[name=count]", "3")
        page.get_by_role("button", name="Draw the pairs").click()
        page.get_by_text("0/3, about 1 minutes left").wait_for()
        link = page.url
        assert "zero-shot" not in page.locator("#main").inner_html()
        page.wait_for_timeout(300)
        page.keyboard.press("ArrowLeft")
        page.get_by_text("1/3, about").wait_for()
        page.keyboard.press("u")
        page.get_by_text("0/3, about").wait_for()
        page.keyboard.press("ArrowUp")
        page.get_by_text("1/3, about").wait_for()
        # A key pressed as soon as the next pair stands there is htmx's as well, not a load of the whole page.
        page.evaluate("""() => new Promise((done) => {
            const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            const next = ["ArrowUp", null];
            document.body.addEventListener("htmx:afterSwap", () => {
                const key = next.shift();
                setTimeout(() => key ? press(key) : done());
            });
            press("u"); })""")
        page.get_by_text("1/3, about").wait_for()
        page.goto(address + "/")
        page.goto(link)
        page.get_by_text("1/3, about").wait_for()
        page.keyboard.press("s")
        page.get_by_text("2/3, about").wait_for()
        page.keyboard.press("ArrowRight")
        page.get_by_text("All 3 judged").wait_for()
        assert "zero-shot" in page.locator(".outcome h1").inner_text()
        kept = [rating.payload for rating in app.state.house.state.ratings(kind="pair")]
        assert kept[0]["seconds"] > 0, "the pace that the time left is of"
        said = [each["choice"] for each in kept]
        assert said == ["left", "undo", "tie", "undo", "tie", "skip", "right"]


@pytest.mark.browser
def test_runs_show_the_curve_and_stop_what_runs(chromium, shop) -> None:
    address, app = shop
    project = app.state.house.project
    with Tab(chromium, address) as tab:
        page = tab.goto("/runs")
        run = page.locator(".run", has_text="raft-0123456789ab")
        assert "3.20 → 1.10" in run.inner_text() and run.locator(".curve .line").count() == 1
        page.goto(address + "/compare")
        page.locator(".begin summary").click()
        page.get_by_role("button", name="Start", exact=True).click()
        page.locator('.job[data-state="running"]').wait_for()
        page.goto(address + "/runs")
        page.get_by_role("button", name="Stop").click()
        page.locator(".earlier .badge.warn").first.wait_for()
        assert jobs(project)[0].state == "stopped"


# ------------------------------------------------------------------------------------------------ every page


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_in_both_languages_on_both_screens(chromium, shop, language: str, width: int) -> None:
    with Tab(chromium, shop[0], language=language, width=width, color_scheme="dark") as tab:
        for path in PAGES:
            page = tab.goto(path)
            assert page.locator("html").get_attribute("data-language") == language
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            visible = page.locator("h1").first.inner_text()
            assert bool(re.search("[一-鿿]", visible)) == (language == "zh"), path
            assert page.locator(".command code").count() >= 1, "the command that does the same"
            tabs = page.locator(".tabs a")
            assert tabs.count() == 5 and all(tabs.nth(i).is_visible() for i in range(5))
            unnamed = page.evaluate("""[...document.querySelectorAll("button, a, select, input:not([type=hidden])")]
                .filter((e) => e.checkVisibility() && !(e.innerText || e.getAttribute("aria-label") ||
                e.labels?.length || e.placeholder || e.title)).map((e) => e.outerHTML.slice(0, 120))""")
            assert unnamed == []


@pytest.mark.browser
def test_switching_the_language_keeps_the_place(chromium, shop) -> None:
    with Tab(chromium, shop[0]) as tab:
        page = tab.goto("/documents")
        page.fill("#groups", "staff")
        page.evaluate("scrollTo({top: 200, behavior: 'instant'})")
        anchor = page.locator(".file").nth(1)
        before = anchor.bounding_box()["y"]
        page.click("[data-set-language=zh]")
        assert abs(anchor.bounding_box()["y"] - before) < 30 and page.input_value("#groups") == "staff"
        assert page.locator("h1").inner_text() == "文档" and page.title().startswith("文档")
        assert page.get_attribute("#groups", "placeholder").startswith("所有人")
        page.click("#theme")
        chosen = page.locator("html").get_attribute("data-theme")
        page.goto(shop[0] + "/runs")
        assert page.locator("html").get_attribute("data-language") == "zh", "it is remembered"
        assert page.locator("html").get_attribute("data-theme") == chosen == "dark"


@pytest.mark.browser
def test_empty_pages_say_what_to_do_next(chromium, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "tunewise.toml").write_text('[project]\nname = "new"\nmodel = "echo"\nembedder = "hash"\n')
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    with served(project) as (address, _), Tab(chromium, address) as tab:
        for path in PAGES:
            page = tab.goto(path)
            assert len(page.locator(".empty p").first.inner_text()) > 30, path
        page = tab.goto("/")
        page.get_by_role("link", name="Add documents").click()
        bus = b"# Bus\n\nThe bus leaves at 7.\n"
        page.set_input_files("#files", {"name": "a.md", "mimeType": "text/markdown", "buffer": bus})
        page.locator(".file.ready").wait_for()
        tab.goto("/")
        tab.ask("When does the bus leave?")
        assert "at 7" in page.locator(".reply .answer").inner_text()


@pytest.mark.browser
def test_the_example_is_one_click_away_and_asked_by_another(chromium, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "tunewise.toml").write_text('[project]\nname = "new"\nmodel = "echo"\nembedder = "hash"\n')
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    with served(project) as (address, app), Tab(chromium, address, language="zh") as tab:
        page = tab.goto("/")
        page.get_by_role("button", name="用示例试试").click()
        wait(lambda: app.state.house.answering.documents(None) and not app.state.house.intake.progress(), seconds=40)
        page = tab.goto("/")
        page.locator("[data-example]").first.click()
        page.locator('.reply[data-state="done"]').wait_for()
        assert re.search("[一-鿿]", page.locator(".reply .answer").inner_text())
        assert page.locator(".chip").count() == 1
        assert httpx.post(f"{address}/example", headers={"HX-Request": "true"}).status_code == 400


@pytest.mark.browser
def test_keys_open_the_pages_and_readers_see_what_is_theirs(chromium, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    state = open_state(project)
    secret = state.add_key("cook", groups=["kitchen"])[1]
    state.close()
    with served(project) as (address, _), Tab(chromium, address) as tab:
        page = tab.goto("/documents")
        assert "/login?to=/documents" in page.url
        page.fill("#key", "tw-wrong")
        page.keyboard.press("Enter")
        page.locator("#wrong").wait_for()
        tab.said.clear()  # the browser itself notes the 401
        page.fill("#key", secret)
        page.keyboard.press("Enter")
        page.locator(".file").first.wait_for()
        shown = page.locator(".files").inner_text()
        assert "secret.md" in shown and "payroll.md" not in shown and page.locator("#drop").count() == 0
        tab.goto("/compare")
        assert "for administrators" in page.locator("h1").inner_text()
        tab.said.clear()  # and the 403
        tab.goto("/source?document=payroll.md")
        assert "There is nothing here" in page.locator("h1").inner_text()
        tab.said.clear()
        page.locator('[aria-label="Sign out"]').click()
        page.locator("#key").wait_for()


# ------------------------------------------------------------------------------------------------ hostile texts


@pytest.mark.browser
def test_hostile_texts_stay_text_everywhere(chromium, tmp_path: Path) -> None:
    """A sample of the probes XS1 and XS2 (bench/probes/server.py): every place, twenty texts, of every family."""
    texts = payloads()[::15]
    project = hostile_project(tmp_path / "project", texts)
    with served(project, rate=1_000_000) as (address, app):
        found = look(chromium, address, texts)
        assert app.state.house.desk.inside == 0
    faults = ("dialogs", "console_lines", "foreign_requests", "strange_elements")
    assert [found[what] for what in faults] == [0] * 4, found
    assert found["replies"] == len(texts) == 20 and found["pieces"] == 120 and found["chips"] >= 10, found


def test_a_link_of_sign_in_leads_nowhere_else(shop) -> None:
    for to in (
        "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)",
        "/\t/elsewhere.example", "/\n/elsewhere.example", "/a\\b", "/\r\nSet-Cookie: a=b",
    ):
        got = httpx.get(f"{shop[0]}/login", params={"to": to}, follow_redirects=False)
        assert got.status_code == 303 and got.headers["location"] == "/"


def test_a_reply_is_hidden_when_its_document_is_no_longer_the_readers(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    state = open_state(project)
    cook = {"authorization": f"Bearer {state.add_key('cook', groups=['kitchen'])[1]}"}
    state.close()
    with served(project) as (address, app):
        asked = {"question": "How many spoons of saffron go in?"}
        first = httpx.post(f"{address}/ask", data=asked, headers=cook, timeout=20, follow_redirects=True)
        assert "7 spoons" in first.text
        document = app.state.house.answering.document("secret.md", None)
        catalog = app.state.house.answering.catalog
        catalog.put(replace(document, groups=("office",)), [
            replace(chunk, groups=("office",)) for chunk in catalog.chunks("secret.md")
        ])
        again = httpx.get(str(first.url), headers=cook, timeout=20)
        assert "7 spoons" not in again.text and "may no longer see" in again.text


def test_what_an_adapter_learned_is_kept_with_its_answers(tmp_path: Path, monkeypatch) -> None:
    from tunewise.jobs.answering import Answering

    project = make_project(tmp_path)
    state = open_state(project)
    cook = {"authorization": f"Bearer {state.add_key('cook', groups=['kitchen'])[1]}"}
    state.close()
    monkeypatch.setattr(Answering, "learned", lambda self, approach: (["secret.md"], []), raising=False)
    with served(project) as (address, app):
        asked = {"question": "How much water does the kettle hold?", "approach": "zero-shot"}
        first = httpx.post(f"{address}/ask", data=asked, headers=cook, timeout=20, follow_redirects=True)
        assert "may no longer see" not in first.text
        catalog = app.state.house.answering.catalog
        document = app.state.house.answering.document("secret.md", None)
        catalog.put(replace(document, groups=("office",)), [
            replace(chunk, groups=("office",)) for chunk in catalog.chunks("secret.md")
        ])
        # No passage of it was read: the weights know it.
        assert "may no longer see" in httpx.get(str(first.url), headers=cook, timeout=20).text


def test_a_revoked_key_ends_its_open_page_and_every_question_is_in_the_audit_log(tmp_path: Path, monkeypatch) -> None:
    import threading

    from tunewise.models import Generated, streaming

    gate = threading.Event()

    def generate(self, prompts, decoding):
        gate.wait(20)
        return [Generated("late", 1, 1, 0.0) for _ in prompts]

    project = make_project(tmp_path)
    state = open_state(project)
    anna = {"authorization": f"Bearer {state.add_key('anna')[1]}"}
    with served(project) as (address, app):
        httpx.post(f"{address}/ask", data={"question": "What does the kettle hold?"}, headers=anna, timeout=20)
        monkeypatch.setattr(streaming.Streaming, "generate", generate)
        told = []

        def ask():
            told.append(httpx.post(f"{address}/ask/stream", data={"question": "Lamp?"}, headers=anna, timeout=15).text)

        tab = threading.Thread(target=ask)
        tab.start()
        wait(lambda: app.state.house.desk.inside == 1)
        state.revoke_key("anna")
        tab.join(6)
        assert told and "this key was revoked" in told[0] and "late" not in told[0]
        gate.set()
        asked = [line for line in app.state.house.state.audit() if line.action == "ask"]
        assert [line.principal for line in asked] == ["anna", "anna"]
    state.close()


def test_readers_see_neither_totals_nor_sessions_of_what_cannot_be_told(tmp_path: Path, monkeypatch) -> None:
    from types import SimpleNamespace

    from tunewise.jobs.answering import Answering, Offer
    from tunewise.server.intake import Intake
    from tunewise.server.pages import rate
    from tunewise.server.principals import Principal

    project = make_project(tmp_path)
    state = open_state(project)
    keys = {role: {"authorization": f"Bearer {state.add_key(role, role=role)[1]}"} for role in ("reader", "admin")}
    state.close()
    monkeypatch.setattr(Intake, "progress", lambda self: ("reading", 3, 987))
    with served(project) as (address, app):
        assert "987" in httpx.get(f"{address}/documents", headers=keys["admin"]).text
        assert "987" not in httpx.get(f"{address}/documents", headers=keys["reader"]).text
        rag = project.approach("rag")
        lost = Offer("tuned", rag, False, False, "its adapter is gone")
        monkeypatch.setattr(Answering, "approaches", lambda self, groups: [Offer("rag", rag, True, True), lost])
        session = SimpleNamespace(a="rag", b="tuned", pairs=())
        house = app.state.house
        assert not rate._may(house, Principal("reader"), session)
        assert rate._may(house, Principal("reader"), SimpleNamespace(a="rag", b="rag", pairs=()))


def test_judgements_have_one_shape_on_pages_and_in_the_api(tmp_path: Path) -> None:
    with served(make_project(tmp_path)) as (address, app):
        asked = {"question": "How much water does the kettle hold?"}
        first = httpx.post(f"{address}/ask", data=asked, timeout=20, follow_redirects=True)
        (id,) = set(re.findall(r'id="judge-(\w+)"', first.text))
        httpx.post(f"{address}/answers/{id}/judge", data={"verdict": "evidence", "better": "2 litres"})
        httpx.post(f"{address}/v1/ratings", json={"kind": "thumb", "answer": id, "verdict": "right"})
        page, api = (one.payload for one in app.state.house.state.ratings(kind="thumb"))
        assert page == {"answer": id, "verdict": "wrong", "reason": "evidence", "note": "2 litres"}
        assert page.keys() == api.keys()
        assert "/judge" not in httpx.get(str(first.url)).text, "what was judged is not asked again"


def test_a_source_of_many_lines_opens_as_a_window() -> None:
    from tunewise.nouns import Document
    from tunewise.server.pages import source

    text = "\n".join(f"line {n}" for n in range(1, 20_001))
    document = Document("long.md", text, "long", "r")
    start = text.index("line 9000")
    shown = source._lines(document, start, start + 9, False)
    assert (shown["first"], shown["last"], shown["total"], shown["cut"]) == (8940, 9059, 20_000, True)
    (cited,) = [line for line in shown["lines"] if line["cited"]]
    assert (cited["number"], cited["before"], cited["marked"], cited["after"]) == (9000, "", "line 9000", "")
    whole = source._lines(document, start, start + 9, True)
    assert len(whole["lines"]) == source.MOST and any(line["cited"] for line in whole["lines"])
    assert len(source._lines(document, 0, len(text), False)["lines"]) == source.MOST
    short = source._lines(Document("s.md", "a\n\nb c\nd", "s", "r"), 3, 6, False)
    assert [(one["before"], one["marked"]) for one in short["lines"]] == [("a", ""), ("", ""), ("", "b c"), ("d", "")]
    wide = source._lines(Document("w.md", "x" * 10**6, "w", "r"), 500_000, 500_010, False)["lines"]
    assert len(wide) == 1 and wide[0]["marked"] == "x" * 10 and len(wide[0]["before"]) < 30_000


def test_a_picture_is_of_the_file_that_was_read_or_none(tmp_path: Path) -> None:
    import os

    (tmp_path / "documents").mkdir()
    file = tmp_path / "documents" / "warranty.pdf"
    shutil.copy(HANDBOOK / "documents" / "policies" / "warranty.pdf", file)
    (tmp_path / "tunewise.toml").write_text('[project]\nname = "pdf"\nmodel = "echo"\nembedder = "hash"\n')
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    ingest(project.documents, project=project.root, embedder="hash")
    with served(project) as (address, app):
        revision = app.state.house.answering.document("warranty.pdf", None).revision
        wanted = {"document": "warranty.pdf", "number": 1, "revision": revision}
        got = httpx.get(f"{address}/source/page.png", params=wanted, timeout=20)
        assert got.content.startswith(b"\x89PNG") and got.headers["cache-control"] == "no-store"
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert httpx.get(f"{address}/source/page.png", params=wanted, timeout=20).status_code == 404
        about = {"document": "warranty.pdf", "start": 0, "end": 20, "revision": revision}
        assert "<image" not in httpx.get(f"{address}/source", params=about, timeout=20).text
