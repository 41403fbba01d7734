"""E-mail (.eml, .msg) → Draft: subject, sender, date and body, and what is attached as sections of their own.

The standard library reads .eml, python-oxmsg reads Outlook's .msg. Knows nothing about mail servers.
"""

from __future__ import annotations

import datetime
import email
import email.header
import email.policy
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from tunewise.errors import DataMistake, MissingExtra
from tunewise.reading.draft import Block, Draft, assemble, one_line
from tunewise.reading.plain import decode
from tunewise.reading.web import page_blocks

_MOST_PARTS = 200
_SEALS = frozenset(("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"))
"""What says who wrote a message, and nothing else."""
Attached = Callable[[str, bytes], Draft]
"""Reads an attachment by its file name; DataMistake for a kind that is not read, or for a damaged one."""


def read_eml(data: bytes, attached: Attached) -> Draft:
    """The bytes of an .eml file → Draft; attachments that could not be read are named in its notes.

    Raises DataMistake when it is no message or holds no text.
    """
    if not data.strip():
        raise DataMistake("the file is empty", tip="save the message again, or take the file away")
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not any(_header(message, name) for name in ("from", "date", "subject", "received", "message-id", "to")):
        raise DataMistake("it is no e-mail message: it has no header", tip="save the message again as .eml")
    blocks: list[Block] = []
    notes: list[str] = []
    files: list[tuple[str, bytes | None]] = []
    for number, part in enumerate(_texts(message)):
        if number >= _MOST_PARTS:
            raise DataMistake(f"it has more than {_MOST_PARTS} parts", tip="split the message")
        name = _file_name(part)
        if part.get_content_type() in _SEALS:
            continue
        if part.get_content_type() == "message/rfc822" or (part.get_content_disposition() == "attachment" or name):
            files.append((name or "message.eml", _bytes(part)))
        elif part.get_content_maintype() == "text":
            blocks.extend(_body(part, notes))
        elif data := _bytes(part):
            files.append((f"part {number + 1}{mimetypes.guess_extension(part.get_content_type()) or ''}", data))
    return _draft(
        subject=_header(message, "subject"),
        lines=[(label, _header(message, label.lower())) for label in ("From", "To", "Cc", "Date")],
        body=blocks, files=files, attached=attached, notes=notes,
    )


def _header(message: Any, name: str) -> str:
    try:
        return one_line(str(message.get(name) or ""))
    except (ValueError, TypeError, IndexError, AttributeError, LookupError):
        # The library's own parser of headers fails on some that mailers do write.
        raw = next((value for key, value in message.raw_items() if key.lower() == name), "")
        return one_line(str(raw))


def _texts(message: Any, depth: int = 0) -> Iterator[Any]:
    """Leaf parts; of alternatives the plain one, unless it is empty."""
    if depth > 20:
        raise DataMistake("its parts are nested too deeply", tip="save the message again")
    if message.get_content_type() == "message/rfc822" and depth:
        yield message
    elif message.get_content_type() == "multipart/alternative":
        choices = list(message.iter_parts())
        plain = [part for part in choices if part.get_content_type() == "text/plain" and _bytes(part).strip()]
        chosen = plain[0] if plain else choices[-1] if choices else None
        for part in choices:
            for leaf in _texts(part, depth + 1):
                # Some mailers put what is attached beside one of the two texts; the pictures there only adorn it.
                if part is chosen or leaf.get_content_disposition() == "attachment" or (
                    _file_name(leaf) and leaf.get_content_maintype() not in ("image", "text")
                ):
                    yield leaf
    elif message.is_multipart():
        for part in message.iter_parts():
            yield from _texts(part, depth + 1)
    else:
        yield message


def _bytes(part: Any) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        return inner[0].as_bytes() if isinstance(inner, list) and inner else b""
    return part.get_payload(decode=True) or b""


def _file_name(part: Any) -> str:
    try:
        # A name is a name: whatever folders it tells are not followed.
        return PurePath((part.get_filename() or "").replace("\\", "/")).name
    except (ValueError, TypeError, LookupError):
        return "attachment"


def _body(part: Any, notes: list[str]) -> list[Block]:
    data = _bytes(part)
    if not data.strip():
        return []
    charset = part.get_content_charset() or ""
    try:
        text = data.decode("gb18030" if charset in ("gb2312", "gbk") else charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        text = decode(data, notes)
    if part.get_content_type() == "text/html":
        return _html(text)
    return _paragraphs(text)


def _html(text: str) -> list[Block]:
    try:
        return page_blocks(text.encode("utf-8", "replace"), encoding="utf-8")
    except DataMistake:
        # A message may well be a picture and nothing else.
        return []


def _paragraphs(text: str) -> list[Block]:
    return [Block(part.strip("\n")) for part in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")) if part.strip()]


# ------------------------------------------------------------------------------------------------ Outlook


def read_msg(data: bytes, attached: Attached) -> Draft:
    """The bytes of an Outlook .msg file → Draft; raises DataMistake when it is damaged or holds no text."""
    from oxmsg import Message

    if not data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataMistake(
            "it is no Outlook message" if data else "the file is empty (0 bytes)", tip="save the message again as .msg"
        )
    try:
        message = Message.load(data)
        body = message.body or ""
        html = message.html_body or ""
        blocks = _paragraphs(body) if body.strip() else _html(html) if html.strip() else []
        files = [(one.file_name or "attachment", one.file_bytes) for one in message.attachments[:_MOST_PARTS]]
        notes = []
        if (beyond := len(message.attachments) - _MOST_PARTS) > 0:
            notes.append(f"{beyond} of its attachments were not read: only the first {_MOST_PARTS} are")
        sent = message.sent_date
        lines = [
            ("From", str(email.header.make_header(email.header.decode_header(message.sender or "")))),
            ("To", ", ".join(_person(one) for one in message.recipients)),
            ("Date", sent.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC") if sent else ""),
        ]
        subject = message.subject or ""
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - olefile and oxmsg raise whatever a damaged file makes them stumble over
        raise DataMistake(
            f"the message is damaged: {one_line(str(error))[:120]}", tip="save it again from Outlook, or as .eml"
        ) from error
    return _draft(subject=subject, lines=lines, body=blocks, files=files, attached=attached, notes=notes)


def _person(recipient: Any) -> str:
    name, address = one_line(recipient.name or ""), one_line(recipient.email_address or "")
    return f"{name} <{address}>" if name and address and name != address else name or address


# ------------------------------------------------------------------------------------------------ both


def _draft(
    *,
    subject: str,
    lines: list[tuple[str, str]],
    body: list[Block],
    files: list[tuple[str, bytes | None]],
    attached: Attached,
    notes: list[str],
) -> Draft:
    blocks = [Block(subject, level=1)] if subject.strip() else []
    if head := "\n".join(f"{label}: {one_line(value)}" for label, value in lines if value.strip()):
        blocks.append(Block(head))
    blocks.extend(body)
    sections = 0
    for name, data in files:
        try:
            if data is None:
                raise DataMistake("it is a message or an object inside of this one: save it by itself")
            draft = attached(name, data)
        except (DataMistake, MissingExtra) as error:
            # A picture in a signature must not cost the message where no OCR is installed.
            notes.append(f"its attachment {name!r} could not be read: {error.message}")
            continue
        if not draft.text.strip():
            notes.append(f"its attachment {name!r} holds no text")
        else:
            sections += 1
            blocks.append(Block(f"Attachment: {name}", level=2))
            blocks.extend(_parts(draft))
            notes.extend(f"its attachment {name!r}: {note}" for note in draft.notes)
    if not body and not sections:
        why = f"; {notes[0]}" if notes else " (only pictures, or nothing)"
        raise DataMistake(f"the message holds no text{why}", tip="take the file away, or save its attachments")
    return assemble(blocks, title=subject, notes=notes)


def _parts(draft: Draft) -> Iterator[Block]:
    """A draft's text as blocks again, its headings two levels lower."""
    position = 0
    for heading in draft.headings:
        yield Block(draft.text[position : heading.start])
        yield Block(heading.title, level=min(heading.level + 2, 6))
        position = heading.end
    yield Block(draft.text[position:])
