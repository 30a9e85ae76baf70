"""The optimiser, and its state as named tensors: AdamW (arXiv 1711.05101), Muon, or SGD with momentum.

Weight decay acts on the matrices of linear maps only, not on norms, biases, embeddings or positions. The state is keyed
by parameter name, so that it can lie in a safetensors file and be put back to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from clearhead.errors import RunError
from clearhead.training.depth import rate_shares
from clearhead.training.muon import Muon
from clearhead.training.settings import TrainingSettings

SEPARATOR = "/"


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> Optimizer:
    """An optimiser over the trainable parameters of ``model``; its learning rate is set anew at every update."""
    groups = parameter_groups(model, settings.weight_decay, settings.layer_decay)
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, fused=fused)
    if settings.optimizer == "muon":
        share = settings.matrix_learning_rate / settings.learning_rate
        groups = with_matrices(groups, model, share, {"momentum": settings.momentum, "fused": False})
        return Muon(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=fused)
    return AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=fused)


def parameter_groups(model: nn.Module, weight_decay: float, layer_decay: float | None = None) -> list[dict[str, Any]]:
    """The trainable parameters, those that decay first; a tied parameter once.

    With a ``layer_decay`` there are such groups for every depth, each with its ``rate_share``.
    """
    free = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)}
    decaying: list[nn.Parameter] = []
    staying: list[nn.Parameter] = []
    for name, parameter in trainable(model):
        embeds = id(parameter) in free or "positions" in name.split(".")
        (staying if parameter.dim() < 2 or embeds else decaying).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": staying, "weight_decay": 0.0},
    ]
    if layer_decay is not None:
        groups = [each for group in groups for each in _by_share(group, model, layer_decay)]
    return [group for group in groups if group["params"]]


def _by_share(group: dict[str, Any], model: nn.Module, decay: float) -> Iterator[dict[str, Any]]:
    """``group`` cut by the share of the learning rate that its parameters have, the largest first."""
    shares = rate_shares(model, decay)
    by_parameter = {id(parameter): shares.get(name, 1.0) for name, parameter in trainable(model)}
    for share in sorted(set(by_parameter.values()), reverse=True):
        yield {**group, "params": [p for p in group["params"] if by_parameter[id(p)] == share], "rate_share": share}


def with_matrices(
    groups: list[dict[str, Any]], model: nn.Module, share: float, extra: Mapping[str, object]
) -> list[dict[str, Any]]:
    """Split the matrices inside the blocks from each group into one of their own, which has ``extra`` on top, and
    ``share`` times the learning rate."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    inside = {id(p) for stack in stacks for p in stack.parameters() if p.dim() == 2}
    split: list[dict[str, Any]] = []
    for group in groups:
        matrices = [p for p in group["params"] if id(p) in inside]
        others = [p for p in group["params"] if id(p) not in inside]
        own = {"rate_share": share * group.get("rate_share", 1.0), **extra}
        split += [{**group, "params": others}, {**group, "params": matrices, **own}]
    return [group for group in split if group["params"]]


def trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that take gradients, each once, under its first name."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    """Use ``value`` from the next step on; a group with a ``rate_share``, that multiple of it."""
    for group in optimizer.param_groups:
        group["lr"] = value * group.get("rate_share", 1.0)


def state_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state by name, such as ``output.weight/exp_avg``; the tensors themselves, not copies."""
    return {
        f"{name}{SEPARATOR}{item}": value
        for name, parameter in trainable(model)
        for item, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def restore_state(optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``state_tensors`` gave; the tensors are copied.

    Raises:
        RunError: the tensors belong to other parameters or to another optimiser.
    """
    parameters = dict(trainable(model))
    optimizer.state.clear()
    for key, tensor in tensors.items():
        name, _, item = key.rpartition(SEPARATOR)
        if name not in parameters:
            raise RunError(f"the saved optimiser knows a parameter {name!r}, which this model has not")
        parameter = parameters[name]
        device = torch.device("cpu") if _counts_on_cpu(item, optimizer) else parameter.device
        optimizer.state[parameter][item] = tensor.to(device, copy=True)


def _counts_on_cpu(item: str, optimizer: Optimizer) -> bool:
    """The step count lies beside the parameter for fused optimisers and on the CPU for all others."""
    return item == "step" and not optimizer.defaults.get("fused")
