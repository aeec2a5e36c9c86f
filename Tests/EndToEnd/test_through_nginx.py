"""Requests through nginx: the gateway and its handlers see exactly the requests that nginx sends, no more and no
fewer."""

import contextlib
import re
import socket
from collections import Counter

import pytest
from test_framing import BODY, CHUNKED, END, GOOD, LENGTH, POST, TABLE, get, mutated

from common import until
from gateway import Gateway
from nginx import nginx

ANSWERED = re.compile(r"\[INFO\] \S+ \S+ (\d{3}) requestId=(\S+)")
GOOD_POST = POST + LENGTH + b"\r\n" + BODY
# Requests whose end is ambiguous, with another request after them.
HIDDEN = [POST + fields + b"\r\n" + body + get(b"X: hidden") for fields, body in [
    (b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", END), (b"Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", b"7\r\n" + BODY + b"\r\n" + END),
    (b"Content-Length: 0\r\nContent-Length: 7\r\n", BODY),
    (b"Transfer-Encoding: xchunked\r\nContent-Length: 7\r\n", BODY), (b"Transfer-Encoding : chunked\r\nContent-Length: 7\r\n", BODY),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"7\r\n" + BODY + b"\r\n" + END),
    (b"Transfer_Encoding: chunked\r\nContent-Length: 7\r\n", BODY), (b"Content_Length: 90\r\nContent-Length: 7\r\n", BODY),
    (b"Content-Length: 7\r\nConnection: Content-Length\r\n", BODY), (b"Expect: 100-continue\r\nContent-Length: 7\r\n", BODY),
    (b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 7\r\n", BODY),
    (b"Transfer-Encoding: chunked\r\n", b"7;a=\"\n\"\r\n" + BODY + b"\r\n" + END),
    (b"Transfer-Encoding: chunked\r\n", b"7\r\n" + BODY + b"\r\n0\r\nContent-Length: 90\r\n\r\n"), (b"Content-Length: 0\r\n", b""), (b"", b"")]]
ALL = ([data for _, data, _ in TABLE if len(data) < 20_000] + [data for _, data in GOOD] + HIDDEN + [mutated(seed) for seed in range(1000, 1400)]
       + [GOOD_POST * 20 + get(b"Connection: close"), (GOOD_POST + CHUNKED + b"7\r\n" + BODY + b"\r\n" + END) * 10 + b"GET /form HTTP/9.9\r\n\r\n",
          GOOD_POST * 3 + POST + LENGTH + b"\r\n" + BODY[:3]])


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_handlers_get_exactly_the_requests_that_nginx_sends(tmp_path, buffering):
    with Gateway(tmp_path, TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_DEFAULT="off") as gateway, nginx(tmp_path / "nginx", gateway.port,
                                                                                                    buffering=buffering) as port:
        for data in ALL:
            with socket.create_connection(("127.0.0.1", port), timeout=8) as connection:
                try:
                    connection.sendall(data)
                    connection.shutdown(1)
                    while connection.recv(65_536):
                        pass
                except OSError:
                    pass
        # nginx gives each request an id. The third word of a line is the gateway's status if the request was sent to
        # it.
        def sent():
            lines = [line.split() for line in (tmp_path / "nginx" / "access.log").read_text().splitlines()]
            return [(name, upstream) for name, _, upstream in lines if upstream != "-"]

        def answered():
            return [(name, status) for status, name in ANSWERED.findall(gateway.log)]

        def statuses(requests):
            return Counter(status for _, status in requests)
        def missing():
            """Requests that nginx started to send while the body arrived, and then answered itself because the rest was
            malformed."""
            return statuses(answered()) - statuses(sent())
        with contextlib.suppress(AssertionError):
            until(lambda: statuses(sent()) == statuses(answered()), 10 if buffering == "on" else 3)
        assert not statuses(sent()) - statuses(answered())
        assert set(missing()) <= (set() if buffering == "on" else {"400", "408", "413"})
        # A request that the gateway cannot parse has no id there. Every other request is there once.
        served = sorted(name for name, status in sent() if status == "200")
        assert served == sorted(name for name, status in answered() if status == "200") and len(set(served)) == len(served)
        assert gateway.processes == len(served) > 150, len(served)
