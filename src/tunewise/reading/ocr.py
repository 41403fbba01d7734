"""A picture → lines of text with their places, by RapidOCR (the optional extra `ocr`): English and Chinese, offline.

Its models are inside of its wheel. Knows nothing about files: it is given pictures.
"""

from __future__ import annotations

import logging
import os
import statistics
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from tunewise.errors import DataMistake, need

FEATURE = "reading scanned pages and pictures"
EXTRA = "ocr"
MOST_PIXELS = 40_000_000
"""Pixels of one picture; a larger one is refused before it is unpacked."""
_SMALLER = "save it at a lower resolution (300 points for an inch are enough)"
_LONGEST_SIDE = 2400
_LEAST_SURE = 0.5
_UPSIDE_DOWN = 0.85
"""Upright print is read with more certainty than this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A line that was recognised: its text and its box in pixels from the top left, `sure` from 0 to 1.

    `cells` are its pieces, (text, left, right), where wide gaps part it, as in a row of a table.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    sure: float
    cells: tuple[tuple[str, float, float], ...] = ()

    def scaled(self, factor: float) -> Seen:
        """The same line on a picture that is `factor` times as large."""
        return Seen(
            self.text, self.left * factor, self.top * factor, self.right * factor, self.bottom * factor, self.sure,
            tuple((text, left * factor, right * factor) for text, left, right in self.cells),
        )


def available() -> bool:
    """Whether the extra `ocr` is installed."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def recognise(picture: Any) -> list[Seen]:
    """The lines of a PIL picture in reading order; MissingExtra without the extra `ocr`.

    A picture that lies on its side is turned: whichever way its lines are read with most certainty.
    """
    picture = picture.convert("RGB")
    if min(picture.size) < 8:
        return []
    shrink = min(1.0, _LONGEST_SIDE / max(picture.size))
    if shrink < 1:
        picture = picture.resize((max(8, round(picture.width * shrink)), max(8, round(picture.height * shrink))))
    found = _in_order(_read(picture))
    if found and statistics.median(one.bottom - one.top - (one.right - one.left) for one in found) > 0:
        found = max((found, *(_turned(picture, quarter) for quarter in (1, 3))), key=_certainty)
    elif found and statistics.median(one.sure for one in found) < _UPSIDE_DOWN:
        found = max((found, _turned(picture, 2)), key=_certainty)
    return [one.scaled(1 / shrink) for one in found]


def _certainty(lines: list[Seen]) -> float:
    return sum(one.sure * len(one.text) for one in lines if one.sure > _LEAST_SURE)


def _turned(picture: Any, quarter: int) -> list[Seen]:
    """Read with the picture turned `quarter` times to the left; boxes as in the picture before."""
    from PIL import Image

    turn = Image.Transpose
    width, height = picture.size
    turned = picture.transpose({1: turn.ROTATE_90, 2: turn.ROTATE_180, 3: turn.ROTATE_270}[quarter])
    back = {
        1: lambda one: (width - one.bottom, one.left, width - one.top, one.right),
        2: lambda one: (width - one.right, height - one.bottom, width - one.left, height - one.top),
        3: lambda one: (one.top, height - one.right, one.bottom, height - one.left),
    }[quarter]
    # In order before they are turned back: rows and columns are those of the upright page. So are its cells.
    return [Seen(one.text, *back(one), one.sure) for one in _in_order(_read(turned))]


def _read(picture: Any) -> list[Seen]:
    import numpy

    result = _engine()(numpy.asarray(picture)[:, :, ::-1])
    if result is None or not result.txts:
        return []
    lines = []
    for corners, text, sure in zip(result.boxes, result.txts, result.scores, strict=True):
        if text.strip() and sure >= _LEAST_SURE:
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            lines.append(Seen(text.strip(), float(left), float(top), float(right), float(bottom), float(sure)))
    return lines


@cache
def _engine() -> Any:
    need("onnxruntime", feature=FEATURE, extra=EXTRA)
    rapidocr = need("rapidocr", feature=FEATURE, extra=EXTRA)
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or 1))
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            # It turns upright lines of long words upside down (2 of 37 on a clean page of print): whole pages are
            # turned here instead.
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # Its pool keeps the memory of the largest picture for ever.
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
        }
    )


def _in_order(lines: list[Seen]) -> list[Seen]:
    """Columns one after the other where long lines stand side by side; else rows from the top down."""
    if len(lines) > 5 and (cut := _gutter(lines)) is not None:
        left = [one for one in lines if one.right <= cut]
        right = [one for one in lines if one.left >= cut]
        across = [one for one in lines if one not in left and one not in right]
        top = min(one.top for one in left + right)
        above = [one for one in across if one.top < top]
        below = [one for one in across if one.top >= top]
        return _rows(above) + _in_order(left) + _in_order(right) + _rows(below)
    return _rows(lines)


def _gutter(lines: list[Seen]) -> float | None:
    """Where two columns part: a place that hardly a line crosses, with several long lines on both sides."""
    start, end = min(one.left for one in lines), max(one.right for one in lines)
    for step in range(35, 66):
        place = start + (end - start) * step / 100
        left = [one for one in lines if one.right <= place]
        right = [one for one in lines if one.left >= place]
        crossing = len(lines) - len(left) - len(right)
        if min(len(left), len(right)) >= 4 and crossing * 10 <= len(lines) and _long(left) and _long(right):
            return place
    return None


def _long(lines: list[Seen]) -> bool:
    # Labels with values beside them are no columns: their lines are short.
    return statistics.median(len(one.text.encode("gb18030", "replace")) for one in lines) >= 24


def _rows(lines: list[Seen]) -> list[Seen]:
    """From the top down; pieces at one height as one line."""
    rows: list[list[Seen]] = []
    for one in sorted(lines, key=lambda line: line.top + line.bottom):
        last = rows[-1][-1] if rows else None
        middle = (one.top + one.bottom) / 2
        if last is not None and last.top < middle < last.bottom:
            rows[-1].append(one)
        else:
            rows.append([one])
    joined = []
    for row in rows:
        row.sort(key=lambda line: line.left)
        joined.append(
            Seen(
                " ".join(one.text for one in row), row[0].left, min(one.top for one in row), row[-1].right,
                max(one.bottom for one in row), min(one.sure for one in row), _cells(row),
            )
        )
    return joined


def _cells(row: list[Seen]) -> tuple[tuple[str, float, float], ...]:
    cells = [(row[0].text, row[0].left, row[0].right)]
    for one in row[1:]:
        text, left, right = cells[-1]
        if one.left - right > one.bottom - one.top:
            cells.append((one.text, one.left, one.right))
        else:
            cells[-1] = (f"{text} {one.text}", left, one.right)
    return tuple(cells) if len(cells) > 1 else ()


def open_picture(data: bytes) -> Any:
    """The bytes of a picture as PIL reads them, its size checked before it is unpacked; DataMistake when damaged."""
    import io

    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DataMistake("the file is empty (0 bytes)", tip="copy it again from where it came from")
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF", "BMP", "WEBP"))
    except Image.DecompressionBombError as error:
        raise DataMistake(f"the picture has more than {MOST_PIXELS:,} pixels", tip=_SMALLER) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error) as error:
        raise DataMistake("it is no picture, or it is damaged", tip="save it again as PNG") from error
    _fits(picture)
    return picture


def _fits(picture: Any) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise DataMistake(
            f"the picture is {picture.width} × {picture.height} pixels, more than {MOST_PIXELS:,}",
            tip=_SMALLER,
        )


def frames(picture: Any) -> Any:
    """Each page of a picture, unpacked (a TIFF may hold several); DataMistake when one is damaged."""
    from PIL import ImageOps

    for number in range(min(getattr(picture, "n_frames", 1), 500)):
        try:
            picture.seek(number)
            _fits(picture)
            yield ImageOps.exif_transpose(picture)
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error) as error:
            raise DataMistake(f"page {number + 1} of the picture is damaged", tip="save it again as PNG") from error
