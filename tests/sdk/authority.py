"""Certificates for tests, made on the spot by openssl."""

import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.ca = os.path.join(self.directory, "ca.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test authority",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.path("ca.key"), "-out", self.ca)

    def path(self, name):
        return os.path.join(self.directory, name)

    def sign(self, name, days=30):
        """Certificate for localhost and its key: NAME.pem and NAME.key."""
        extensions = self.path("extensions")
        with open(extensions, "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.csr"))
        openssl("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", str(days),
                "-extfile", extensions, "-out", self.path(f"{name}.pem"))
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def put(self, name):
        """Puts this pair where the gateway looks."""
        for end in ("pem", "key"):
            with open(self.path(f"{name}.{end}"), "rb") as source, open(self.path(f"live.{end}"), "wb") as target:
                target.write(source.read())
