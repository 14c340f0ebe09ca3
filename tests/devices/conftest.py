"""What the tests of devices share: free ports, waiting with a bound, and what is to be done without a component."""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def need(component: str, here: bool) -> None:
    """Skip the test where `component` is missing; in CI that is a failure."""
    if here:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{component} is missing, and in CI nothing may be")
    pytest.skip(f"{component} is not installed here")


@pytest.fixture(scope="session")
def need_component() -> Callable[[str, bool], None]:
    """Need something of which the test itself has found out whether it is here."""
    return need


@pytest.fixture(scope="session")
def need_package() -> Callable[[str], None]:
    """Need a Python package."""
    return lambda name: need(f"the package {name}", importlib.util.find_spec(name) is not None)


@pytest.fixture(scope="session")
def need_program() -> Callable[[str], str]:
    """Need a program; gives its path."""

    def program(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        need(f"the program {name}", path is not None)
        assert path is not None
        return path

    return program


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait until something is true; fail after `seconds`."""

    def wait(true: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not become true in time"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1, and its key, as PEM files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # OPC UA knows RSA only
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"
