"""Memory does not grow with the corpus: measured on a whole process, at its peak, while it prepares and reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Nothing is kept of a pair; a list of these would take about 300 bytes for each in text alone. The peak comes from
# /proc, because getrusage also counts the parent before it became this program.
_PROGRAM = """
import json, sys
from pathlib import Path
import numpy
from clearhead.data.order import BatchOrder
from clearhead.data.prepare import prepare_pairs
from clearhead.data.settings import PairData, PairFiles
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings

folder = Path(sys.argv[1])
tokenizer = learn_tokenizer(TokenizerSettings(kind="words", min_frequency=1), ["a man sees 0 of them"])

def peak(pairs):
    for name in ("x.en", "x.de"):
        with (folder / name).open("w") as file:
            file.writelines(f"{name} {number} {'abcdefgh' * 10}\\n" for number in range(pairs))
    files = PairFiles(source="x.en", target="x.de")
    settings = PairData(train=files, duplicates="drop")
    corpus = prepare_pairs(settings, files, folder, (tokenizer, tokenizer), folder / "out")
    for rows in BatchOrder(corpus, 4096, 0, pool=5000).epoch(0):
        corpus.rows(rows)
    assert len(corpus) == pairs
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

print(json.dumps([peak(10_000), peak(60_000)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_preparing_six_times_the_corpus_takes_hardly_more_memory(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    small, large = json.loads(answer.stdout)
    assert large - small < 10 * 1024, f"{small} KiB for 10,000 pairs, {large} KiB for 60,000"
