"""Accepts TLS on one address and passes the bytes on to a port of loopback: python3 tls_relay.py ADDRESS:PORT PORT CERTIFICATE KEY.
With it, the sink receives what hosts send to providers over a network, where plain HTTP and SMTP are refused. The sink
serves no other Host than its own, so that header is changed."""

import asyncio
import contextlib
import ssl
import sys


async def copy(reader, writer, host=None):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            # A header is sent whole, in the first bytes of a request.
            writer.write(data.replace(f"Host: {host}\r".encode(), b"Host: 127.0.0.1\r") if host else data)
            await writer.drain()
    # One side has ended, so the other has to.
    writer.close()


async def serve(address, inner, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    host, _, port = address.rpartition(":")

    async def relay(reader, writer):
        try:
            inside = await asyncio.open_connection("127.0.0.1", int(inner))
        except OSError:
            return writer.close()
        await asyncio.gather(copy(reader, inside[1], host), copy(inside[0], writer))
    async with await asyncio.start_server(relay, host, int(port), ssl=context, ssl_handshake_timeout=10) as server:
        await server.serve_forever()


asyncio.run(serve(*sys.argv[1:]))
