"""Node addresses: completed, refused, shown without secrets."""

from __future__ import annotations

import pytest

from chaosnb.ingest.address import check_url, http_base, shown_url


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


def test_the_http_interface_is_at_the_same_host_and_port() -> None:
    """Without user and password, and with TLS where the WebSocket has it."""
    assert http_base("ws://me:pw@localhost:3000/ws/v1") == "http://localhost:3000/api/v1"
    assert http_base("wss://node.example/ws/v1?x=1") == "https://node.example/api/v1"
    assert shown_url("ws://me:pw@localhost:3000/ws/v1?x=1#f") == "ws://localhost:3000/ws/v1"
