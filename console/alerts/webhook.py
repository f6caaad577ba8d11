"""Posting to a webhook: one request, no redirects, bounded in time, and never to an address that guards secrets.

Who may write a rule could otherwise have this host fetch what only it can reach. So the name is resolved here, every
address that it has is judged, and the connection goes to the very address that was judged: a name that answers something
else the next moment changes nothing. Loopback, link-local (where clouds keep metadata and credentials), multicast and
reserved addresses are refused, unless the operator of this console lists the host in STATEHOUSE_ALERT_WEBHOOK_HOSTS; with such
a list nothing else is allowed.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from console import limits

# Metadata services that are not link-local: AWS over IPv6, Alibaba Cloud, Oracle's alternate.
_METADATA = frozenset(ipaddress.ip_address(each) for each in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192"))
_URL_MAX = 2_000
# 6to4, Teredo and NAT64 wrap an IPv4 address that the rules above would have to see.
_WRAPPING = tuple(ipaddress.ip_network(each) for each in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48"))


class Undeliverable(Exception):
    """Not delivered. ``final``: another try would end the same way."""

    def __init__(self, words: str, *, final: bool) -> None:
        super().__init__(words)
        self.final = final


def check(url: str) -> str:
    """Return why the URL cannot be a webhook, in words, or nothing. Resolves no name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "It is not a URL."
    allowed = settings.ALERT_WEBHOOK_HOSTS
    wrong = {
        "Write a full URL, such as https://hooks.example.com/path.": parts.scheme not in {"http", "https"}
        or not parts.hostname
        or port == 0,
        "A webhook's URL has no user name or password in it.": bool(parts.username or parts.password),
        "It is too long, or has blanks in it.": len(url) > _URL_MAX or not url.isprintable() or " " in url,
        f"This console sends only to {', '.join(allowed)} (STATEHOUSE_ALERT_WEBHOOK_HOSTS).": bool(allowed)
        and parts.hostname not in allowed,
    }
    for words, holds in wrong.items():
        if holds:
            return words
    host = parts.hostname or ""
    try:
        return refusal(ipaddress.ip_address(host), host)
    except ValueError:
        return ""


def refusal(address: ipaddress.IPv4Address | ipaddress.IPv6Address, host: str) -> str:
    """Return why nothing is sent to the address, or nothing."""
    if host in settings.ALERT_WEBHOOK_HOSTS:
        return ""
    plain = getattr(address, "ipv4_mapped", None) or address
    is_wrapped = isinstance(plain, ipaddress.IPv6Address) and any(plain in network for network in _WRAPPING)
    guarded = (
        plain.is_loopback or plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved
    )
    if guarded or is_wrapped or plain in _METADATA:
        return f"{host} is {plain}: loopback, link-local and metadata addresses are refused. List the host in STATEHOUSE_ALERT_WEBHOOK_HOSTS to allow it."
    return ""


def send(url: str, delivery: str, body: dict[str, Any]) -> None:
    """Post the body as JSON; any 2xx is a delivery. Raises ``Undeliverable``."""
    if words := check(url):
        raise Undeliverable(words, final=True)
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = _resolve(host, parts.port or (443 if parts.scheme == "https" else 80))
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=shown if parts.port is None else f"{shown}:{parts.port}").geturl()
    headers = {
        "host": parts.netloc,
        "content-type": "application/json",
        "user-agent": "statehouse-alerts",
        "x-statehouse-delivery": delivery,
    }
    try:
        with (
            httpx.Client(timeout=limits.WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream(
                "POST", target, content=json.dumps(body), headers=headers, extensions={"sni_hostname": host}
            ) as answer,
        ):
            # The body is not read: what it says decides nothing, and it may have no end.
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise Undeliverable(f"{type(error).__name__}: {error}"[:300], final=False) from error
    if 200 <= status < 300:  # noqa: PLR2004 - success in HTTP
        return
    if 300 <= status < 400:  # noqa: PLR2004 - redirects in HTTP
        raise Undeliverable(f"it answered {status}, a redirect: give the address that it leads to", final=True)
    # 408 and 429 ask for patience; other 4xx say that the request is not wanted.
    raise Undeliverable(f"it answered {status}", final=400 <= status < 500 and status not in {408, 429})  # noqa: PLR2004


def _resolve(host: str, port: int) -> str:
    """Return the address to connect to, judged; refused when any that the name has is: it would be a coin toss."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Undeliverable(f"the name {host} has no address: {error}", final=False) from error
    addresses = list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))
    for address in addresses:
        if words := refusal(ipaddress.ip_address(address), host):
            raise Undeliverable(words, final=True)
    return addresses[0]
