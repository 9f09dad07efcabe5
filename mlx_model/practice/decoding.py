"""The training network's own replies, greedy, to many prompts at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlx_model.practice.trunk.delta_rule import CHUNK, delta_rule, delta_step
from mlx_model.practice.trunk.network import Attention, DeltaNet, Network


@torch.no_grad()
def replies(network: Network, prompts: Sequence[Sequence[int]], stop: int, most: int) -> list[list[int]]:
    """The likeliest next tokens of each prompt, up to `stop`, which is left out, or `most` tokens."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    tokens = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    past = _Past(network, lengths, most)
    token = past.read(tokens)
    found: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    for _ in range(most):
        for row in list(open_rows):
            if int(token[row]) == stop:
                open_rows.remove(row)
            else:
                found[row].append(int(token[row]))
        if not open_rows:
            break
        token = past.step(token)
    return found


class _Past:
    """What the layers keep of the tokens so far. Prompts are right-padded: padding leaves a DeltaNet state as
    it is, and attention is told each row's length."""

    def __init__(self, network: Network, lengths: Tensor, most: int) -> None:
        self.network, self.lengths, self.most = network, lengths, most
        self.rows = torch.arange(len(lengths))
        self.kept: list[tuple[Tensor, ...]] = []
        """Of each layer: keys and values by position, or the last tokens before the convolution and the
        state."""

    def read(self, tokens: Tensor) -> Tensor:
        """The prompts [batch, n] → the likeliest token after each."""
        rotation = self.network.cos[: tokens.shape[1]], self.network.sin[: tokens.shape[1]]
        x = self.network.model.embed_tokens(tokens)
        for layer in self.network.model.layers:
            normed = layer.input_layernorm(x)
            if layer.full:
                y, kept = self._attention(layer.self_attn, normed, rotation)
            else:
                y, kept = self._delta_net(layer.linear_attn, normed)
            self.kept.append(kept)
            x = self._mixed(layer, x + y)
        return self._token(x[self.rows, self.lengths - 1])

    def step(self, token: Tensor) -> Tensor:
        """One more token of each row [batch] → the likeliest after it."""
        position = self.lengths
        rotation = (
            self.network.cos[position][:, None, None],
            self.network.sin[position][:, None, None],
        )
        x = self.network.model.embed_tokens(token[:, None])
        for index, layer in enumerate(self.network.model.layers):
            normed = layer.input_layernorm(x)
            if layer.full:
                y = self._attention_step(layer.self_attn, normed, rotation, *self.kept[index])
            else:
                y, self.kept[index] = _delta_net_step(layer.linear_attn, normed, *self.kept[index])
            x = self._mixed(layer, x + y)
        self.lengths = position + 1
        return self._token(x[:, 0])

    @staticmethod
    def _mixed(layer: nn.Module, x: Tensor) -> Tensor:
        mixed: Tensor = x + layer.mlp(layer.post_attention_layernorm(x))
        return mixed

    def _token(self, x: Tensor) -> Tensor:
        return self.network.lm_head(self.network.model.norm(x)).argmax(-1)

    def _attention(
        self, layer: Attention, x: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        _, keys, values, _ = layer.project(x, rotation)
        room = (0, 0, 0, self.most)
        return layer(x, rotation), tuple(nn.functional.pad(part, room) for part in (keys, values))

    def _attention_step(
        self, layer: Attention, x: Tensor, rotation: tuple[Tensor, Tensor], keys: Tensor, values: Tensor
    ) -> Tensor:
        q, k, v, gate = layer.project(x, rotation)
        keys[self.rows, :, self.lengths], values[self.rows, :, self.lengths] = k[:, :, 0], v[:, :, 0]
        # Heads that share keys are taken as so many queries: copying keys took most of a step's time.
        shared = q.view(len(q), keys.shape[1], -1, q.shape[-1])
        mask = torch.arange(keys.shape[2]) <= self.lengths[:, None]
        read = nn.functional.scaled_dot_product_attention(shared, keys, values, attn_mask=mask[:, None, None])
        return layer.output(read.reshape(q.shape), gate)

    def _delta_net(self, layer: DeltaNet, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        mixed, ba = layer.project(x)
        q, k, v, decay, beta = layer.inputs(mixed, ba, -x.shape[1] % CHUNK)
        inside = (torch.arange(decay.shape[-1]) < self.lengths[:, None])[:, None]
        read, state = delta_rule(q, k, v, decay * inside, beta * inside)
        before = layer.conv1d.kernel_size[0] - 1
        last = self.lengths[:, None] - before + torch.arange(before)
        return layer.output(read, mixed), (mixed[self.rows[:, None], last], state)


def _delta_net_step(
    layer: DeltaNet, x: Tensor, before: Tensor, state: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    mixed, ba = layer.project(x)
    window = torch.cat([before, mixed], 1)
    *qkv, decay, beta = layer.inputs(window, ba.expand(-1, window.shape[1], -1, -1), 0)
    q, k, v = (part[:, :, -1:] for part in qkv)
    read, state = delta_step(q, k, v, decay[..., -1:], beta[..., -1:], state)
    return layer.output(read, mixed), (window[:, 1:], state)
