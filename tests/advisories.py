"""A stand-in for the service that pip-audit asks for advisories, on loopback.

pip-audit asks one host, over TLS. So this is a proxy that answers in that host's place, whatever its name, under a
certificate of an authority of its own; `environment` sends a client here and has it trust that authority.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Answer = Callable[[str, str], list[dict[str, Any]] | int]
"""The advisories of a package in a version, or the status of a refusal."""


@dataclass
class Service:
    environment: dict[str, str]
    asked: set[tuple[str, str]] = field(default_factory=set)


@contextmanager
def advisories(folder: Path, answer: Answer) -> Iterator[Service]:
    """A service that answers so, and remembers what it was asked."""
    authority = _Authority(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            context = authority.context(self.path.rpartition(":")[0])
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.close_connection = False  # the requests come through it

        def do_GET(self) -> None:
            _, _, name, version, _ = self.path.split("/")
            service.asked.add((name, version))
            said = answer(name, version)
            body = b"" if isinstance(said, int) else json.dumps({"vulnerabilities": said}).encode()
            self.send_response(said if isinstance(said, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = f"http://127.0.0.1:{server.server_port}"
        service = Service({"HTTPS_PROXY": here, "https_proxy": here, "REQUESTS_CA_BUNDLE": str(authority.certificate)})
        Thread(target=server.serve_forever, daemon=True).start()
        yield service
        server.shutdown()


class _Authority:
    """Certificates for whatever name is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "advisories of the tests")])
        self.certificate = self._issue("authority", self._name, x509.BasicConstraints(ca=True, path_length=None))
        self._private = folder / "key.pem"
        self._private.write_bytes(
            self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def context(self, host: str) -> ssl.SSLContext:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whoever was asked for")])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self._issue("host", name, x509.SubjectAlternativeName([x509.DNSName(host)])), self._private
        )
        return context

    def _issue(self, file: str, subject: x509.Name, extension: x509.ExtensionType) -> Path:
        now, path = datetime.now(UTC), self._folder / f"{file}.pem"
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path
