"""A matrix as a strip of a few pixels, a picture inside the page's own text: large numbers, their signs, masks.

What is near 0 is clear, so the same strip fits a light page and a dark one.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from sheetgpt import ops
from sheetgpt.explore.pictures import laid, pooled, scale_end, unmasked
from sheetgpt.notebook.cells import number
from sheetgpt.workbook import style

WIDTH, HEIGHT = 52, 6  # pixels at most
LEVELS = 7  # of a colour
MASKED = 2 * LEVELS + 1  # in the palette: negative ones, 0, positive ones, masked


def image(matrix: np.ndarray, *, shares: bool = False) -> str:
    """The strip, in the colour of shares or of the signs; in words, what it spans. Nothing of an empty matrix."""
    if not matrix.size:
        return ""
    data = base64.b64encode(png(levels(-matrix if shares else matrix))).decode()
    return f'<img alt="{span(matrix)}" src="data:image/png;base64,{data}">'


def span(matrix: np.ndarray) -> str:
    """The least and the greatest number, masked ones left out.

    >>> span(np.array([[0.5, -1e10, 2.0]])), span(np.array([[3.0]]))
    ('0.500 … 2.000', '3.000')
    """
    numbers = unmasked(matrix)
    if not numbers.size:
        return "no number"
    least, greatest = number(float(numbers.min())), number(float(numbers.max()))
    return least if least == greatest else f"{least} … {greatest}"


def levels(matrix: np.ndarray) -> np.ndarray:  # [rows, columns] -> places in the palette, of uint8
    """Of the numbers that share a pixel the largest in size."""
    lying = laid(matrix)
    sizes = np.where(ops.masked_cells(lying), np.nan, lying)
    numbers = pooled(pooled(sizes, HEIGHT, axis=0), WIDTH, axis=1)
    strength = np.clip(np.nan_to_num(numbers / scale_end(matrix), posinf=1, neginf=-1), -1, 1)
    return np.where(np.isnan(numbers), MASKED, np.rint(strength * LEVELS) + LEVELS).astype(np.uint8)


# ------------------------------------------------------------------------------------------------ the file


def png(pixels: np.ndarray) -> bytes:  # [rows, columns] of uint8, places in the palette
    """The Portable Network Graphics file of an image with our palette (W3C, PNG, section 11)."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    colours = list(palette())
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = {
        b"IHDR": head,
        b"PLTE": b"".join(colour for colour, _ in colours),
        b"tRNS": bytes(alpha for _, alpha in colours),
        b"IDAT": zlib.compress(lines, 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks.items())


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def palette() -> Iterator[tuple[bytes, int]]:
    """(colour, how much of it covers what lies behind)"""
    for level in range(-LEVELS, LEVELS + 1):
        colour = style.SHARE if level < 0 else style.AGAINST
        yield bytes.fromhex(colour[1:]), round(255 * abs(level) / LEVELS)
    yield bytes.fromhex(style.PALE[1:]), 128
