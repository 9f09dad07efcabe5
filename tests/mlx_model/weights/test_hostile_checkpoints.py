"""Whatever stands in config.json, the index or a header: a typed error that names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlx_model.config.model_config import ModelConfig, architecture
from mlx_model.errors import CheckpointError, ConfigError, EngineError
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.files import INDEX
from tests.support.weights.checkpoints import tiny_config, write_checkpoint

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "full_attention_interval": 2,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "vocab_size": 16,
}
FIRST = "model-00001-of-00002.safetensors"
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=12)
    | st.sampled_from(["yarn", "mxfp4", "linear_attention", "bfloat16", "F32", "U32"]),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("sound") / "m", shards=2, dtype=mx.bfloat16, **SMALL)


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "m", dirs_exist_ok=True))


def read_all(directory: Path) -> None:
    for _, tensor in open_checkpoint(directory).tensors():
        mx.eval(tensor)


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(data)))


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def write_header(path: Path, header: Any, data: bytes) -> None:
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)


@fuzz
@given(
    field=st.sampled_from([*tiny_config(), "quantization", "rope_parameters", "layer_types", "tidegate"]),
    value=junk,
)
def test_a_field_of_any_value_is_accepted_or_refused_by_name(field: str, value: Any) -> None:
    try:
        ModelConfig.from_dict(tiny_config(**{field: value}))
    except ConfigError as error:
        assert "config.json" in str(error)


@pytest.mark.parametrize(
    "field", ["hidden_size", "num_hidden_layers", "rope_theta", "num_experts", "model_type"]
)
@pytest.mark.parametrize("value", [None, -1, float("nan"), "4", [], {"a": 1}])
def test_a_needed_field_of_a_wrong_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        ModelConfig.from_dict(tiny_config(**{field: value}))


def test_a_missing_field_and_an_unknown_architecture_are_named(copy: Path) -> None:
    change_json(copy / "config.json", lambda data: data | {"model_type": "gpt_9"})
    with pytest.raises(ConfigError, match="gpt_9"):
        open_checkpoint(copy)
    change_json(copy / "config.json", lambda data: {k: v for k, v in data.items() if k != "model_type"})
    with pytest.raises(ConfigError, match="model_type"):
        architecture(copy)
    config = tiny_config()
    del config["linear_key_head_dim"]
    with pytest.raises(ConfigError, match="linear_key_head_dim is missing"):
        ModelConfig.from_dict(config)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe\x00", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000]
)
@pytest.mark.parametrize("name", ["config.json", INDEX])
def test_a_file_that_is_no_json_object_is_named(text: bytes, name: str, copy: Path) -> None:
    (copy / name).write_bytes(text)
    with pytest.raises(EngineError, match=name):
        open_checkpoint(copy)


@fuzz
@given(data=st.data())
def test_an_index_that_places_a_tensor_anywhere_else_is_refused(
    sound: Path, tmp_path: Path, data: st.DataObject
) -> None:
    copy = Path(shutil.copytree(sound, tmp_path / "m", dirs_exist_ok=True))
    index = json.loads((sound / INDEX).read_text())
    name = data.draw(st.sampled_from(sorted(index["weight_map"])) | st.text(max_size=8))
    value = data.draw(junk | st.sampled_from([FIRST, "../m/" + FIRST, "/etc/passwd", "absent.safetensors"]))
    if index["weight_map"].get(name, index) == value:
        return
    index["weight_map"][name] = value
    (copy / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError):
        open_checkpoint(copy)


@fuzz
@given(data=st.data())
def test_a_header_entry_of_anything_else_is_refused_by_name(
    sound: Path, tmp_path: Path, data: st.DataObject
) -> None:
    copy = Path(shutil.copytree(sound, tmp_path / "m", dirs_exist_ok=True))
    header, body = header_of(sound / FIRST)
    name = data.draw(st.sampled_from(sorted(set(header) - {"__metadata__"})))
    entry = header[name]
    key = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "whole", "gone"]))
    begin, end = entry["data_offsets"]
    if key == "gone":
        del header[name]
    elif key == "whole":
        header[name] = data.draw(junk)
    else:
        hostile = st.sampled_from(
            [[begin, end + 2], [begin - 2, end], [end, begin], [0, 2**63], [-2, 2], [begin, len(body) + 8]]
        )
        shapes = st.lists(st.integers(-3, 2**62), max_size=10)
        value = data.draw(junk | hostile | shapes)
        if value == entry[key]:
            return
        header[name] = entry | {key: value}
    write_header(copy / FIRST, header, body)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        open_checkpoint(copy)


@fuzz
@given(
    cut=st.integers(0, 400_000),
    flips=st.lists(st.tuples(st.integers(0, 8000), st.integers(1, 255)), max_size=4),
)
def test_a_damaged_file_is_a_typed_error_or_reads(
    sound: Path, tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    copy = Path(shutil.copytree(sound, tmp_path / "m", dirs_exist_ok=True))
    raw = bytearray((sound / FIRST).read_bytes())
    for position, mask in flips:
        if position < len(raw):
            raw[position] ^= mask
    (copy / FIRST).write_bytes(raw[: len(raw) - cut] if cut else raw)
    if cut:
        with pytest.raises(CheckpointError):
            read_all(copy)
        return
    try:
        read_all(copy)
    except CheckpointError:
        assert flips


def test_overlapping_and_doubled_tensors_are_refused(copy: Path) -> None:
    header, body = header_of(copy / FIRST)
    first, second = (name for name in list(header)[:3] if name != "__metadata__")
    twin = {**header, second: header[first]}
    write_header(copy / FIRST, twin, body)
    with pytest.raises(CheckpointError, match=r"overlap|shape"):
        open_checkpoint(copy)
    write_header(copy / FIRST, header, body)
    (copy / INDEX).unlink()
    shutil.copyfile(copy / FIRST, copy / "model-extra.safetensors")
    with pytest.raises(CheckpointError, match="is in both"):
        open_checkpoint(copy)


def test_missing_extra_and_foreign_weights_are_named(copy: Path, tmp_path: Path) -> None:
    header, body = header_of(copy / FIRST)
    position = len(body)
    extra = {"dtype": "F32", "shape": [1], "data_offsets": [position, position + 4]}
    write_header(copy / FIRST, header | {"model.layers.0.adapter": extra}, body + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match=r"model\.layers\.0\.adapter"):
        open_checkpoint(copy)
    (copy / FIRST).unlink()
    with pytest.raises(CheckpointError, match=r"00001-of-00002\.safetensors is missing"):
        open_checkpoint(copy)
    shutil.copyfile(copy / "config.json", tmp_path / "config.json")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        open_checkpoint(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(CheckpointError, match="PyTorch"):
        open_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="not a model directory"):
        open_checkpoint(tmp_path / "nowhere")


def test_a_file_cut_short_after_opening_is_a_typed_error(copy: Path) -> None:
    checkpoint = open_checkpoint(copy)
    raw = (copy / FIRST).read_bytes()
    (copy / FIRST).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(CheckpointError, match="cut short"):
        for _, tensor in checkpoint.tensors():
            mx.eval(tensor)
