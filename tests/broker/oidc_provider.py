#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""A small OpenID Connect provider on the loopback interface, for tests: scripts/kafka runs it beside the brokers.

usage: oidc_provider.py FOLDER CERTIFICATE KEY

Prints a line {"http": PORT, "https": PORT} when both serve, the second by the given PEM files. FOLDER takes its RSA key.

  GET  /jwks              the public key, by which brokers check tokens
  POST /token[?life=S]    a token that lives S seconds (60), by client credentials: a name with its secret NAME-secret
"""
import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

HOST = "127.0.0.1"
AUDIENCE = "kafka"
SCOPES = {"", "kafka"}
KEY_ID = "one"


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    def __init__(self, folder):
        self.key = os.path.join(folder, "oidc.key")
        openssl("genrsa", "-out", self.key, "2048")
        modulus = openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        self.jwks = {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID,
                               "n": base64url(bytes.fromhex(modulus)), "e": base64url((65537).to_bytes(3, "big"))}]}

    def token(self, claims):
        parts = [{"alg": "RS256", "typ": "JWT", "kid": KEY_ID}, claims]
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        return text + "." + base64url(openssl("dgst", "-sha256", "-sign", self.key, given=text.encode()))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, error, description):
        self.answer(status, {"error": error, "error_description": description})

    def client(self):
        """Who asks, by his secret; None: nobody we know."""
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        try:
            name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return None
        name, secret = urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
        return name if scheme == "Basic" and name and secret == f"{name}-secret" else None

    def do_GET(self):
        if self.path == "/jwks":
            self.answer(200, self.server.signer.jwks)
        else:
            self.answer(404, {})

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        name = self.client()
        if url.path != "/token":
            self.answer(404, {})
        elif name is None:
            self.refuse(401, "invalid_client", "Client authentication failed")
        elif form.get("grant_type") != "client_credentials":
            self.refuse(400, "unsupported_grant_type", "Only client_credentials")
        elif form.get("scope", "") not in SCOPES:
            self.refuse(400, "invalid_scope", "No such scope")
        else:
            life = float(dict(urllib.parse.parse_qsl(url.query)).get("life", 60))
            now = time.time()
            token = self.server.signer.token({"iss": self.server.issuer, "aud": AUDIENCE, "sub": name, "iat": now,
                                              "exp": now + life, "scope": form.get("scope") or "kafka"})
            self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": life})

    def log_message(self, *_):
        pass


def serve(signer, issuer, wrap=lambda server: server):
    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    server.signer = signer
    wrap(server)
    port = server.server_address[1]
    server.issuer = issuer or f"http://{HOST}:{port}"
    threading.Thread(target=server.serve_forever).start()
    return port, server.issuer


def main():
    folder, certificate, key = sys.argv[1:4]
    signer = Signer(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    def wrap(server):
        # The handshake is for the connection's thread: one that says nothing must not hold up the others.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    plain, issuer = serve(signer, None)
    secure, _ = serve(signer, issuer, wrap)
    print(json.dumps({"http": plain, "https": secure}), flush=True)


if __name__ == "__main__":
    main()
