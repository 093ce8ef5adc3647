"""Node addresses: completed, refused, shown without secrets."""

from __future__ import annotations

import pytest

from chaosnb.errors import InsecureConnectionError, TransportError
from chaosnb.ingest.address import (
    check_redirect,
    check_secure,
    check_url,
    http_base,
    is_loopback,
    shown_url,
)


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ("ws://localhost:3000", "ws://localhost:3000/ws/v1"),
        ("ws://localhost:3000/", "ws://localhost:3000/ws/v1"),
        ("wss://node.example/other/path?token=1", "wss://node.example/other/path?token=1"),
        ("ws://[::1]:3000", "ws://[::1]:3000/ws/v1"),
    ],
)
def test_an_address_gets_the_protocols_path_where_it_has_none(given: str, checked: str) -> None:
    """A path that is given stays."""
    assert check_url(given) == checked


@pytest.mark.parametrize(
    "wrong", ["", "node", "http://node", "ws://", "ws://node:99999", "ws://node:x", "file:///etc"]
)
def test_what_is_no_address_is_refused_with_the_right_forms(wrong: str) -> None:
    """The error shows the forms that are valid."""
    with pytest.raises(ValueError, match="ws://host:port/ws/v1"):
        check_url(wrong)


def test_the_error_about_an_address_holds_none_of_its_secrets() -> None:
    """Even a wrong address may carry a password."""
    with pytest.raises(ValueError, match="node") as caught:
        check_url("https://me:hunter2@node/?token=s3cret")
    assert "hunter2" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("ws://hunter2@node/ws/v1", "user:password@host"),
        ("ws://me:hunter2@node/ws/v1#part", "'%23'"),
        ("ws://node/?token=hunter2#part", "'%23'"),
        ("ws://node/#hunter2", "'%23'"),
        ("ws://me#hunter2@node", "'%23'"),
        ("me:hunter2@node:3000", "ws://host:port/ws/v1"),
    ],
)
def test_an_address_that_no_transport_takes_is_refused_without_its_secrets(wrong: str, hint: str) -> None:
    """At once, and not by a transport, which would say the whole address."""
    with pytest.raises(ValueError, match=hint) as caught:
        check_url(wrong)
    assert "hunter2" not in str(caught.value)
    # A password with a slash in it ends the host there.
    assert shown_url("ws://me/hunter2@node") == "(unreadable)"


def test_the_http_interface_is_at_the_same_host_and_port() -> None:
    """Without user and password, and with TLS where the WebSocket has it."""
    assert http_base("ws://me:pw@localhost:3000/ws/v1") == "http://localhost:3000/api/v1"
    assert http_base("wss://node.example/ws/v1?x=1") == "https://node.example/api/v1"
    assert shown_url("ws://me:pw@localhost:3000/ws/v1?x=1#f") == "ws://localhost:3000/ws/v1"


@pytest.mark.parametrize(
    "url", ["ws://localhost:3000", "ws://127.0.0.1", "ws://127.9.9.9", "ws://[::1]:3000", "http://LOCALHOST/"]
)
def test_what_stays_on_this_machine_need_not_be_encrypted(url: str) -> None:
    """By name and by number."""
    assert is_loopback(url)
    check_secure(url, allow_insecure=False)


@pytest.mark.parametrize(
    "url",
    [
        "ws://node.example/?token=s3cret",
        "http://node.example",
        "ws://localhost.example",
        "ws://127.0.0.1.example",
        "ws://0.0.0.0",
        "ws://localhost@node.example",
        "ws://me:hunter2@10.0.0.1",
        "ws://[::ffff:10.0.0.1]",
    ],
)
def test_what_goes_elsewhere_must_be_encrypted_or_allowed(url: str) -> None:
    """The error says both ways out, and repeats no secret."""
    with pytest.raises(InsecureConnectionError, match=r"wss://.*allow_insecure=True") as refused:
        check_secure(url, allow_insecure=False)
    assert refused.value.url == shown_url(url)
    assert "s3cret" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
    check_secure(url, allow_insecure=True)
    check_secure(url.replace("ws:", "wss:").replace("http:", "https:"), allow_insecure=False)


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("ws://node:3000/ws/v1", "/new", "ws://node:3000/new"),
        ("ws://node:3000/ws/v1", "ws://NODE:3000/new", "ws://NODE:3000/new"),
        ("wss://node/ws/v1", "wss://node:443/new", "wss://node:443/new"),
        ("ws://node/ws/v1", "wss://node/ws/v1", "wss://node/ws/v1"),
        ("ws://me:pw@node/ws/v1", "new", "ws://me:pw@node/ws/new"),
    ],
)
def test_a_redirect_within_the_node_is_followed(url: str, location: str, target: str) -> None:
    """Another path, or the same host with encryption."""
    assert check_redirect(url, location) == target


@pytest.mark.parametrize(
    ("url", "location", "reason"),
    [
        ("ws://node:3000/", "ws://other:3000/", "another host or port"),
        ("ws://node:3000/", "//other:3000/", "another host or port"),
        ("ws://node:3000/", "ws://node:3001/", "another host or port"),
        ("ws://node/", "wss://other/", "another host or port"),
        ("ws://node/", "ws://node@other/", "another host or port"),
        ("wss://node/", "ws://node/", "not encrypted"),
        ("wss://node/", "ws://node:443/", "not encrypted"),
        ("wss://node/", "https://node/", "no node's address"),
        ("wss://node/", "file:///etc/passwd", "no node's address"),
        ("wss://node/", "wss://node:99999/", "no node's address"),
        ("wss://node/", "http://[", "no node's address"),
    ],
)
def test_a_redirect_elsewhere_is_refused(url: str, location: str, reason: str) -> None:
    """What is signed for one node is not carried to another."""
    with pytest.raises(TransportError, match=reason):
        check_redirect(url, location)


@pytest.mark.parametrize("url", ["ws://node:99999", "ws://user:pass/word@node", "ws://[::1"])
def test_an_address_that_cannot_be_read_is_not_shown_and_its_port_is_asked_about(url: str) -> None:
    """A password may stand anywhere in it."""
    with pytest.raises(ValueError, match="port a number from 0 to 65535") as caught:
        check_url(url)
    assert "pass" not in str(caught.value)
