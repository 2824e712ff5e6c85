"""No secret of an address is shown, wherever it stands."""

from urllib.parse import quote

import pytest

from bench.addresses import scrubbed, shown

SECRET = "s3cr/t?p#w"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://me:s3cretpw@host:1/x", "postgresql://me@host:1/x"),
        ("postgresql://me:s3c@retpw@host/x", "postgresql://me@host/x"),
        ("postgresql://me:s3/c?r#etpw@host/x", "postgresql://me@host/x"),
        ("postgresql://me@host/x", "postgresql://me@host/x"),
        ("postgresql://host/x", "postgresql://host/x"),
        ("postgresql://host/x?password=s3cretpw&x=1", "postgresql://host/x?password=***&x=***"),
        ("https://s3cretpw@host/path", "https://***@host/path"),
        ("https://me:s3cretpw@host/path", "https://me@host/path"),
        ("https://host/path?s3cretpw", "https://host/path?***"),
        ("https://host/path#s3cretpw", "https://host/path"),
        ("https://host/a@b", "https://host/a@b"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("sqlite:////home/a:b@c/mlflow.db?x=s3cretpw", "sqlite:////home/a:b@c/mlflow.db?x=***"),
        ("file:///home/a b", "file:///home/a b"),
        ("a/b.log", "a/b.log"),
    ],
)
def test_shown_addresses_have_no_secret(address: str, expected: str) -> None:
    assert shown(address) == expected
    assert scrubbed(f"({address}) failed", address) == f"({expected}) failed"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{quote(SECRET, safe='')}@host/x",
        f"postgresql://me:{SECRET}@host/x",
        f"postgresql://host/x?password={quote(SECRET, safe='')}",
        f"https://{quote(SECRET, safe='')}@host/x",
    ],
)
def test_a_secret_is_taken_out_of_messages_in_both_spellings(address: str) -> None:
    for spelling in (SECRET, quote(SECRET, safe="")):
        assert scrubbed(f'login "{spelling}" failed', address) == 'login "***" failed'


def test_secrets_of_variables_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter22")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abcdef")
    assert scrubbed("hunter22: token abcdef") == "***: token ***"


def test_half_of_a_password_with_an_at_sign_is_taken_out() -> None:
    address = "postgresql://me:left@right@host/x"
    assert scrubbed('no host "right@host"', address) == 'no host "***@host"'
