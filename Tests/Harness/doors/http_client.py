"""Sends a request over TCP, byte by byte as it is written."""

import contextlib
import http.client
import socket
import ssl

from doors.messages import Reply

# Certificates of the tests are made for the test.
ANY_CERTIFICATE = ssl._create_unverified_context()


def exchange(port, request, tls=False, seconds=15):
    """The reply of the server at the port. The connection comes from the request's client address."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(request.client, 0)))
        if tls:
            connection = stack.enter_context(ANY_CERTIFICATE.wrap_socket(connection))
        # A server may refuse a body before it has read all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request.head + request.body)
        answer = http.client.HTTPResponse(connection, method=request.method)
        try:
            answer.begin()
            body = answer.read()
        except (ConnectionResetError, http.client.HTTPException) as error:
            return Reply(0, body=repr(error).encode())
        return Reply(answer.status, [(name.lower(), value) for name, value in answer.getheaders()], body)
