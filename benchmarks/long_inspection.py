"""Looking into every head over a long input: Clearhead beside transformers, which returns its maps, until that fails.

    python benchmarks/long_inspection.py [--threads N] [--memory GB]

One GPT-2 with random weights (4 layers of 4 heads, 64 wide a head) is saved by transformers and read by both. Asked of
each is the same: logits, and for every head and query the entropy of its weights, the 8 keys with the largest, and what
every key receives. transformers does it as tools on top of it do: eager attention with ``output_attentions=True``, and
the quantities from the maps, layer by layer. Clearhead looks with ``clearhead.inspecting`` and asks each attention for
its summary. "Plain" is a pass while nobody looks, with the fused kernel, in either library.

Every length is a process of its own that may take so much memory (``ulimit -v``); a way that fails is not asked again
at longer inputs. Memory is what the process's peak rises by. Needs the extra "peers".
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from duel import peak_megabytes, write_result

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
LAYERS, HEADS, WIDTH, VOCABULARY = 4, 4, 256, 1000
TOP = 8
ROUNDS_UP_TO = 2048  # longer ones are measured once
Told = list[tuple[torch.Tensor, ...]]


class Ours:
    """Clearhead, looked at from outside."""

    def __init__(self, folder: Path) -> None:
        from clearhead.pretrained.directory import ModelDirectory
        from clearhead.pretrained.read import understand

        self.model: Any = understand(ModelDirectory.open(folder)).build().float().eval()

    def plain(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (1, T, V)."""
        logits: torch.Tensor = self.model.logits(ids)
        return logits

    def looked(self, ids: torch.Tensor) -> tuple[torch.Tensor, Told]:
        """Logits, and of each attention the quantities."""
        from clearhead import inspecting

        with inspecting(self.model) as seen:
            logits = self.model.logits(ids)
        told = []
        for record in seen.records.values():
            summary = record.summary
            told.append((summary.entropy[0], summary.top_indices[0], summary.received[0]))
        return logits, told


class Theirs:
    """transformers."""

    def __init__(self, folder: Path) -> None:
        from transformers import GPT2LMHeadModel, logging

        logging.set_verbosity_error()
        self.fused = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa").eval()
        self.eager = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()

    def plain(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (1, T, V)."""
        logits: torch.Tensor = self.fused(ids, use_cache=False).logits
        return logits

    def looked(self, ids: torch.Tensor) -> tuple[torch.Tensor, Told]:
        """Logits, and the quantities from the map of each layer."""
        answer = self.eager(ids, output_attentions=True, use_cache=False)
        told = []
        for (weights,) in answer.attentions:
            parts = [(-torch.xlogy(head, head).sum(-1), head.topk(TOP).indices, head.sum(-2)) for head in weights]
            told.append(tuple(torch.stack(column) for column in zip(*parts, strict=True)))
        return answer.logits, told


WAYS = {"clearhead": Ours, "transformers": Theirs}


def save_model(folder: Path) -> None:
    """A random GPT-2 whose scores are of a trained one's size, so that heads look at something."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": max(LENGTHS)}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, **sizes))
    for block in model.transformer.h:
        torch.nn.init.normal_(block.attn.c_attn.weight, std=0.1)
    model.save_pretrained(folder)


def worker(request: dict[str, Any]) -> dict[str, Any]:
    """One way at one length: memory of the first look, then seconds of plain and looked passes in turn."""
    torch.set_num_threads(request["threads"])
    way: Any = WAYS[request["way"]](Path(request["folder"]))
    length = request["length"]
    ids = torch.randint(0, VOCABULARY, (1, length), generator=torch.Generator().manual_seed(length))
    with torch.inference_mode():
        way.plain(ids[:, :64]), way.looked(ids[:, :64])  # what libraries load at first use is nobody's
        limit = request["gigabytes"] * 10**9
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            return measured(way, ids, rounds=3 if length <= ROUNDS_UP_TO else 1)
        except (MemoryError, RuntimeError) as error:
            if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
                raise
            return {"failed": f"more than {request['gigabytes']} GB"}


def measured(way: Any, ids: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Megabytes and seconds of looking, seconds of a plain pass, and figures that both ways should agree in."""
    before, seconds = peak_megabytes(), {"plain": [], "looked": []}
    told: Told = []
    megabytes: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        logits, told = way.looked(ids)
        seconds["looked"].append(time.perf_counter() - start)
        megabytes.append(peak_megabytes() - before)
        start = time.perf_counter()
        way.plain(ids)
        seconds["plain"].append(time.perf_counter() - start)
    sums = [float(part.double().mean()) for part in (logits.abs(), *(layer[0] for layer in told))]
    return {
        **{f"{name}_seconds": round(statistics.median(taken), 3) for name, taken in seconds.items()},
        "megabytes": round(megabytes[0], 1),
        "means": sums,
    }


def ask(**request: Any) -> dict[str, Any]:
    """Run the worker in a process of its own; one that the system ends for its memory has failed, too."""
    command = [sys.executable, __file__, "--worker", json.dumps(request)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return {"failed": f"ended with status {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Measure all lengths and write benchmarks/results/long-inspection.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", type=int, default=16, help="GB of address space that a process may take")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(json.loads(arguments.worker))))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        rows, failed = [], set()
        for length in LENGTHS:
            line: dict[str, Any] = {"length": length}
            for way in WAYS:
                if way not in failed:
                    asked = {"way": way, "length": length, "threads": arguments.threads}
                    line[way] = ask(**asked, folder=folder, gigabytes=arguments.memory)
                    failed |= {way} if "failed" in line[way] else set()
            rows.append(compared(line))
            print(rows[-1], file=sys.stderr, flush=True)
    what = f"logits and every head's entropy, top {TOP} keys and received mass; {LAYERS} layers of {HEADS} heads"
    write_result(
        "long-inspection", {"what": what, "threads": arguments.threads, "limit_gb": arguments.memory, "rows": rows}
    )


def compared(line: dict[str, Any]) -> dict[str, Any]:
    """The row with what ours costs over a plain pass, theirs over ours, and how far the two answers lie apart."""
    found = {name: line[name].pop("means", None) for name in WAYS if name in line}
    told = {}
    if found.get("clearhead"):
        ours = line["clearhead"]
        told["looked_over_plain"] = round(ours["looked_seconds"] / ours["plain_seconds"], 2)
        if found.get("transformers"):
            theirs = line["transformers"]
            pairs = zip(found["clearhead"], found["transformers"], strict=True)
            told["seconds_over_ours"] = round(theirs["looked_seconds"] / ours["looked_seconds"], 2)
            told["megabytes_over_ours"] = round(theirs["megabytes"] / max(0.1, ours["megabytes"]), 1)
            told["largest_relative_difference"] = max(abs(a - b) / abs(b) for a, b in pairs)
    return line | told


if __name__ == "__main__":
    main()
