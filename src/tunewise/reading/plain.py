"""Markdown and plain text: bytes of any common encoding → Draft.

Markdown keeps its text as written; only front matter goes. Knows nothing about other formats.
"""

from __future__ import annotations

import codecs
import re

from tunewise.errors import DataMistake
from tunewise.nouns import Heading
from tunewise.reading.draft import Draft, clean, one_line

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Old encodings all "succeed" on each other's bytes; a language shows itself by its commonest characters.
_COMMON = frozenset(
    "的一是不了在人有我他这中大来上个国和也地到说时要就出会可你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此"
    "已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回"
    "特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总"
    "这個們來國對時說會為後過發裡種從還進樣於無與長機關點業將兩間問並應戰向頭體見產話內給門請員務條款規則費單號電話"
    "公司员工保修退货客户服务产品时间政策规定申请费用日期编号信息管理"
)
_EASTERN = ("gb18030", "big5", "big5hkscs", "cp932", "euc_jp", "cp949")
_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3041-\u30fe\uac00-\ud7a3]")
# Words of every Japanese list of people and places; kana count as common in Japanese, syllables in Korean.
_JAPANESE = frozenset(
    "日本年月名前住所東京大阪佐藤鈴木高橋田中山川村社会株式電話番号様円店県市区町男女氏姓齢販売製品保証期間購入"
)
_NOT_WESTERN = re.compile("[^\x00-\u017f\u2010-\u2122\ufffd]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc]")
_SYLLABLES = re.compile("[\uac00-\ud7a3]")


def decode(data: bytes, notes: list[str] | None = None) -> str:
    """Bytes → text by byte order mark, UTF-8, or the most likely old encoding.

    UTF-8 with a few damaged places is UTF-8 with U+FFFD there, which is said in `notes`. Raises DataMistake when it is
    binary or when no encoding is plainly the right one.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(name).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                raise _undecidable(f"it says that it is {name}, but byte {error.start} is not") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is not None and text.count("\0") * 20 <= len(text):
        return text
    if b"\0" in data:
        return _wide(data)
    if text is None and (text := _damaged_utf8(data)):
        if notes is not None:
            # Those that were in the file already are no damage of ours to tell.
            places = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
            notes.append(f"it is UTF-8 but for {places} damaged place(s), read as \ufffd")
        return text
    return _old(data)


def _damaged_utf8(data: bytes) -> str:
    """The text when nearly all of its bytes above 127 are letters of UTF-8; else "".

    By chance a pair of bytes of an old Chinese encoding is a letter of UTF-8 one time in seven, of a Western one next
    to never: five good ones to one bad, or two in a Western text, are no chance.
    """
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    good = len(text) - len(text.encode("ascii", "ignore")) - text.count("\ufffd")
    if good >= 5 * bad:
        return text
    western = good >= 2 * bad and good * 4 <= len(text) and not _NOT_WESTERN.search(text)
    return text if western else ""


def _undecidable(why: str) -> DataMistake:
    return DataMistake(f"its encoding cannot be told: {why}", tip="save the file as UTF-8 and run the command again")


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: NULs stand at even (big-endian) or odd (little-endian) places only."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    name = "utf-16-be" if even > odd else "utf-16-le"
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        text = "\0"
    if min(even, odd) * 20 > max(even, odd) or "\0" in text:
        raise DataMistake("it is a binary file, not text", tip="give it the suffix of its real format")
    return text


def _old(data: bytes) -> str:
    # Eastern ones first: statistics by character need a few dozen bytes where the library needs a few hundred.
    found: list[tuple[float, str]] = []
    for name in _EASTERN:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        letters = _CJK.findall(text)
        others = sum(1 for c in text if ord(c) > 0x7F) - len(letters)
        if letters:
            share = _usual(name, text, letters) / (len(letters) + max(0, others - len(letters)))
            # Chinese is the likelier here: a few characters of it must not be taken for another language.
            found.append((share if name in _EASTERN[:3] else 0.7 * share * (len(letters) > 7), text))
    found.sort(key=lambda item: -item[0])
    if found and found[0][0] >= 0.25 and len(_CJK.findall(found[0][1])) >= 4:
        return found[0][1]

    from charset_normalizer import from_bytes

    matches = list(from_bytes(data, cp_exclusion=["utf_7"]))
    equal = {m.encoding: str(m) for m in matches if (m.chaos, m.coherence) == (matches[0].chaos, matches[0].coherence)}
    # Among equals the commonest; otherwise a guess would change letters without a word.
    text = equal.get("cp1252") or (equal.popitem()[1] if len(set(equal.values())) == 1 else "")
    if text and _looks_like_text(text) and matches[0].coherence > 0:
        return text
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    high = sum(1 for c in text if ord(c) > 0x7F)
    # West European text has single accented letters within ASCII words; anything denser is something else.
    if text and high * 8 <= len(text) and _looks_like_text(text):
        return text
    raise _undecidable("it is not UTF-8, and no older encoding gives readable text")


def _usual(name: str, text: str, letters: list[str]) -> int:
    """How many of the letters are common in the language that the encoding is of."""
    if name in ("cp932", "euc_jp"):
        # Kana that stand alone among rare characters are what other encodings look like.
        kana = len(_KANA.findall(text))
        return sum(c in _JAPANESE or c in _COMMON for c in letters) + (kana if kana * 5 > len(letters) else 0)
    if name == "cp949":
        syllables = len(_SYLLABLES.findall(text))
        return syllables if syllables * 10 > 9 * len(letters) else 0
    return sum(c in _COMMON for c in letters)


def _looks_like_text(text: str) -> bool:
    controls = sum(1 for c in text if ord(c) < 32 and c not in "\t\n\r\x0b\x0c\x1b")
    return bool(text.strip()) and controls * 100 <= len(text)


# ------------------------------------------------------------------------------------------------ Markdown

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FRONT = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_KEY = re.compile(r"""(?:[A-Za-z_][\w .-]*|"[^"\n]+"|'[^'\n]+')[ \t]*:(?:[ \t]|$)""")
_MARKUP = re.compile(r"\[([^\[\]]*)\]\([^()]*\)|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_NOT_PARAGRAPH = re.compile(r" {0,3}(?:[-*+>|]|\d+[.)])[ \t]|\s*\||\s*$")


def read_markdown(data: bytes) -> Draft:
    """Markdown → Draft: the text as written without front matter; ATX and setext headings noted."""
    notes: list[str] = []
    text = clean(decode(data, notes))
    title = ""
    front = _FRONT.match(text)
    if front and _is_front_matter(front.group(1) or ""):
        named = _TITLE.search(front.group(1) or "")
        title = named.group(1).strip("\"'") if named else ""
        text = text[front.end() :]
    text = text.strip("\n")
    headings = _headings(text)
    if not title and headings:
        title = headings[0].title
    return Draft(text, one_line(title), headings, notes=notes)


def _is_front_matter(text: str) -> bool:
    """Whether all of its lines are settings, as YAML writes them: a text between two rules would be lost else."""
    # Between a rule and a text there is often an empty line, between a mark and its settings hardly ever.
    lines = (text.strip("\n") if _TITLE.search(text) else text).split("\n")
    if text.strip() and not _KEY.match(lines[0]):
        return False
    for place, line in enumerate(lines):
        if line.strip() and not (_KEY.match(line) or line.startswith((" ", "\t", "- ", "#")) or line == "-"):
            return False
        # A comment belongs to the key below it; a heading has room below it.
        if line.startswith("#") and not "".join(lines[place + 1 : place + 2]).strip():
            return False
    return True


def _headings(text: str) -> tuple[Heading, ...]:
    found: list[Heading] = []
    fence = ""
    position = 0
    paragraph: list[tuple[int, str]] = []
    for line in text.split("\n"):
        start, position = position, position + len(line) + 1
        if fence:
            if (closing := _FENCE.match(line)) and closing.group(1).startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif opening := _FENCE.match(line):
            fence = opening.group(1)
            paragraph.clear()
        elif atx := _ATX.match(line):
            if name := _plain(atx.group(2) or ""):
                found.append(Heading(len(atx.group(1)), name, start, start + len(line)))
            paragraph.clear()
        elif (under := _SETEXT.match(line)) and len(paragraph) == 1:
            # The span holds both lines: a title and its underline are one heading.
            if name := _plain(paragraph[0][1]):
                found.append(Heading(1 if "=" in under.group(1) else 2, name, paragraph[0][0], start + len(line)))
            paragraph.clear()
        elif _NOT_PARAGRAPH.match(line):
            paragraph.clear()
        else:
            paragraph.append((start, line))
    return tuple(found)


def _plain(title: str) -> str:
    return one_line(_MARKUP.sub(lambda match: match.group(1) or "", title).replace("\\", ""))


def read_text(data: bytes) -> Draft:
    """Plain text → Draft; its title is its first line when that is short and stands alone."""
    notes: list[str] = []
    text = clean(decode(data, notes)).strip("\n")
    first, _, rest = text.partition("\n")
    lonely = not rest or rest.startswith("\n")
    title = (
        one_line(first)
        if lonely and rest and len(first) <= 80 and not first.rstrip().endswith((".", "。", ",", "，"))
        else ""
    )
    return Draft(text, title, notes=notes)
