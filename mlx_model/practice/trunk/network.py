"""A lean Qwen3-Next for training, with its MTP layer. Parameters carry Hugging Face names, so that a state dict
is a checkpoint.

Matrix products run in `dtype`; the residual, norms, router and delta rule in float32. Sequences begin at
position 0 and are right-padded: everything is causal, so padding changes nothing before it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlx_model.practice.trunk import elementwise
from mlx_model.practice.trunk.delta_rule import CHUNK, delta_rule
from mlx_model.practice.trunk.shape import Shape

_MATRIX_SCALE = 0.7
"""Of new matrices, times 1 / sqrt(columns); those that write to the residual begin at zero."""

Rotation = tuple[Tensor, Tensor]


class Matrix(nn.Module):
    """A linear map without bias, multiplied in the dtype of what comes in."""

    def __init__(self, rows: int, columns: int, *, zero: bool = False) -> None:
        super().__init__()
        scale = 0.0 if zero else _MATRIX_SCALE * columns**-0.5
        self.weight = nn.Parameter(torch.randn(rows, columns) * scale)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """RMSNorm; the weight is its offset from one."""

    def __init__(self, size: int, shape: Shape, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps, self.dtype = shape.rms_norm_eps, dtype

    def forward(self, x: Tensor) -> Tensor:
        return elementwise.rms_norm(x, self.weight, self.eps, self.dtype)


class Attention(nn.Module):
    """Grouped-query attention; q_proj gives each head its query, then its output gate."""

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape = shape
        hidden, heads, kv_heads, dim = _attention_sizes(shape)
        self.q_proj, self.k_proj = Matrix(2 * heads * dim, hidden), Matrix(kv_heads * dim, hidden)
        self.v_proj, self.o_proj = Matrix(kv_heads * dim, hidden), Matrix(hidden, heads * dim, zero=True)
        self.q_norm, self.k_norm = Norm(dim, shape, dtype), Norm(dim, shape, dtype)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        q, k, v, gate = self.project(x, rotation)
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], 1) for part in (k, v))
        return self.output(functional.scaled_dot_product_attention(q, k, v, is_causal=True), gate)

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rotated queries [batch, heads, tokens, head], rotated keys and values of the fewer heads, and the
        output gate [batch, tokens, heads, head]."""
        batch, tokens, _ = x.shape
        _, heads, kv_heads, dim = _attention_sizes(self.shape)
        q, gate = self.q_proj(x).view(batch, tokens, heads, 2 * dim).chunk(2, -1)
        k = self.k_proj(x).view(batch, tokens, kv_heads, dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, tokens, kv_heads, dim).transpose(1, 2)
        eps = self.shape.rms_norm_eps
        q = elementwise.normed_rotation(q.transpose(1, 2), self.q_norm.weight, eps, *rotation)
        return q, elementwise.normed_rotation(k, self.k_norm.weight, eps, *rotation), v, gate

    def output(self, read: Tensor, gate: Tensor) -> Tensor:
        """From what each head read [batch, heads, tokens, head] to the residual."""
        read = read.transpose(1, 2).flatten(2)
        return self.o_proj(read * torch.sigmoid(gate.flatten(2)))


class DeltaNet(nn.Module):
    """Gated DeltaNet; in_proj_qkvz gives each head its q, k, v and z, in_proj_ba its beta and decay."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        heads, dim = shape.linear_num_key_heads, shape.linear_key_head_dim
        self.heads, self.dim, self.eps = heads, dim, shape.rms_norm_eps
        self.in_proj_qkvz, self.in_proj_ba = (
            Matrix(4 * heads * dim, shape.hidden_size),
            Matrix(2 * heads, shape.hidden_size),
        )
        self.conv1d = nn.Conv1d(
            3 * heads * dim, 3 * heads * dim, shape.linear_conv_kernel_dim, groups=3 * heads * dim, bias=False
        )
        nn.init.normal_(self.conv1d.weight, std=0.3)
        # One rate for all heads and steps of 0.003 to 0.3: memories of about 3 to 300 tokens.
        step = torch.logspace(-0.5229, -2.5229, heads)
        self.A_log = nn.Parameter(torch.zeros(heads))
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.norm = nn.Module()
        self.norm.weight = nn.Parameter(torch.ones(dim))
        self.out_proj = Matrix(shape.hidden_size, heads * dim, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        mixed, ba = self.project(x)
        read, _state = delta_rule(*self.inputs(mixed, ba, -x.shape[1] % CHUNK))
        return self.output(read, mixed)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Before the convolution: q, k, v and z [batch, tokens, heads, 4, head], and the gates [batch, tokens,
        heads, 2]."""
        batch, tokens, _ = x.shape
        mixed = self.in_proj_qkvz(x).view(batch, tokens, self.heads, 4, self.dim)
        return mixed, self.in_proj_ba(x).float().view(batch, tokens, self.heads, 2)

    def inputs(self, mixed: Tensor, ba: Tensor, padding: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What the delta rule takes."""
        conv = self.conv1d.weight.to(mixed.dtype)[:, 0]
        return elementwise.delta_inputs(mixed, ba, conv, (self.dt_bias, self.A_log), padding)

    def output(self, read: Tensor, mixed: Tensor) -> Tensor:
        """From what the delta rule read to the residual."""
        return self.out_proj(elementwise.delta_output(read, mixed[:, :, :, 3], self.norm.weight, self.eps))


class FeedForward(nn.Module):
    """The shared expert."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = Matrix(width, hidden), Matrix(width, hidden)
        self.down_proj = Matrix(hidden, width, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(elementwise.gated(self.gate_proj(x), self.up_proj(x)))


class Experts(nn.Module):
    """The routed experts' matrices: gate_up_proj [experts, 2 · width, hidden], down_proj [experts, hidden,
    width]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        count, hidden, width = shape.num_experts, shape.hidden_size, shape.moe_intermediate_size
        scale = _MATRIX_SCALE * hidden**-0.5
        self.gate_up_proj = nn.Parameter(torch.randn(count, 2 * width, hidden) * scale)
        self.down_proj = nn.Parameter(torch.zeros(count, hidden, width))


class Mixture(nn.Module):
    """Routed experts and a gated shared one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.gate = Matrix(shape.num_experts, shape.hidden_size)
        self.experts = Experts(shape)
        self.shared_expert = FeedForward(shape.hidden_size, shape.shared_expert_intermediate_size)
        self.shared_expert_gate = Matrix(1, shape.hidden_size, zero=True)
        self.balance = torch.zeros(())
        """Of the last call: 1 where all experts are used alike, up to their number where one has all."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        count, active = self.shape.num_experts, self.shape.num_experts_per_tok
        probability = self.gate(flat.float()).softmax(-1)
        share, chosen = probability.topk(active, -1)
        share = share / share.sum(-1, keepdim=True)
        # Tokens in order of their expert, so that each expert multiplies one run of rows.
        experts = chosen.reshape(-1)
        order = experts.argsort(stable=True)
        used = torch.bincount(experts, minlength=count)
        runs = used.tolist()
        rows = flat.index_select(0, order // active)
        up = _each(rows, runs, self.experts.gate_up_proj)
        up = elementwise.gated_halves(up, share.reshape(-1)[order].unsqueeze(-1).to(x.dtype))
        down = _each(up, runs, self.experts.down_proj)
        back = torch.empty_like(order)
        back[order] = torch.arange(order.numel(), device=order.device)
        routed = down.index_select(0, back).view(-1, active, x.shape[-1]).sum(1)
        self.balance = count * ((used.float() / experts.numel()) * probability.mean(0)).sum()
        y = routed + torch.sigmoid(self.shared_expert_gate(flat)) * self.shared_expert(flat)
        return y.view(x.shape)


class Layer(nn.Module):
    """A DeltaNet or attention layer with its mixture of experts."""

    def __init__(self, shape: Shape, dtype: torch.dtype, *, full: bool) -> None:
        super().__init__()
        self.full = full
        if full:
            self.self_attn = Attention(shape, dtype)
        else:
            self.linear_attn = DeltaNet(shape)
        self.mlp = Mixture(shape)
        self.input_layernorm = Norm(shape.hidden_size, shape, dtype)
        self.post_attention_layernorm = Norm(shape.hidden_size, shape, dtype)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        normed = self.input_layernorm(x)
        x = x + (self.self_attn(normed, rotation) if self.full else self.linear_attn(normed))
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    """Embedding, layers and final norm."""

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        nn.init.normal_(self.embed_tokens.weight, std=0.5)
        self.layers = nn.ModuleList(
            Layer(shape, dtype, full=shape.is_full_attention(layer)) for layer in range(shape.num_hidden_layers)
        )
        self.norm = Norm(shape.hidden_size, shape, dtype)


class MTPHead(nn.Module):
    """The multi-token-prediction layer; see mlx_model.layers.drafters.mtp."""

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        super().__init__()
        hidden = shape.hidden_size
        self.fc = Matrix(hidden, 2 * hidden)
        self.pre_fc_norm_embedding, self.pre_fc_norm_hidden = (
            Norm(hidden, shape, dtype),
            Norm(hidden, shape, dtype),
        )
        self.layers = nn.ModuleList([Layer(shape, dtype, full=True)])
        self.norm = Norm(hidden, shape, dtype)


class Network(nn.Module):
    """The whole model."""

    def __init__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape = shape
        self.model = Trunk(shape, dtype)
        self.lm_head = Matrix(shape.vocab_size, shape.hidden_size, zero=True)
        self.mtp = MTPHead(shape, dtype)
        width = shape.rotary_dim
        frequency = shape.rope_theta ** (-torch.arange(0, width, 2).float() / width)
        angle = torch.outer(torch.arange(shape.max_position_embeddings).float(), frequency).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def hidden(self, tokens: Tensor) -> Tensor:
        """tokens [batch, n] → states after the final norm [batch, n, hidden]."""
        x = self.model.embed_tokens(tokens)
        rotation = self._rotation(tokens.shape[1])
        for layer in self.model.layers:
            x = layer(x, rotation)
        return self.model.norm(x)

    def mtp_hidden(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """The MTP layer's states [batch, n - 1, hidden]: the one at t stands for token t + 2. Embedding and
        states are taken as they are: no gradient reaches the model."""
        embedded = self.model.embed_tokens(tokens[:, 1:]).detach()
        joined = torch.cat(
            [self.mtp.pre_fc_norm_embedding(embedded), self.mtp.pre_fc_norm_hidden(hidden[:, :-1].detach())], -1
        )
        x = self.mtp.layers[0](self.mtp.fc(joined), self._rotation(joined.shape[1]))
        return self.mtp.norm(x)

    def balance(self) -> Tensor:
        """How evenly the trunk's experts were used in the last pass, averaged over layers; 1 is even."""
        return torch.stack([layer.mlp.balance for layer in self.model.layers]).mean()

    def _rotation(self, tokens: int) -> Rotation:
        return self.cos[:tokens], self.sin[:tokens]


def _attention_sizes(shape: Shape) -> tuple[int, int, int, int]:
    return shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim


def _each(rows: Tensor, runs: list[int], matrices: Tensor) -> Tensor:
    """Each run of rows times its expert's matrix."""
    parts = zip(rows.split(runs), matrices.to(rows.dtype), strict=True)
    return torch.cat([functional.linear(run, matrix) for run, matrix in parts])
