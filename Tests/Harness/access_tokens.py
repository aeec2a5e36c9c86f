"""An Auth server of Supabase as far as Leadpipe meets it: access tokens, and the address of its public keys."""

import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "the-secret-of-the-project-0123456789-abcdef"
USER = "0b1c2d3e-0000-4000-8000-00000000000a"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header, claims, sign):
    message = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{message}.{encoded(sign(message.encode()))}"


def by_secret(message, secret=SECRET):
    return hmac.new(secret if isinstance(secret, bytes) else secret.encode(), message, hashlib.sha256).digest()


class PrivateKey:
    """A key pair made by openssl."""

    def __init__(self, folder, kid, algorithm):
        self.kid, self.algorithm, self.path = kid, algorithm, folder / f"{kid}.pem"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RS256" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self.openssl("genpkey", "-algorithm", *kind, "-out", self.path)

    @staticmethod
    def openssl(*arguments, data=None):
        return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout

    @property
    def public(self):
        jwk = {"kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}
        if self.algorithm == "RS256":
            modulus = self.openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
            return {**jwk, "kty": "RSA", "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}
        point = self.openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
        return {**jwk, "kty": "EC", "crv": "P-256", "x": encoded(point[:32]), "y": encoded(point[32:])}

    def sign(self, message):
        signature = self.openssl("dgst", "-sha256", "-sign", self.path, data=message)
        if self.algorithm == "RS256":
            return signature
        # DER: 30 length, then twice 02 length number.
        r, rest = signature[4:4 + signature[3]], signature[4 + signature[3]:]
        return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in (r, rest[2:]))


class AuthServer:
    """Serves its key set, and makes tokens of its users."""

    def __init__(self):
        self.keys, self.reply = [], None
        auth = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = auth.reply or (200, auth.jwks.encode())
                self.send_response(status if self.path == "/auth/v1/.well-known/jwks.json" else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/auth/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def jwks(self):
        return json.dumps({"keys": [key.public for key in self.keys]})

    def claims(self, **changed):
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "authenticated", "role": "authenticated", "sub": USER, "email": "ana@example.com", "iat": now,
            "exp": now + 3600, "aal": "aal1", "session_id": USER, "is_anonymous": False, "app_metadata": {"leadpipe_role": "admin"}, "user_metadata": {}}
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def token(self, key=None, **changed):
        """A token signed by `key`, or by the shared secret."""
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"} if key else {"alg": "HS256", "typ": "JWT"}
        return compact(header, self.claims(**changed), key.sign if key else by_secret)
