"""Searches by our settings and by those of transformers, which must write the same tokens."""

from __future__ import annotations

from typing import Any

SEARCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "greedy": ({"beam": 1}, {"num_beams": 1}),
    "greedy, no pair twice": ({"beam": 1, "no_repeat_ngram": 2}, {"num_beams": 1, "no_repeat_ngram_size": 2}),
    "no penalty": ({"length_penalty": 0.0}, {"length_penalty": 0.0}),
    "steady": ({"length_penalty": 0.7}, {"length_penalty": 0.7}),
    "longer": ({"length_penalty": 1.3}, {"length_penalty": 1.3}),
    "first": ({"beam_rule": "first"}, {"early_stopping": True}),
    "patient": ({"beam_rule": "patient", "length_penalty": 2.0}, {"early_stopping": "never", "length_penalty": 2.0}),
    "no pair twice": ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}),
    "an end at the limit": ({"end_at_limit": True}, {"forced_eos_token_id": 3}),
}
