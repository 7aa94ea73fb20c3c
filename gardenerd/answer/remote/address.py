"""Where requests may go: to this machine, unless the user said otherwise."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from gardenerd.errors import RefusedError, ServerError


@dataclass(frozen=True, slots=True)
class Address:
    """Of a server, looked up and allowed."""

    root: str
    """What requests are sent to, ``scheme://host:port/path`` without a slash at its end. Where only
    this machine is allowed the host is the number that was checked, not a name that may lead
    elsewhere the next time it is looked up."""
    host: str
    """``host:port`` as the user wrote it, for the Host header."""
    name: str
    """The host alone, for the certificate of an https server."""


def allowed(url: str, *, allow_remote: bool) -> Address:
    """Look up the host of ``url`` and check that all its addresses are of this machine.

    Args:
        url: http or https; a ``/v1`` at its end, as OpenAI's clients want it, is dropped.
        allow_remote: any host will do, and is not looked up.

    Raises:
        RefusedError: it leads off this machine.
        ServerError: there is no such host.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    path = parts.path.rstrip("/").removesuffix("/v1")
    if allow_remote:
        return Address(f"{parts.scheme}://{parts.netloc}{path}", parts.netloc, name)
    try:
        found = socket.getaddrinfo(name, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"there is no host {name!r} ({url})", hint="mend model.url in config.toml"
        ) from error
    numbers = [str(entry[4][0]) for entry in found]
    outside = [number for number in numbers if not ipaddress.ip_address(number).is_loopback]
    if outside or not numbers:
        raise RefusedError(
            f"{url} leads off this machine ({', '.join(outside)}); code would be sent there",
            hint="set model.url to a server on 127.0.0.1, or model.allow_remote = true",
        )
    number = f"[{numbers[0]}]" if ":" in numbers[0] else numbers[0]
    port = f":{parts.port}" if parts.port else ""
    return Address(f"{parts.scheme}://{number}{port}{path}", parts.netloc, name)
