"""What a batch is trained on, and what of it is shown in the curves."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from mlx_model.practice.data.transcripts import WEIGHTS, Part
from mlx_model.practice.trunk.network import Network

_BALANCE = 0.02
"""Weight of the router's balance: at 0.01 experts were used unevenly for the first million tokens."""
_KEPT = 0.97
"""Of a curve's value at each batch: it averages over about 30."""


@dataclass(slots=True)
class Curves:
    """Running means by name."""

    values: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Moves a mean towards a batch's value."""
        before = self.values.get(name, value)
        self.values[name] = before + (1 - _KEPT) * (value - before)


def batch_loss(network: Network, tokens: Tensor, parts: Tensor, curves: Curves, *, mtp: bool) -> Tensor:
    """The weighted cross entropy of tokens [batch, n] where their part has a weight, the router's balance, and,
    if `mtp`, the MTP layer's cross entropy on replies."""
    weights = torch.tensor(WEIGHTS, device=tokens.device)[parts]
    hidden = network.hidden(tokens)
    learnt = weights[:, 1:] > 0
    logits = network.lm_head(hidden[:, :-1][learnt]).float()
    targets, weight = tokens[:, 1:][learnt], weights[:, 1:][learnt]
    losses = functional.cross_entropy(logits, targets, reduction="none")
    loss = (losses * weight).sum() / weight.sum() + _BALANCE * network.balance()
    with torch.no_grad():
        right = logits.argmax(-1) == targets
        part = parts[:, 1:][learnt]
        for name in Part:
            of_part = part == name
            if name and bool(of_part.any()):
                curves.add(name.name.lower(), float(losses[of_part].mean()))
                curves.add(f"{name.name.lower()}_right", float(right[of_part].float().mean()))
        curves.add("balance", float(network.balance()))
    if mtp:
        loss = loss + _mtp_loss(network, tokens, parts, hidden, curves)
    return loss


def _mtp_loss(network: Network, tokens: Tensor, parts: Tensor, hidden: Tensor, curves: Curves) -> Tensor:
    """Only the MTP layer learns from it: the head is taken as it is."""
    said = parts[:, 2:] >= Part.REPLY
    states = network.mtp_hidden(tokens, hidden)[:, :-1][said]
    logits = functional.linear(states, network.lm_head.weight.detach().to(states.dtype)).float()
    targets = tokens[:, 2:][said]
    loss = functional.cross_entropy(logits, targets)
    curves.add("mtp", float(loss.detach()))
    curves.add("mtp_right", float((logits.argmax(-1) == targets).float().mean()))
    return loss
