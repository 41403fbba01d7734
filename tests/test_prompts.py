"""The one renderer: what is in a prompt, what never becomes one, and refusals."""

import pytest

from tunewise.errors import ConfigMistake
from tunewise.nouns import Chunk, Hit
from tunewise.prompts import REFUSAL, final_answer, is_refusal, passages, reads_passages, render, templates


def hit(text: str, *, title: str = "Returns", heading: str = "", rank: int = 1) -> Hit:
    return Hit(Chunk("c", "returns.md", "r", 0, len(text), text, title=title, heading=heading), 1.0, rank)


def test_passages_are_numbered_and_say_where_they_come_from():
    shown = passages(
        [hit("Send it back within 30 days.", heading="Time limits"), hit("No fee.", title="Prices", rank=2)]
    )
    assert shown == "[1] Returns > Time limits\nSend it back within 30 days.\n\n[2] Prices\nNo fee."


def test_a_prompt_is_in_the_language_of_its_question():
    english = render("grounded", "How long?", language="en", hits=[hit("30 days.")])
    chinese = render("grounded", "多久？", language="zh", hits=[hit("三十天。")])
    assert REFUSAL["en"] in english[0]["content"] and english[-1]["content"].endswith(
        "Question: How long?\nShort answer:"
    )
    assert REFUSAL["zh"] in chinese[0]["content"] and chinese[-1]["content"].endswith("问题：多久？\n简短回答：")


def test_braces_and_fields_in_documents_and_questions_stay_text():
    messages = render("grounded", "What is {refusal}?", language="en", hits=[hit("Write {question} or {passages}.")])
    assert "Write {question} or {passages}." in messages[-1]["content"]
    assert messages[-1]["content"].endswith("Question: What is {refusal}?\nShort answer:")


def test_examples_are_earlier_turns():
    messages = render("answer", "Third?", language="en", examples=[("First?", "one"), ("Second?", "two")])
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[2]["content"] == "one" and messages[1]["content"] == "Question: First?"


def test_which_templates_read_passages():
    assert {name: reads_passages(name) for name in templates()} == {
        "answer": False,
        "chain-of-thought": False,
        "grounded": True,
        "quoted": True,
    }


def test_a_template_of_the_users_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[en]\nsystem = "Be brief."\nuser = "{passages} Q: {question}"\n', encoding="utf-8")
    assert render(str(path), "Why?", language="zh", hits=[hit("So.")])[-1]["content"].endswith("Q: Why?")


@pytest.mark.parametrize("text", ["[en]\nuser = 'no field'\n", "not toml at all = = ="])
def test_a_broken_template_names_its_file(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigMistake, match="mine.toml"):
        render(str(path), "Why?", language="en")


def test_an_unknown_template_lists_the_known():
    with pytest.raises(ConfigMistake) as error:
        render("nope", "Why?", language="en")
    assert "grounded" in error.value.tip


REFUSALS = [
    "Not in the documents.", "I'm sorry, but the documents do not mention this.", "Sorry, I don't know.",
    "I couldn't find any information about that.", "The provided documents do not contain this information.",
    "It is not mentioned in the documents.", "The answer is not in the passages.",
    "The information is not available.", "Unfortunately, the passages don't say.",
    "I am afraid I cannot answer this question.", "There is no information about this in the text.", "No answer.",
    "Unanswerable", "These documents do not specify a deadline.",
    "Based on the provided context, I cannot determine the fee.", "The context does not provide this.",
    "I do not have enough information to answer.", "Not specified.",
    "The question cannot be answered from the documents.", "This is not stated in the handbook.",
    "The documents contain no information on this.", "I could not find the answer.", "No information is given.",
    "Unknown", "抱歉，文档中没有相关信息。", "对不起，我不知道。", "文档没有提到。", "资料中未提及。", "文档中没有。",
    "我不知道。", "无法回答。", "根据提供的资料，无法确定。", "所提供的文档中没有提到这一点。", "没有找到相关信息。",
    "未说明", "很抱歉，我无法回答这个问题。", "这些资料里没有说明。", "不清楚。", "上述段落未提及。",
    "无法从文档中得知。", "not in the document", "The passages do not contain the answer.", "I don't know.",
    "段落中没有提到。", "无法确定。", "There is no information about this.", "The answer is not given.",
]
ANSWERS = [
    "No answer is required for orders under 5 euros.", "30 days", "The answer is given in chapter 2: 30 days.",
    "It is not allowed.", "No.", "Not refundable.", "The information is provided by the service desk.",
    "I would say 30 days.", "The documents must be signed.", "There is no fee.",
    "The document is stored for ten years.", "Unknown items are returned to the sender.",
    "The passage between the halls is closed at night.", "Not before Monday.",
    "No information desk is open on Sunday.", "Nobody knows better than the warehouse: 14 days.",
    "The text message is sent at once.", "Sorry sheets go to room 4.", "The documents do.",
    "It is stated in the handbook: two years.", "没有费用。", "不可以。", "未成年人不得进入。", "文档保存十年。",
    "资料室在二楼。", "不能退货。", "没有", "信息安全部负责。", "内容须经审核。", "无法兰的管道",
    "文件柜有三把钥匙。", "我司不收取费用。", "不超过30天", "资料不得带出公司。", "未开封的产品可以退货。",
    "文中规定为30天。", "不对外销售", "没有上限", "提供的资料包括发票", "根据手册第3章，保修期为两年。", "",
    "No fee is charged.", "Not later than May", "三十天", "No",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_seen(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_not_taken_for_refusals(text):
    assert not is_refusal(text)


def test_only_what_follows_the_marker_is_the_answer():
    assert final_answer("chain-of-thought", "It says so. Answer: 30 days", language="en") == "30 days"
    assert final_answer("chain-of-thought", "A thought.\nThe end.", language="en") == "The end."
    assert final_answer("chain-of-thought", "想一想。答案：三十天", language="zh") == "三十天"
    assert final_answer("answer", " Answer: 3 ", language="en") == "Answer: 3"
    assert final_answer("chain-of-thought", "  ", language="en") == ""
