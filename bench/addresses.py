"""Addresses of stores and databases, and messages about them, without passwords and tokens."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, quote, unquote

_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_SHORTEST = 3  # letters: to replace a shorter secret inside words would make it known


def shown(address: str) -> str:
    """Return a path or an address without password, without values of its query.

    An account of a web server is left out, too: it may be a token.
    """
    scheme, account, server, query = _parts(address)
    if not scheme:
        return address
    user, colon, _ = account.partition(":")
    if account and scheme.startswith("http") and not colon:
        user = "***"
    fields = [re.sub(r"(=|^(?=[^=]*$)).*", r"\1***", field) for field in query.split("&") if field]
    place = server + (f"?{'&'.join(fields)}" if fields else "")
    return f"{scheme}://{user}@{place}" if account else f"{scheme}://{place}"


def scrubbed(text: str, *addresses: str) -> str:
    """Return a message without the secrets of addresses and of MLflow's variables.

    Args:
        text: Message, often of another library.
        addresses: Paths or addresses that the message may repeat.
    """
    secrets, values = set(filter(None, map(os.environ.get, _VARIABLES))), set()
    for address in addresses:
        text = text.replace(address, shown(address))
        scheme, account, _, query = _parts(address)
        user, colon, password = account.partition(":")
        if colon or scheme.startswith("http"):
            secret = password if colon else user
            # Most readers of addresses take a password with @ in it apart.
            secrets |= {secret, *secret.split("@")}
        values |= {value for _, value in parse_qsl(query)} | set(query.split("&"))
    for secret in _spellings(secrets):
        text = text.replace(secret, "***")
    for value in _spellings(values):  # whole words: a value may be as harmless as "require"
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", text)
    return text


def _spellings(secrets: set[str]) -> list[str]:
    """Return secrets as they are, percent-encoded and decoded, the longest first."""
    found = {
        text for secret in secrets for text in (secret, unquote(secret), quote(secret, safe=""))
    }
    return sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True)


def _parts(address: str) -> tuple[str, str, str, str]:
    """Return scheme, account with password, server with path, and query; a path has no scheme."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return "", "", address, ""
    account, _, server = rest.rpartition("@")
    if rest.startswith("/") or ("/" in account and ":" not in account):  # @ is part of a path
        account, server = "", rest
    server, _, query = server.partition("?")
    if scheme.startswith("http"):
        server = server.partition("#")[0]
    return scheme, account, server, query
