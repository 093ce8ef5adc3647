"""Identities: Ed25519 keys, what is signed with them, and that a private key is never shown."""

import copy
import json
import logging
import os
import pickle
import stat
import traceback
from pathlib import Path

import nacl.exceptions
import nacl.signing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.errors import IdentityError
from chaosnb.protocol.signing import KEY_VARIABLE, Identity, auth_message, auth_text, http_headers

STAMP = "2026-11-23T00:36:12.345Z"

# RFC 8032, section 7.1: secret key, public key, message, signature.
TEST_1 = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b",
)
TEST_2 = (
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
    "387b2eaeb4302aeeb00d291612bb0c00",
)
TEST_3 = (
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
    "4a7c15e9716ed28dc027beceea1ec40a",
)
KEY = TEST_1[0]


def verifies(public_key_hex: str, text: str, signature_hex: str) -> bool:
    """Say whether PyNaCl takes this for a signature of the text by this key."""
    key = nacl.signing.VerifyKey(bytes.fromhex(public_key_hex))
    try:
        return key.verify(text.encode(), bytes.fromhex(signature_hex)) == text.encode()
    except nacl.exceptions.BadSignatureError:
        return False


@pytest.mark.parametrize("vector", [TEST_1, TEST_2, TEST_3], ids=["TEST 1", "TEST 2", "TEST 3"])
def test_public_keys_are_those_of_rfc_8032(vector: tuple[str, str, str, str]) -> None:
    """A secret key of the RFC's test vectors gives its public key, whose signature verifies."""
    secret, public, message, signature = vector
    assert Identity(secret).public_key_hex == public
    key = nacl.signing.VerifyKey(bytes.fromhex(Identity(secret).public_key_hex))
    assert key.verify(bytes.fromhex(message), bytes.fromhex(signature)) == bytes.fromhex(message)


@pytest.mark.parametrize("vector", [TEST_1, TEST_2], ids=["TEST 1", "TEST 2"])
def test_signatures_are_those_of_rfc_8032(vector: tuple[str, str, str, str]) -> None:
    """The RFC's messages that are text are signed as the RFC says (that of TEST 3 is no UTF-8)."""
    secret, _, message, signature = vector
    assert Identity(secret).sign(bytes.fromhex(message).decode()) == signature


def test_upper_case_keys_are_the_same_and_are_shown_in_lower_case() -> None:
    """Hex digits may come in either case, and leave in lower case."""
    assert Identity(KEY.upper()) == Identity(KEY)
    assert Identity(KEY.upper()).public_key_hex == TEST_1[1]


@given(st.text(max_size=200))
@settings(max_examples=50, deadline=None)
def test_text_is_signed_as_utf8(text: str) -> None:
    """Any text is signed over its UTF-8 bytes, and verifies for no other text."""
    identity = Identity(KEY)
    signature = identity.sign(text)
    assert verifies(identity.public_key_hex, text, signature)
    assert not verifies(identity.public_key_hex, text + " ", signature)
    assert signature == signature.lower()


def test_the_auth_message_verifies() -> None:
    """An auth message has the protocol's four fields, and signs `auth:<public key>:<timestamp>`."""
    identity = Identity.generate()
    message = json.loads(auth_message(identity, STAMP))
    assert list(message) == ["type", "public_key", "timestamp", "signature"]
    assert (message["type"], message["timestamp"]) == ("auth", STAMP)
    assert message["public_key"] == identity.public_key_hex
    signed = f"auth:{message['public_key']}:{message['timestamp']}"
    assert auth_text(identity.public_key_hex, STAMP) == signed
    assert verifies(message["public_key"], signed, message["signature"])
    assert not verifies(message["public_key"], signed.replace("345", "346"), message["signature"])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (None, '{"method":"GET","path":"/api/v1/network/state","body":null,"timestamp":"%s"}'),
        (
            {"b": 1, "a": ["ü", {}]},
            '{"method":"GET","path":"/api/v1/network/state","body":{"b":1,"a":["ü",{}]},"timestamp":"%s"}',
        ),
        ("", '{"method":"GET","path":"/api/v1/network/state","body":"","timestamp":"%s"}'),
    ],
    ids=["no body", "object", "empty text"],
)
def test_http_headers_sign_the_compact_request(body: object, text: str) -> None:
    """The signed text is the compact JSON of method, path, body and timestamp in this order."""
    identity = Identity.generate()
    headers = http_headers(identity, "GET", "/api/v1/network/state", body, STAMP)
    assert set(headers) == {"X-Agent-Public-Key", "X-Agent-Signature", "X-Timestamp"}
    assert headers["X-Agent-Public-Key"] == identity.public_key_hex
    assert headers["X-Timestamp"] == STAMP
    assert verifies(identity.public_key_hex, text % STAMP, headers["X-Agent-Signature"])


def test_generated_identities_differ() -> None:
    """Each call gives another key pair."""
    keys = {Identity.generate().public_key_hex for _ in range(20)}
    assert len(keys) == 20
    assert all(len(key) == 64 and key == key.lower() for key in keys)


def test_identities_are_equal_by_key() -> None:
    """Two identities of one key are equal and hash alike; those of two keys are not, nor is anything else."""
    assert Identity(KEY) == Identity(KEY)
    assert len({Identity(KEY), Identity(KEY), Identity(TEST_2[0])}) == 2
    assert Identity(KEY) != KEY


@pytest.mark.parametrize("wrong", ["", "ab", KEY[:-1], KEY + "ab", "x" * 64, KEY[:-1] + "g", "🔑" * 64])
def test_wrong_keys_are_refused_without_showing_them(wrong: str) -> None:
    """A text that is no key is refused with what a key is, and is not repeated."""
    with pytest.raises(IdentityError, match="64 hexadecimal digits") as caught:
        Identity(wrong)
    shown = "".join(traceback.format_exception(caught.value))
    assert not wrong or f"'{wrong}'" not in shown
    assert KEY[:-1] not in shown


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable holds the private key; white space around it is of no account."""
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\n")
    monkeypatch.setenv("ANOTHER_KEY", TEST_2[0])
    assert Identity.from_env().public_key_hex == TEST_1[1]
    assert Identity.from_env("ANOTHER_KEY").public_key_hex == TEST_2[1]


@pytest.mark.parametrize("value", [None, "", KEY + "zz", "hunter2"])
def test_a_bad_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """A variable without a key is refused by name, and its content stays hidden."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(IdentityError, match=KEY_VARIABLE) as caught:
        Identity.from_env()
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "hunter2" not in shown


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """A missing file is made, with its folders, readable by the owner only, and is read the next time."""
    file = tmp_path / "new" / "folder" / "identity.key"
    identity = Identity.from_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert Identity.from_file(str(file)) == identity
    assert Identity.from_file(tmp_path / "other.key") != identity
    assert [path.name for path in file.parent.iterdir()] == ["identity.key"]


def test_a_key_file_lies_in_the_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path the key is kept in the user's own configuration folder."""
    for variable in ("XDG_CONFIG_HOME", "HOME", "LOCALAPPDATA", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    identity = Identity.from_file()
    (file,) = tmp_path.rglob("identity.key")
    assert "chaosnb" in file.parent.name
    assert Identity.from_file(file) == identity


def test_the_umask_cannot_open_the_key_file(tmp_path: Path) -> None:
    """However lax the process is, the file is the owner's alone."""
    before = os.umask(0)
    try:
        Identity.from_file(tmp_path / "identity.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that others could have read or written is not used, and the message says what to do."""
    file = tmp_path / "identity.key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(IdentityError, match=f"chmod 600 {file}") as caught:
        Identity.from_file(file)
    assert KEY not in str(caught.value)
    file.chmod(0o600)
    assert Identity.from_file(file).public_key_hex == TEST_1[1]


@pytest.mark.parametrize(
    "content", [b"", b"\n", KEY.encode() + b"00", b"\xff\xfe", b"a secret\n", b"x" * 10_000]
)
def test_a_file_without_a_key_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """A file with other content is refused by its name, is not shown, and is left as it is."""
    file = tmp_path / "identity.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(IdentityError, match=str(file)) as caught:
        Identity.from_file(file)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "a secret" not in shown
    assert file.read_bytes() == content


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """What cannot be read as a file is an IdentityError that names it, like any other bad key file."""
    folder = tmp_path / "identity.key"
    folder.mkdir(mode=0o700)
    with pytest.raises(IdentityError, match=str(folder)):
        Identity.from_file(folder)


def fail_with(identity: Identity) -> None:
    """Raise while an identity is at hand."""
    raise RuntimeError(f"could not use {identity}")


def test_the_private_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """No text made from an identity, nor a traceback with the values of all locals, holds its key."""
    identity = Identity(KEY)
    with pytest.raises(RuntimeError) as caught:
        fail_with(identity)
    with_locals = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    logging.getLogger("test").warning("using %s %r", identity, identity)
    texts = [
        repr(identity),
        str(identity),
        f"{identity} {identity!r} {identity:}",
        "%s %r" % (identity, identity),  # noqa: UP031
        str([identity]),
        str({"identity": identity}),
        "".join(with_locals.format()),
        caplog.text,
        auth_message(identity, STAMP),
        str(http_headers(identity, "GET", "/", None, STAMP)),
        " ".join(str(getattr(identity, name)) for name in dir(identity) if not name.startswith("_")),
    ]
    for text in texts:
        assert KEY not in text.lower()
        assert repr(bytes.fromhex(KEY)) not in text
    assert "Identity(public key " in "".join(with_locals.format())


def test_a_key_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """No folder can have such a name, and none lies within a file."""
    with pytest.raises(IdentityError, match="no private key can be made in"):
        Identity.from_file(tmp_path / ("x" * 300) / "identity.key")
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityError, match="cannot be read"):
        Identity.from_file(tmp_path / "file" / "identity.key")


def test_an_identity_has_no_dict() -> None:
    """`vars` finds nothing to show, and nothing can be hung on an identity."""
    with pytest.raises(TypeError):
        vars(Identity(KEY))
    with pytest.raises(AttributeError):
        Identity(KEY).note = "x"  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_identity_cannot_be_pickled(protocol: int) -> None:
    """No pickle protocol takes the key out of the process, not even within other objects."""
    for value in (Identity(KEY), [Identity(KEY)], {"identity": Identity(KEY)}):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(value, protocol)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_an_identity_cannot_be_copied(way: object) -> None:
    """Copies are refused as pickles are, with the reason."""
    with pytest.raises(TypeError, match="private key stays"):
        way(Identity(KEY))  # type: ignore[operator]
