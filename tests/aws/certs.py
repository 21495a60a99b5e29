# SPDX-License-Identifier: BSD-2-Clause
"""A CA and certificates of its own, good and bad, for the tests of TLS."""

import datetime
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path, key, *certificates):
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
    if key:
        pem += key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    return path


class Authority:
    """Signs certificates for servers."""

    def __init__(self, folder, name):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (
            self._builder(_name(name), self.key, self.now - DAY, self.now + DAY)
            .issuer_name(_name(name))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .add_extension(self._subject_id(self.key), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(self, subject, key, first, last):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(last)
        )

    @staticmethod
    def _subject_id(key):
        return x509.SubjectKeyIdentifier.from_public_key(key.public_key())

    def write(self, name):
        """The CA's certificate as a PEM file. Returns its path."""
        return _write(os.path.join(self.folder, name), None, self.certificate)

    def server(self, name, hosts, last=None):
        """An ssl.SSLContext of a server that answers for the hosts, addresses or names."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        certificate = (
            self._builder(_name("levee test server"), key, self.now - 10 * DAY, last or self.now + DAY)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        path = _write(os.path.join(self.folder, name), key, certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _usage(sign):
    return x509.KeyUsage(
        digital_signature=not sign,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def contexts(folder, address):
    """{kind: SSLContext}, and the path of the CA that is to be trusted."""
    good, other = Authority(folder, "levee test CA"), Authority(folder, "another CA")
    here = [address, "127.0.0.1", "::1", "localhost"]
    return {
        "https": good.server("server.pem", here),
        "https_expired": good.server("expired.pem", here, last=good.now - DAY),
        "https_wrong_name": good.server("wrong-name.pem", ["elsewhere.invalid"]),
        "https_other_ca": other.server("other-ca.pem", here),
    }, good.write("ca.pem")
