"""Settings: one object, unknown keys refused, secrets never printed, the environment over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from intake_bot.settings import SettingsProblem, load

SECRET = "xoxb-do-not-print-me"


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "intake-bot.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_gives_the_defaults() -> None:
    settings = load(None, {})
    assert (settings.mail.host, settings.mail.port) == ("127.0.0.1", 8025)
    assert not settings.slack.enabled
    assert not settings.mail.relay.host


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, "[mail]\nport = 2500\n[mail.relay]\nhost = 'relay.example'\n")
    settings = load(path, {"INTAKE_BOT_MAIL_PORT": "2600", "INTAKE_BOT_MAIL_RECIPIENTS": "a@x.example, b@x.example"})
    assert settings.mail.port == 2600
    assert settings.mail.relay.host == "relay.example"
    assert settings.mail.recipients == ("a@x.example", "b@x.example")


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("[mail]\nprot = 1", {}, "mail.prot"),
        ("[mial]\nport = 1", {}, "mial"),
        ("[mail.relay]\nhots = 'x'", {}, "mail.relay.hots"),
        ("", {"INTAKE_BOT_MAIL_PROT": "1"}, "INTAKE_BOT_MAIL_PROT"),
        ("[mail]\nport = 'many'", {}, "mail.port"),
        ("[office]\nopens = 17:00:00\ncloses = 09:00:00", {}, "office"),
        ("[office]\ndays_off = [2026-12-24]\ndays_on = [2026-12-24]", {}, "2026-12-24"),
        ("[office]\ntimezone = 'Mars/Olympus'", {}, "office.timezone"),
        ("[reminders]\ntriage = ['soon']", {}, "reminders.triage"),
        ("[mail]\nhost = '0.0.0.0'", {}, "recipients"),
        ("[mail]\nhost = '10.1.0.7'", {}, "recipients and networks must be named"),
        ("[mail]\nhost = '10.1.0.7'\nnetworks = ['10.0.0.0/8']", {}, "recipients must be named"),
        ("[mail]\nhost = '10.1.0.7'\nrecipients = ['a@x.example']", {}, "networks must be named"),
        ("[mail]\nnetworks = ['10.1.0.7/16']", {}, "10.1.0.7/16"),
        ("[mail]\ntls = 'required'\ntls_key = 'key.pem'", {}, "tls_certificate"),
        ("[mail.relay]\nhost = 'r.example'\nstarttls = false\npassword = 'p'", {}, "set starttls = true"),
        ("[mail.relay]\nhost = 'r.example'\nstarttls = false", {"INTAKE_BOT_MAIL_RELAY_PASSWORD": "p"}, "mail.relay"),
        ("[mail]\naddress = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.example'", {}, "mail.address"),
        ("[mail", {}, "not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, environ: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match=named.replace(".", r"\.")):
        load(file(tmp_path, text), environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_password_may_stay_on_this_machine_without_tls(host: str, tmp_path: Path) -> None:
    text = f"[mail.relay]\nhost = '{host}'\nstarttls = false\nusername = 'bot'\npassword = '{SECRET}'\n"
    assert not load(file(tmp_path, text), {}).mail.relay.starttls


def test_a_relay_without_tls_is_taken_where_there_is_no_password(tmp_path: Path) -> None:
    assert not load(file(tmp_path, "[mail.relay]\nhost = 'r.example'\nstarttls = false\n"), {}).mail.relay.starttls


def test_a_secret_is_in_no_repr_and_in_no_complaint(tmp_path: Path) -> None:
    text = (
        f"[slack]\nbot_token = '{SECRET}'\napp_token = 'xapp-x'\nchannel = 'C1'\n[mail.relay]\npassword = '{SECRET}'\n"
    )
    assert SECRET not in repr(load(file(tmp_path, text), {}))
    with pytest.raises(SettingsProblem) as caught:
        load(file(tmp_path, f"[slack]\nbot_token = '{SECRET}'\nofficers = 3\n"), {})
    assert SECRET not in str(caught.value)
    with pytest.raises(SettingsProblem) as caught:
        load(file(tmp_path, f"[mail.relay]\nhost = 'r.example'\nstarttls = false\npassword = '{SECRET}'\n"), {})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", ["thread_notes", "send_files"])
def test_a_desk_without_content_takes_no_notes_from_threads_and_sends_no_files(key: str) -> None:
    with pytest.raises(SettingsProblem, match=f"{key} .* content in Slack"):
        load(None, {f"INTAKE_BOT_SLACK_{key.upper()}": "true", "INTAKE_BOT_SLACK_SHOW_CONTENT": "false"})
