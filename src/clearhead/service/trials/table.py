"""How each kind of model is tried, one line a face: on held-out data, or on examples given by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.service.tasks.classifier import Classifier
from clearhead.service.tasks.labeller import VectorLabeller
from clearhead.service.tasks.tagger import Tagger
from clearhead.service.tasks.task import Predictor
from clearhead.service.tasks.translator import Translator
from clearhead.service.tasks.writer import Writer
from clearhead.service.trials import by_hand
from clearhead.service.trials.classification import classification_trial
from clearhead.service.trials.language_modelling import language_trial
from clearhead.service.trials.tagging import tagging_trial
from clearhead.service.trials.translation import translation_trial
from clearhead.service.trials.trial import Trial
from clearhead.service.trials.vectors import vector_trial

MakeTrial = Callable[[Any, Any], Trial]
Gather = Callable[[Sequence[Any]], Any]
TRIALS: dict[type, tuple[MakeTrial, Gather]] = {
    Translator: (translation_trial, by_hand.pairs),
    Tagger: (tagging_trial, by_hand.tagged),
    Classifier: (classification_trial, by_hand.labelled),
    Writer: (language_trial, by_hand.texts),
    VectorLabeller: (vector_trial, by_hand.vectors),
}


def trial_of(predictor: Predictor, held_out: Any) -> Trial:
    """``predictor`` on held-out data of its task.

    Raises:
        ConfigurationError: a model of this kind cannot be tried.
    """
    return _known(predictor)[0](predictor, held_out)


def trial_by_hand(predictor: Predictor, examples: Sequence[Any]) -> Trial:
    """``predictor`` on examples: pairs (input, answer), or texts for a language model.

    Raises:
        ConfigurationError: there are none, or they are no such pairs.
    """
    make, gather = _known(predictor)
    if not len(examples):
        raise ConfigurationError("data: expected at least one example, got none")
    return make(predictor, gather(examples))


def _known(predictor: Predictor) -> tuple[MakeTrial, Gather]:
    if type(predictor) not in TRIALS:
        known = ", ".join(sorted(kind.__name__ for kind in TRIALS))
        raise ConfigurationError(
            f"expected a model that clearhead.load returns ({known}), got {type(predictor).__name__}"
        )
    return TRIALS[type(predictor)]
