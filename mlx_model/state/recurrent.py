"""The recurrent state of one DeltaNet layer: the convolution's last inputs, and a matrix for every head."""

from dataclasses import dataclass

import mlx.core as mx


@dataclass(frozen=True, slots=True)
class DeltaBlock:
    """The inputs of the recurrence for a block of tokens, enough to run it again without any projection.

    conv_input [1, window + tokens, channels], the window before the block included, in the dtype of
    activations; k [1, tokens, Hk, Dk], v [1, tokens, Hv, Dv], decay and beta [1, tokens, Hv], all float32.
    """

    conv_input: mx.array
    k: mx.array
    v: mx.array
    decay: mx.array
    beta: mx.array


class DeltaState:
    """`window` [1, kernel - 1, channels] in the dtype of activations and `matrix` [1, Hv, Dv, Dk] in float32,
    both zeros at the start."""

    def __init__(self, window: mx.array, matrix: mx.array) -> None:
        self.window = window
        self.matrix = matrix
        self.length = 0
        self._recorded: tuple[DeltaBlock, mx.array] | None = None
        self.recording = False

    def advance(self, q: mx.array, block: DeltaBlock) -> mx.array:
        """Runs the recurrence over a block; q [1, tokens, Hk, Dk] → [1, tokens, Hv, Dv]."""
        self._recorded = (block, self.matrix) if self.recording else None
        y, self.matrix = mx.fast.gated_delta_update(q, block.k, block.v, block.decay, block.beta, self.matrix)
        self.length += block.k.shape[1]
        # A copy: a view would keep the whole block's input alive.
        self.window = mx.contiguous(block.conv_input[:, -self.window.shape[1] :])
        return y

    def keep(self, tokens: int) -> None:
        """Cuts the recorded block back to its first `tokens` tokens, by running the recurrence again from
        before it."""
        assert self._recorded is not None, "nothing was recorded"
        block, before = self._recorded
        self._recorded = None
        self.length -= block.k.shape[1] - tokens
        if tokens == block.k.shape[1]:
            return
        self.window = mx.contiguous(block.conv_input[:, tokens : tokens + self.window.shape[1]])
        self.matrix = before
        if tokens:
            k = block.k[:, :tokens]
            # The outputs are not wanted, so any queries will do.
            _, self.matrix = mx.fast.gated_delta_update(
                k, k, block.v[:, :tokens], block.decay[:, :tokens], block.beta[:, :tokens], before
            )
