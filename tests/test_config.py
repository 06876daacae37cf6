"""Flags and variables become one Config, or one sentence."""

from pathlib import Path

import pytest

from proxy.config import SETTINGS, Address, Config, ConfigError, default_cache, default_state, load, prepared


def test_defaults() -> None:
    config = load({}, environ={"HOME": "/home/ada"})
    assert config == Config(state=Path("/home/ada/.local/state/midstream"))
    assert str(config.listen) == "127.0.0.1:8080"


def test_flags_beat_variables_beat_defaults() -> None:
    environ = {"MIDSTREAM_LISTEN": "0.0.0.0:3128", "MIDSTREAM_GRACE": "5"}
    assert load({}, environ=environ).listen == Address("0.0.0.0", 3128)
    both = load({"listen": "127.0.0.1:9000"}, environ=environ)
    assert (both.listen, both.grace) == (Address("127.0.0.1", 9000), 5.0)


def test_policies_are_files_never_variables() -> None:
    assert load({}, ["a.yaml"], {"MIDSTREAM_POLICY": "b.yaml", "MIDSTREAM_POLICIES": "b.yaml"}).policies == (
        Path("a.yaml"),
    )


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load({}, environ={"MIDSTREAM_LISTEN": "", "HOME": "/h"}) == load({}, environ={"HOME": "/h"})


def test_connect_to_is_repeated_or_comma_separated() -> None:
    expected = {("api.openai.com", None): Address("127.0.0.1", 1), ("api.anthropic.com", 8443): Address("::1", 2)}
    texts = ["API.openai.com=127.0.0.1:1", "api.anthropic.com:8443=[::1]:2"]
    assert load({"connect_to": texts}, environ={}).connect_to == expected
    assert load({}, environ={"MIDSTREAM_CONNECT_TO": ", ".join(texts)}).connect_to == expected
    assert load({"connect_to": ["[::1]=127.0.0.1:1"]}, environ={}).connect_to == {
        ("::1", None): Address("127.0.0.1", 1)
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("listen", "8080", "is not HOST:PORT"),
        ("listen", "localhost:", "is not HOST:PORT"),
        ("listen", "localhost:70000", "is not HOST:PORT"),
        ("listen", "::1:8080", "is not HOST:PORT (an IPv6 address stands in brackets)"),
        ("listen", "localhost:\N{SUPERSCRIPT TWO}", "is not HOST:PORT"),
        ("mode", "transparent", "is not carried out by this version: regular"),
        ("workers", "0", "is not a whole number above zero"),
        ("workers", "2", "is not carried out by this version: one worker"),
        ("grace", "-1", "is not a number of seconds from 0 to 86400"),
        ("grace", "nan", "is not a number of seconds from 0 to 86400"),
        ("grace", "soon", "is not a number of seconds from 0 to 86400"),
        ("upstream_ca", "/nowhere/ca.pem", "cannot be read: No such file or directory"),
        ("upstream_ca", "/dev/null", "holds no PEM certificate"),
        ("log_level", "loud", "is none of debug, info, warning, error"),
        ("agent", "a:b", "holds a colon, which proxy credentials cannot"),
        ("agent", "a\tb", "holds control characters"),
    ],
)
def test_a_wrong_setting_names_its_flag_or_its_variable(name: str, text: str, says: str) -> None:
    setting = SETTINGS[name]
    with pytest.raises(ConfigError) as wrong:
        load({name: text}, environ={})
    assert str(wrong.value) == f"{setting.flag}: {text!r} {says}"
    with pytest.raises(ConfigError) as inherited:
        load({}, environ={setting.variable: text})
    assert str(inherited.value) == f"{setting.variable}: {text!r} {says}"


@pytest.mark.parametrize("text", ["", "a", "a=b", "=127.0.0.1:1", "a:b=127.0.0.1:1", "a=:1", "a::1=b:2"])
def test_a_malformed_connect_to(text: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load({"connect_to": [text]}, environ={})
    assert str(wrong.value) == f"--connect-to: {text!r} is not HOST[:PORT]=ADDRESS:PORT"


def test_state_follows_the_xdg_directories() -> None:
    assert default_state({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/midstream")
    assert default_state({"HOME": "/home/ada"}) == Path("/home/ada/.local/state/midstream")


def test_a_new_state_directory_is_private(tmp_path: Path) -> None:
    config = prepared(Config(state=tmp_path / "a" / "state"))
    assert config.state.stat().st_mode & 0o777 == 0o700


def test_the_cache_is_the_users_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_cache() == tmp_path / "cache" / "midstream"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert default_cache() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "midstream"
    monkeypatch.delenv("HOME")
    assert default_cache() is None
    assert prepared(Config(state=tmp_path / "state")).cache == tmp_path / "state" / "cache"


def test_a_state_directory_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--state: .*/file/state cannot be made: Not a directory"):
        prepared(Config(state=tmp_path / "file" / "state"))
