"""An inspection as it shows itself in a notebook: a table of small maps, one a head, in HTML that stands by itself.

Each map is a PNG of a pixel an entry, written here (RFC 2083 needs a header, a palette and a zlib stream); every text
is escaped, there is no script, and nothing is loaded from anywhere. Long maps, which are not given whole, show their
mean entropy instead.
"""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from clearhead.inspection.inspection import Inspection

SIDE = 96  # pixels of a small map's longer side
MOST_TOKENS = 200
LIGHT, DARK = (247, 251, 255), (8, 48, 107)


def grid_of_heads(seen: Inspection) -> str:
    """The table: a row an attention, a column a head."""
    rows = "".join(
        f"<tr><th style='text-align:left;font-weight:normal'>{escape(name)}</th>{_cells(seen, name)}</tr>"
        for name in seen.attentions
    )
    sides = (
        [("source", seen.source)] if seen.source == seen.target else [("source", seen.source), ("target", seen.target)]
    )
    texts = "".join(f"<div><small>{side}</small> {_tokens(tokens)}</div>" for side, tokens in sides)
    return f"<div>{texts}<table>{rows}</table></div>"


def png(values: NDArray[np.uint8]) -> bytes:
    """A picture of (rows, columns) shades, 0 the lightest."""
    rows, columns = values.shape
    steps = np.linspace(LIGHT, DARK, 256).round().astype(np.uint8)
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", steps.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _cells(seen: Inspection, name: str) -> str:
    if not seen.is_full(name):
        record, entropies = seen[name], seen.summary(name).entropy[0].mean(-1)
        return "".join(
            f"<td><small>{record.queries} × {record.keys}<br>entropy {float(entropies[head]):.2f}</small></td>"
            for head in seen.shown(name)
        )
    maps = seen.weights(name).float().cpu().numpy()
    return "".join(_picture(each, f"{name}, head {head}") for head, each in zip(seen.shown(name), maps, strict=True))


def _picture(weights: NDArray[np.float32], title: str) -> str:
    if not weights.size:
        return "<td></td>"
    shades = (np.clip(weights, 0.0, 1.0) * 255).round().astype(np.uint8)
    data = base64.b64encode(png(shades)).decode()
    scale = SIDE / max(weights.shape)
    height, width = (max(1, round(size * scale)) for size in weights.shape)
    return (
        f"<td><img alt='{escape(title)}' title='{escape(title)}' width='{width}' height='{height}' "
        f"style='image-rendering:pixelated' src='data:image/png;base64,{data}'></td>"
    )


def _tokens(tokens: tuple[str, ...]) -> str:
    shown = " ".join(f"<span dir='auto'>{escape(token)}</span>" for token in tokens[:MOST_TOKENS])
    return shown + (f" … {len(tokens) - MOST_TOKENS} more" if len(tokens) > MOST_TOKENS else "")
