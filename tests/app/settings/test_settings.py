"""settings.toml and the environment."""

from pathlib import Path

import pytest

from app.settings.settings import BadSettings, Settings, load_settings, remember, settings_file


def write(text: str) -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text, encoding="utf-8")


def test_defaults_file_and_environment(monkeypatch: pytest.MonkeyPatch):
    assert load_settings() == Settings()
    write('model = "a"\nmode = "plan"\nengine_idle_minutes = 2\ndraft = "lookup"\nreasoning_budget = 9\n')
    assert load_settings() == Settings(
        model="a", mode="plan", engine_idle_minutes=2, draft="lookup", reasoning_budget=9
    )
    monkeypatch.setenv("TIDEGATE_MODEL", "b")
    assert load_settings().model == "b"


def test_offline_is_a_setting_or_a_word_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    write("offline = true\n")
    assert load_settings().offline
    write("offline = false\n")
    monkeypatch.setenv("TIDEGATE_OFFLINE", "0")
    assert not load_settings().offline
    monkeypatch.setenv("TIDEGATE_OFFLINE", "1")
    assert load_settings().offline


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model = ", "is not TOML"),
        ("modle = 'x'", '"modle", which is no setting'),
        ("model = 3", "sets model to 3: it must be a text"),
        ("mode = 'yolo'", 'one of "plan", "ask", "auto"'),
        ("reasoning_effort = 'much'", 'one of "default", "off", "low", "medium", "high"'),
        ("reasoning_budget = -1", "a whole number of tokens"),
        ("draft = 'medusa'", 'one of "none", "lookup", "mtp", "dflash", "auto"'),
        ("offline = 'yes'", "true or false"),
        ("engine_idle_minutes = 0", "a positive number"),
        ("engine_idle_minutes = inf", "a positive number"),
        ("engine_idle_minutes = true", "a positive number"),
        ("[model]\nname = 'x'", "it must be a text"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_file(text: str, says: str):
    write(text)
    with pytest.raises(BadSettings, match=says) as raised:
        load_settings()
    assert str(settings_file()) in str(raised.value) and "\n" not in str(raised.value)


def test_a_model_is_remembered_and_the_rest_of_the_file_stays():
    remember("model", "first")
    assert load_settings() == Settings(model="first")
    write('# mine\ntheme = "x"  # dark\nmodel = "old"\n')
    remember("model", "http://127.0.0.1:1/v1")
    assert settings_file().read_text() == '# mine\ntheme = "x"  # dark\nmodel = "http://127.0.0.1:1/v1"\n'


def test_a_linked_file_stays_a_link_and_one_that_cannot_be_written_is_told(tmp_path: Path):
    kept = tmp_path / "dotfiles" / "settings.toml"
    kept.parent.mkdir()
    kept.touch()
    settings_file().parent.mkdir(parents=True)
    settings_file().symlink_to(kept)
    remember("model", "linked")
    assert settings_file().is_symlink() and kept.read_text() == 'model = "linked"\n'
    kept.write_text("model = [")
    with pytest.raises(BadSettings, match="not TOML any more"):
        remember("model", "other")
    settings_file().unlink()
    settings_file().symlink_to(kept / "below-a-file")
    with pytest.raises(BadSettings, match="cannot be written"):
        remember("model", "other")
