"""Models of other architectures, run by mlx-lm behind our generator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache, trim_prompt_cache
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model
from typing_extensions import override

from mlx_model.config.model_config import read_json_object
from mlx_model.decode.language_model import LanguageModel, State, StateKeeper
from mlx_model.errors import CheckpointError, ConfigError

LACKS = (
    "speculative drafting",
    "several requests at once",
    "snapshots of past prompts (only the last conversation is kept)",
    "the durable cache",
)
"""What is not available for a model that mlx-lm runs."""

_LOADING_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError)
"""What mlx-lm and MLX raise for a checkpoint that does not fit the model."""


class MlxLmState(State):
    """mlx-lm's caches of one conversation, one a layer."""

    def __init__(self, caches: list[Any]) -> None:
        self.caches = caches
        self.length = 0

    @override
    def arrays(self) -> list[mx.array]:
        leaves = dict(tree_flatten([cache.state for cache in self.caches])).values()
        return [leaf for leaf in leaves if isinstance(leaf, mx.array)]

    @override
    def reserve(self, length: int) -> None:
        pass  # these caches grow by themselves

    @override
    def freeze_rollback_points(self) -> None:
        pass  # these caches can be trimmed to any length, or not at all


class MlxLmModel(LanguageModel[MlxLmState]):
    """A LanguageModel over a module of mlx-lm."""

    def __init__(self, module: Any, config: dict[str, Any]) -> None:
        text = config.get("text_config") or {}
        self._module = module
        self._vocabulary = _count(config, text, "vocab_size")
        self._context_length = _count(config, text, "max_position_embeddings")

    @property
    @override
    def vocabulary(self) -> int:
        return self._vocabulary

    @property
    @override
    def context_length(self) -> int:
        return self._context_length

    @override
    def state(self) -> MlxLmState:
        return MlxLmState(make_prompt_cache(self._module))

    @override
    def logits(self, tokens: mx.array, state: MlxLmState) -> mx.array:
        state.length += tokens.shape[1]
        logits: mx.array = self._module(tokens, cache=state.caches)
        return logits

    @override
    def last_logits(self, tokens: mx.array, state: MlxLmState) -> mx.array:
        if tokens.shape[1] > 1:
            # The module's head runs over every token it is given, so the last one goes in by itself.
            self.logits(tokens[:, :-1], state)
            mx.eval(state.arrays())
        return self.logits(tokens[:, -1:], state)[0, -1]


class LastConversation(StateKeeper[MlxLmState]):
    """A StateKeeper of one state: that of the last generation, trimmed where its caches allow it."""

    def __init__(self, model: MlxLmModel) -> None:
        self._model = model
        self._tokens: tuple[int, ...] = ()
        self._state: MlxLmState | None = None

    @override
    def begin(self, prompt: Sequence[int]) -> MlxLmState:
        """The last state, if it can be trimmed to a proper prefix of the prompt; else an empty one."""
        state, self._state = self._state, None
        if state is None:
            return self._model.state()
        shared = 0
        for kept, asked in zip(self._tokens, prompt[:-1], strict=False):
            if kept != asked:
                break
            shared += 1
        surplus = state.length - shared
        if surplus and not (shared and can_trim_prompt_cache(state.caches)):
            return self._model.state()
        if surplus:
            trim_prompt_cache(state.caches, surplus)
            state.length = shared
        return state

    @override
    def begin_further(self, prompt: Sequence[int], length: int) -> MlxLmState | None:
        return None

    @override
    def snapshot(self, tokens: Sequence[int], state: MlxLmState) -> None:
        pass  # only the state itself is kept, at the end

    @override
    def keep(self, tokens: Sequence[int], state: MlxLmState) -> None:
        self._tokens, self._state = tuple(tokens), state

    @override
    def keep_interrupted(self, tokens: Sequence[int], state: MlxLmState) -> None:
        self.keep(tokens, state)


def load_mlx_lm(directory: Path, name: str, *, dtype: mx.Dtype | None, adapter: Path | None) -> MlxLmModel:
    """The model of a directory whose architecture `name` mlx-lm knows; `dtype` None leaves the weights' own.

    Raises ConfigError where mlx-lm does not know it, CheckpointError where the weights do not load.
    """
    config = read_json_object(directory / "config.json")
    module = _unread(directory, name, adapter)
    if dtype is not None:
        module.set_dtype(dtype)
    module.eval()
    try:
        mx.eval(module.parameters())
        # One token: errors show here, and no array stays pending in the thread that loads.
        mx.eval(module(mx.array([[0]])))
    except _LOADING_ERRORS as error:
        raise CheckpointError(f"mlx-lm cannot run {directory}: {_sentence(error)}") from error
    return MlxLmModel(module, config)


def check_mlx_lm(directory: Path) -> None:
    """Reads no weights. Raises as load_mlx_lm does where mlx-lm cannot load what lies in `directory`."""
    _unread(directory, str(read_json_object(directory / "config.json").get("model_type")), None)


def _unread(directory: Path, name: str, adapter: Path | None) -> Any:
    """The mlx.nn.Module of a directory, whose weights are read once they are needed."""
    try:
        module, _ = load_model(directory, lazy=True)
        if adapter is not None:
            load_adapters(module, str(adapter))
    except _LOADING_ERRORS as error:
        if "not supported" in str(error):
            raise ConfigError(
                f"config.json: model_type is {name!r}, which neither this engine nor mlx-lm knows."
            ) from error
        raise CheckpointError(f"mlx-lm cannot load {directory}: {_sentence(error)}") from error
    return module


def _count(config: dict[str, Any], text: dict[str, Any], field: str) -> int:
    value = config.get(field, text.get(field))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"config.json: {field} is {value!r}; it must be a positive integer.")
    return value


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    # mlx-lm lists below which parameters are missing, or too many.
    return f"{lines[0]} {lines[1].rstrip('.,')}, …" if lines[0].endswith(":") and lines[1:] else lines[0]
