"""The mail edge of the real program: what it refuses to start with, and what it says over real TLS."""

from __future__ import annotations

import smtplib
import ssl
from pathlib import Path

import pytest

from acceptance.harness import TO, House, mail
from fakes.certificates import make_certificate


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"mail_host": "0.0.0.0", "mail_recipients": TO}, "networks must be named"),
        ({"mail_tls": "required", "mail_tls_certificate": "no.pem", "mail_tls_key": "no.key"}, "no.pem"),
    ],
)
def test_serve_refuses_to_start_where_its_door_would_stand_open(
    environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    house = House(tmp_path, triage_enabled="false", **environment)
    house.run("serve", expect=2)
    assert named in house.last_error


def test_mail_comes_in_over_tls_and_doctor_knows_how_long_the_certificate_holds(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, days=5)
    house = House(
        tmp_path,
        triage_enabled="false",
        mail_tls="required",
        mail_tls_certificate=str(certificate),
        mail_tls_key=str(key),
    )
    service = house.serve().ready()
    with smtplib.SMTP("127.0.0.1", service.port, timeout=30) as client:
        client.ehlo("mx.school.example")
        assert client.mail("dsl@brookfield.example")[0] == 530
        client._host = "localhost"  # type: ignore[attr-defined]  # the name that the certificate is for
        client.starttls(context=ssl.create_default_context(cafile=str(certificate)))
        client.ehlo("mx.school.example")
        client.sendmail("dsl@brookfield.example", [TO], mail())
    service.settle()
    assert len(house.json("cases")) == 1
    service.stop()

    def says() -> str:
        (finding,) = [one for one in house.json("doctor") if one["what"] == "tls"]
        return f"{finding['level']}: {finding['says']}"

    assert says().startswith("note: the certificate runs out on")
