/// Servers in Python that the notifiers are tested against.
enum Script {
  /// Replies to every request according to its mode: {status, body, times, headers, sleep, reset, tls}.
  static let http = """
    import json, socket, ssl, struct, subprocess, sys, tempfile, time
    mode = json.loads(sys.argv[1])
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(16)
    context = None
    if mode.get("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = folder + "/key.pem", folder + "/cert.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                            certificate, "-days", "1", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
            context.load_cert_chain(certificate, key)
    print(server.getsockname()[1])
    while True:
        client, _ = server.accept()
        try:
            if context:
                client = context.wrap_socket(client, server_side=True)
            data = b""
            while b"\\r\\n\\r\\n" not in data:
                data += client.recv(65536)
            head, body = data.split(b"\\r\\n\\r\\n", 1)
            lines = head.decode("latin-1").split("\\r\\n")
            length = [int(l.split(":")[1]) for l in lines if l.lower().startswith("content-length:")][0]
            while len(body) < length:
                body += client.recv(65536)
            print(json.dumps({"request": lines[0], "headers": lines[1:], "body": body.decode()}))
            if mode.get("reset"):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                continue
            time.sleep(mode.get("sleep", 0))
            reply = mode.get("body", "ok") * mode.get("times", 1)
            headers = "".join(f"{k}: {v}\\r\\n" for k, v in mode.get("headers", {}).items())
            client.sendall(f"HTTP/1.1 {mode.get('status', 200)} X\\r\\n{headers}Content-Length: {len(reply)}\\r\\n\\r\\n{reply}".encode())
            client.close()
        except OSError:
            pass
    """

  /// Runs aiosmtpd with the replies of its mode: {rcpt, data, drop, password, tls, quit}.
  static let smtp = """
    import asyncio, email, email.policy, json, ssl, subprocess, sys, tempfile
    from aiosmtpd.smtp import SMTP, AuthResult
    mode = json.loads(sys.argv[1])
    class Handler:
        async def handle_RCPT(self, server, session, envelope, address, options):
            if "rcpt" in mode:
                return mode["rcpt"]
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 Ok"
        async def handle_DATA(self, server, session, envelope):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            print(json.dumps({
                "from": envelope.mail_from, "recipients": envelope.rcpt_tos, "hello": session.host_name,
                "login": bool(session.authenticated), "tls": session.ssl is not None,
                "names": [name for name in message.keys()],
                "headers": {name.lower(): str(value) for name, value in message.items()},
                "text": message.get_body(("plain",)).get_content(), "html": message.get_body(("html",)).get_content(),
                "longest": max(len(line) for line in envelope.content.split(b"\\r\\n")),
                "defects": [str(d) for part in message.walk() for d in part.defects]}))
            if mode.get("drop"):
                server.transport.abort()
            return mode.get("data", "250 2.0.0 Ok: queued as 4F1A2B3C")
        async def handle_QUIT(self, server, session, envelope):
            await asyncio.sleep(mode.get("quit", 0))
            return "221 2.0.0 Bye"
    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=data.password == mode["password"].encode(), handled=False)
    def session():
        if "password" in mode:
            return SMTP(Handler(), authenticator=authenticate, auth_require_tls=False, enable_SMTPUTF8=False)
        return SMTP(Handler(), enable_SMTPUTF8=False, tls_context=context)
    context = None
    if mode.get("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = folder + "/key.pem", folder + "/cert.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                            certificate, "-days", "1", "-subj", "/CN=mail.example"], check=True, capture_output=True)
            context.load_cert_chain(certificate, key)
    async def main():
        server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    asyncio.run(main())
    """
}
