"""Matrices that project activations: plain or packed, whole or in parts, one or a bank of experts.

A canonical module path names a projection. Below it the checkpoint holds, in one of two forms:

- **whole**: `PATH.weight` [out, in], and `PATH.scales` (with `PATH.biases` in affine mode) when it is packed;
- **in parts**: `PATH.PART.weight` (and scales, biases) for every part in the order listed below, each packed in its
  own way or not at all. The outputs are concatenated, so rows mean the same in both forms. A mapping uses parts where
  the tensors of one projection are packed differently and could only be joined by unpacking them.

How a packed matrix is packed stands in `Parameters.quantization` under the path that owns the tensors: `PATH` for a
whole one, `PATH.PART` for a part. `PATH.bias` [out] is added where attention_bias is set (`PATH.PART.bias` in parts).

    path (below model.layers.N)      rows of the whole matrix                 parts
    linear_attn.in_proj              q | k | v | z | b | a                    qkvz, ba
    self_attn.qkv_proj               q (all heads) | gate (all heads) | k | v  qg, k, v
    mlp.gate_up_proj                 gate | up                                gate, up
    mlp.shared_expert.gate_up_proj   gate | up                                gate, up
    mlp.experts.gate_up_proj         [experts, gate | up, hidden]             gate, up

All rows are grouped by kind (de-interleaved): where a checkpoint interleaves them per head, the mapping permutes rows
of weight, scales and biases alike (packing runs along the input, so rows move freely). So `qkvz` is q | k | v | z with
every head's q first, `ba` is b | a, and `qg` is q of all heads | gate of all heads.
Everything else (out_proj, o_proj, down_proj, experts.down_proj [experts, hidden, intermediate], mlp.gate,
shared_expert_gate, lm_head, embed_tokens, mtp.fc) is whole.
"""
