"""A broker that lets nobody in without TLS and a password."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.broker.broker import Broker, free_port

USER, PASSWORD, STORE_PASSWORD = "burstwatch", "correct horse", "keystore"


class SecureBroker(Broker):
    """One node with a second listener that wants SASL over TLS; ``address`` is that listener's.

    ``authority`` is the certificate that signed the broker's, for clients.
    """

    def __init__(self, folder: Path) -> None:
        self._secure_port = free_port()
        self._keystore = folder / "broker.p12"
        self.authority = folder / "authority.pem"
        self._make_certificate()
        super().__init__()
        self.address = f"127.0.0.1:{self._secure_port}"

    def _make_certificate(self) -> None:
        store = ["-keystore", str(self._keystore), "-storepass", STORE_PASSWORD, "-alias", "broker"]
        name = ["-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1,dns:localhost", "-ext", "bc:c=ca:true"]
        made = ["keytool", "-genkeypair", "-keyalg", "EC", "-validity", "2", "-storetype", "PKCS12", *name, *store]
        subprocess.run(made, check=True, capture_output=True)
        told = subprocess.run(["keytool", "-exportcert", "-rfc", *store], check=True, capture_output=True)
        self.authority.write_bytes(told.stdout)

    def _properties(self) -> dict[str, object]:
        plain = super()._properties()
        secure = f"SECURE://127.0.0.1:{self._secure_port}"
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return {
            **plain,
            "listeners": f"{plain['listeners']},{secure}",
            "advertised.listeners": f"{plain['advertised.listeners']},{secure}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.name.secure.ssl.keystore.location": self._keystore,
            "listener.name.secure.ssl.keystore.type": "PKCS12",
            "listener.name.secure.ssl.keystore.password": STORE_PASSWORD,
            "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secure.plain.sasl.jaas.config": f'{login} user_{USER}="{PASSWORD}";',
        }
