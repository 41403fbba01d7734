"""A comparison killed with SIGKILL ends with the same table and asks an endpoint for nothing that it has: RP2."""

from __future__ import annotations

from killed_comparison import Nursery, Stub, killed, make_project
from tunewise.models import load_model
from tunewise.nouns import Decoding


def test_killed_at_six_points(tmp_path):
    with Nursery() as nursery:
        whole = killed(nursery, make_project(tmp_path / "whole", 16), kills=0, total=1)
        assert whole.requests == 64 and not whole.lost, "three approaches and the self-test, each question once"
        broken = killed(nursery, make_project(tmp_path / "broken", 16), kills=6, total=whole.requests, seed=1)
    assert broken.table == whole.table and b"few-shot" in whole.table and broken.kills >= 5
    assert broken.requests == whole.requests + sum(broken.lost)
    assert all(0 <= lost <= 4 for lost in broken.lost), "no more than what was on its way"


def test_an_endpoint_keeps_its_replies(tmp_path, monkeypatch):
    stub = Stub(0.0)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{stub.server_port}/v1")
    prompts = [[{"role": "user", "content": f"{i}?"}] for i in range(6)]
    journal = tmp_path / "runs" / "replies.jsonl"
    first = load_model("openai:stub", journal=journal).generate(prompts, Decoding())
    assert load_model("openai:stub", journal=journal).generate(prompts, Decoding()) == first and stub.total == 6
    load_model("openai:stub", journal=journal).generate(prompts, Decoding(max_new_tokens=7))
    assert stub.total == 12, "other settings are another question"
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) - 5])
    load_model("openai:stub", journal=journal).generate(prompts, Decoding(max_new_tokens=7))
    assert stub.total == 13, "a torn reply is asked for again"
    stub.shutdown()
    stub.server_close()
