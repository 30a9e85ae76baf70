"""The page as one file: its script, its style and one answer with its maps, for a colleague or beside a paper.

The file asks nothing of any host and runs no script but the one its policy names by hash. Its size is bounded: small
maps of all heads always go in, whole ones as long as there is room, those that tell the story first; what does not
fit is said in the file. Maps are bytes, so a weight is exact to 1/255 of its head's largest.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.errors import ConfigurationError, RunError
from clearhead.inspection.record import AttentionRecord
from clearhead.service.looking.frames import finite, to_frame
from clearhead.service.looking.looker import Lookable, facts_of, worths_of
from clearhead.service.looking.maps import as_bytes, blocks, small_maps
from clearhead.service.looking.measures import measures
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see, told
from clearhead.service.serving import open_runs

MOST_BYTES = 5_000_000
SMALL = 64  # cells a side of a small map
LONGEST_WHOLE = 1024  # rows or columns of a map that is put in whole
SCRIPT = re.compile(r'<script type="module"[^>]*src="\./(?P<path>[^"]+)"></script>')
STYLE = re.compile(r'<link rel="stylesheet"[^>]*href="\./(?P<path>[^"]+)">')
ICON = re.compile(r'\s*<link rel="icon"[^>]*>')


def write_page(run: str | Path, text: str, path: Path) -> str:
    """Look at ``text`` with the model of ``run`` and write it to ``path``; says how large the file is.

    Raises:
        ConfigurationError: the text is empty, there is nothing to look at, or the file cannot be written.
        RunError: the folder is no finished run, or this installation has no page.
    """
    (model,) = open_runs([Path(f"run={run}")])
    seen = see(model.predictor, model.task, Asked(Path(run).resolve().name, text))
    content = page_of(model, seen).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None
    return f"{len(content) / 1e6:.1f} MB"


def page_of(model: Lookable, seen: Seen, most_bytes: int = MOST_BYTES) -> str:
    """The file's text; at most ``most_bytes`` long unless the tokens and small maps alone are longer."""
    parts = _bundle()
    data: dict[str, Any] = {"model": {**facts_of(model), "name": seen.asked.model}, "look": told(seen)}
    data["measures"] = [asdict(each) for each in measures(seen)]
    data["worths"] = worths_of(model.run)
    data["small"] = {name: _packed(small_maps(record, SMALL)) for name, record in seen.records.items()}
    room = most_bytes - len(json.dumps(finite(data))) - sum(map(len, parts.values())) - 10_000
    data["whole"], left_out = _whole(seen, room)
    data["left_out"] = left_out
    return _assembled(parts, data)


def _whole(seen: Seen, room: int) -> tuple[dict[str, str], list[str]]:
    """Whole maps by attention while there is ``room``, and the names of those that are only there as small ones."""
    found: dict[str, str] = {}
    left_out = []
    for name, record in sorted(seen.records.items(), key=lambda pair: not pair[0].endswith(seen.shown)):
        if max(record.queries, record.keys) <= SMALL:
            continue  # the small map is the whole one
        packed = _packed(_all_rows(record)) if max(record.queries, record.keys) <= LONGEST_WHOLE else None
        if packed is None or len(packed) > room:
            left_out.append(name)
            continue
        found[name] = packed
        room -= len(packed) + len(name) + 8
    return found, left_out


def _all_rows(record: AttentionRecord) -> np.ndarray[Any, np.dtype[np.float16]]:
    """The whole map (H, T, S), in half precision while it is put together."""
    parts = [weights.half().cpu().numpy() for _, weights in blocks(record, 0, record.queries)]
    return np.concatenate(parts, axis=1)


def _packed(maps: np.ndarray[Any, Any]) -> str:
    cells, most = as_bytes(maps)
    return base64.b64encode(gzip.compress(to_frame({}, {"cells": cells, "most": most}), 9, mtime=0)).decode()


def _bundle() -> dict[str, str]:
    """The page's frame, script and style."""
    folder = files("clearhead") / "page"
    if not (folder / "index.html").is_file():
        raise RunError("this installation has no page: build it with make page")
    frame = (folder / "index.html").read_text(encoding="utf-8")
    script, style = SCRIPT.search(frame), STYLE.search(frame)
    assert script and style
    read = {
        name: (folder / found["path"]).read_text(encoding="utf-8")
        for name, found in (("script", script), ("style", style))
    }
    return {"frame": ICON.sub("", STYLE.sub("", SCRIPT.sub("", frame))), **read}


def _assembled(parts: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """One document. Neither the script nor the data can end the element it stands in."""
    script = parts["script"].replace("</script", "<\\/script")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(parts['style'])}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    plain = json.dumps(finite(data), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{parts["style"]}</style>\n</head>'
    tail = (
        f'<script id="data" type="application/json">{plain}</script>\n<script type="module">{script}</script>\n</body>'
    )
    charset, rest = '<meta charset="utf-8" />', parts["frame"]
    before, _, after = rest.partition(charset)
    after, _, body = after.partition("</head>")
    return before + charset + after + head + body.replace("</body>", tail)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
