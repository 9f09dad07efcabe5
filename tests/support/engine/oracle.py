"""The independent implementation: transformers' Qwen3-Next and Qwen3.5 on CPU PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")
transformers = pytest.importorskip("transformers", reason="the oracle is not installed (ORACLE=0)")

from transformers.models.qwen3_next import modeling_qwen3_next as modeling  # noqa: E402

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class Reference:
    """A checkpoint as transformers runs it, in float32."""

    def __init__(self, directory: Path) -> None:
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        ).eval()

    def logits(self, tokens: list[int]) -> np.ndarray:
        """[n, vocabulary]."""
        with torch.no_grad():
            return np.asarray(self.model(torch.tensor([tokens]), use_cache=False).logits[0])

    def mtp_logits(self, tokens: list[int], tensors: dict[str, np.ndarray], theta: float) -> np.ndarray:
        """[n - 1, vocabulary] of the MTP layer, which transformers ignores: composed from its own decoder
        layer, norms and rotary embedding, with the `mtp.*` tensors and the rotary base `theta`."""
        trunk = self.model.model
        config = type(self.model.config)(**self.model.config.to_dict())
        config.layer_types = ["full_attention"] * config.num_hidden_layers
        config.mlp_only_layers, config.decoder_sparse_step = [], 1
        config.rope_parameters = {**config.rope_parameters, "rope_theta": theta}
        config._attn_implementation = config._experts_implementation = "eager"
        weights = {
            name.removeprefix("mtp."): torch.tensor(array)
            for name, array in tensors.items()
            if name.startswith("mtp.")
        }
        layer = type(trunk.layers[0])(config, 0).eval()
        layer.load_state_dict(_layer_state(weights))

        def norm(name: str) -> Any:
            module = type(trunk.norm)(config.hidden_size, config.rms_norm_eps)
            module.weight.data = weights[name + ".weight"]
            return module

        with torch.no_grad():
            ids = torch.tensor([tokens])
            hidden = trunk(ids).last_hidden_state[:, :-1]
            embedded = trunk.embed_tokens(ids)[:, 1:]
            joined = torch.cat(
                [norm("pre_fc_norm_embedding")(embedded), norm("pre_fc_norm_hidden")(hidden)], dim=-1
            )
            x = joined @ weights["fc.weight"].T
            count = x.shape[1]
            positions = torch.arange(count)[None]
            rotary = type(trunk.rotary_emb)(config)(x, positions)
            mask = torch.full((count, count), -torch.inf).triu(1)[None, None]
            x = layer(x, position_embeddings=rotary, attention_mask=mask, position_ids=positions)
            return np.asarray(self.model.lm_head(norm("norm")(x))[0])


def turned_by_transformers(config: dict, heads: np.ndarray, position: int) -> np.ndarray:
    """heads [1, heads, n, head_dim] at positions from `position` on, after the rotary embedding."""
    x = torch.tensor(heads)
    positions = torch.arange(position, position + x.shape[2])[None]
    cosines, sines = modeling.Qwen3NextRotaryEmbedding(transformers.Qwen3NextConfig(**config))(x, positions)
    return np.asarray(modeling.apply_rotary_pos_emb(x, x, cosines, sines)[0])


def _layer_state(weights: dict) -> dict:
    """The state of the decoder layer: transformers holds the experts of a layer that has any in two tensors."""
    state = {}
    for name, tensor in weights.items():
        if name.startswith("layers.0.") and ".experts." not in name:
            state[name.removeprefix("layers.0.")] = tensor
    experts = len({name.split(".")[4] for name in weights if ".experts." in name})
    if not experts:
        return state
    prefix = "layers.0.mlp.experts"
    state["mlp.experts.gate_up_proj"] = torch.stack(
        [
            torch.cat(
                [weights[f"{prefix}.{expert}.gate_proj.weight"], weights[f"{prefix}.{expert}.up_proj.weight"]]
            )
            for expert in range(experts)
        ]
    )
    state["mlp.experts.down_proj"] = torch.stack(
        [weights[f"{prefix}.{expert}.down_proj.weight"] for expert in range(experts)]
    )
    return state
