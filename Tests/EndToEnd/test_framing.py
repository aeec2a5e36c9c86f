"""Malformed HTTP on a raw socket: each request gets its status, the connection is closed, and no handler is started."""

import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import h11
import pytest

from common import until
from gateway import Gateway, parse

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
BODY = b'{"a":1}'
JSON = b"Content-Type: application/json\r\n"
HOST = b"Host: localhost\r\n"
POST = b"POST /form HTTP/1.1\r\n" + HOST + JSON
LENGTH = b"Content-Length: 7\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def post(*fields):
    """A request with `fields` for its framing, and bytes after it that are a body in any interpretation."""
    return POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + b"7\r\n" + BODY + b"\r\n" + END


def post_with_host(host):
    """The same with `host` as the only Host."""
    return post(LENGTH.strip(), host).replace(HOST, b"", 1)


def get(*fields, target=b"/form", version=b"HTTP/1.1", method=b"GET", host=HOST):
    return method + b" " + target + b" " + version + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def table():
    """(name, bytes, accepted statuses)."""
    bad = {400}
    yield "CL and TE", post(b"Content-Length: 7", b"Transfer-Encoding: chunked"), bad
    yield "TE and CL", post(b"Transfer-Encoding: chunked", b"Content-Length: 7"), bad
    for one, other in [(b"7", b"8"), (b"7", b"7"), (b"0", b"7"), (b"7", b"07"), (b"7", b"")]:
        yield f"CL {one} and CL {other}", post(b"Content-Length: " + one, b"content-length: " + other), bad
    for value in [b"5,5", b"7, 7", b"+5", b"-0", b"-7", b"0x5", b" 5 5", b"5 5", b"12345678901234567890", b"99999999999999999999", b"", b" ", b"7.0", b"7e0",
                  b"seven",
                  b"\xd9\xa7", b"7;", b"7\x00", b"\"7\"", b"1_0", b"NaN", b"7h", b"18446744073709551623"]:
        yield f"CL {value}", post(b"Content-Length: " + value), bad
    for value in [b"chunked, identity", b"identity, chunked", b"xchunked", b"chunkedx", b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"cow",
                  b"", b"chunked;q=1",
                  b"\"chunked\"", b"'chunked'", b"chun ked", b",chunked", b"chunked,", b"chunk\xc3\xa9d", b"\xc2\xa0chunked", b"\xef\xbb\xbfchunked",
                  b"chunked\r\n , identity"]:
        yield f"TE {value}", post(b"Transfer-Encoding: " + value), bad
    yield "TE twice", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), bad
    yield "TE in HTTP/1.0", post(b"Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0"), bad
    yield "TE folded", post(b"Transfer-Encoding:\r\n chunked"), bad
    yield "folded line", post(LENGTH.strip(), b"X: y\r\n z"), bad
    yield "folded with a tab", post(LENGTH.strip(), b"X: y\r\n\tz"), bad
    # Bytes that request smuggling puts around names and values.
    for byte in [0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF]:
        x = bytes([byte])
        for name, value in [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"7"), (b"Host", b"localhost")]:
            base = post_with_host if name == b"Host" else post
            yield f"{byte:02x} before {name}", base(x + name + b": " + value), bad
            yield f"{byte:02x} after {name}", base(name + x + b": " + value), bad
            yield f"{byte:02x} in {name}", base(name[:4] + x + name[4:] + b": " + value), bad
            yield f"{byte:02x} before the value of {name}", base(name + b": " + x + value), bad
            yield f"{byte:02x} after the value of {name}", base(name + b": " + value + x), bad
        if byte not in (0x09, 0x20):
            yield f"{byte:02x} in a value", post(LENGTH.strip(), b"X: y" + x + b"z"), bad
            yield f"{byte:02x} before a smuggled TE", post(LENGTH.strip(), b"X: y" + x + b"Transfer-Encoding: chunked"), bad
        yield f"{byte:02x} in the target", get(target=b"/form" + x), bad
        yield f"{byte:02x} in the version", get(version=b"HTTP/1" + x + b".1"), bad
        yield f"{byte:02x} after the version", get(version=b"HTTP/1.1" + x), bad
        yield f"{byte:02x} in the method", get(method=b"GE" + x + b"T"), bad
        yield f"{byte:02x} before the method", x + get(), bad
    # Chunks.
    for size in [b"0_7", b"+7", b"-7", b"0x7", b" 7", b"7 ", b"7\t", b"", b";", b"g", b"7,7", b"7.", b"\xd9\xa7", b"00000000000000007", b"10000000000000007",
                 b"0" * 64 + b"7",
                 b"ffffffffffffffff", b"8000000000000000", b"fffffffffffffffff", b"7;" + b"a" * 256, b"7;" + b"a" * 65_536, b"7;\x00", b"7;\xff", b"7;a\x0bb",
                 b"7\x00", b"7\r7"]:
        yield f"chunk size {size[:20]} of {len(size)}", CHUNKED + size + b"\r\n" + BODY + b"\r\n" + END, bad
    for name, rest in [("bare LF after a size", b"7\n" + BODY + b"\r\n" + END), ("bare CR after a size", b"7\r" + BODY + b"\r\n" + END),
                       ("bare LF behind data", b"7\r\n" + BODY + b"\n" + END),
                       ("nothing after data", b"7\r\n" + BODY + END), ("more data than the size", b"6\r\n" + BODY + b"\r\n" + END),
                       ("less data than the size", b"8\r\n" + BODY + b"\r\n" + END),
                       ("bare LF at the end", b"7\r\n" + BODY + b"\r\n0\n\n"), ("bare LF after the last", b"7\r\n" + BODY + b"\r\n0\r\n\n"),
                       ("empty line among chunks", b"7\r\n" + BODY + b"\r\n\r\n" + END),
                       ("LF in an extension", b"7;a\n" + BODY + b"\r\n" + END)]:
        yield name, CHUNKED + rest, bad
    for trailer in [b"Content-Length: 7", b"Transfer-Encoding: chunked", b"Host: evil", b"content-length: 7", b"X : y", b" X: y", b"X", b": y", b"X: y\x00",
                    b"X: y\n", b"X(: y"]:
        yield f"trailer {trailer}", CHUNKED + b"7\r\n" + BODY + b"\r\n0\r\n" + trailer + b"\r\n\r\n", bad
    # Lines.
    yield "bare LF in the head", get().replace(b"\r\n", b"\n"), bad
    yield "bare LF after the request line", get().replace(b"\r\n", b"\n", 1), bad
    yield "bare LF at the end of the head", get()[:-2] + b"\n", bad
    yield "bare CR", get().replace(b"\r\n", b"\r", 1), bad
    yield "NUL in a value", get(b"X: a\x00b"), bad
    yield "NUL in a name", get(b"X\x00: a"), bad
    for field in [b" X: y", b"\tX: y", b"X : y", b"X\t: y", b": y", b"X", b"X y: z", b"X(a): y", b"X[: y", b"\"X\": y", b"X/: y", b"X@: y", b"X=: y", b"X{}: y",
                  b"\xc3\xa9: y", b"X,: y", b"?: y"]:
        yield f"field {field}", get(field), bad
    yield "spaces before the first field", get(host=b" " + HOST), bad
    yield "a line of spaces", get(b" "), bad
    # Host.
    yield "no Host", get(host=b""), bad
    yield "two Hosts", get(b"Host: other"), bad
    yield "the same Host twice", get(b"host: localhost"), bad
    for host in [b"a@b", b"a/b", b"a b", b"a:99999", b"a:+1", b"a:-1", b"a:1x", b"a:80:80", b"[::1", b"::1]", b"[::g]", b"a\\b", b"a?b", b"a#b", b"a,b", b"<a>",
                 b"a\"", b"\xc3\xa9", b"a:65536", b"a:\xd9\xa1",
                 b"[::1]x", b"a%b%", b"http://a"]:
        yield f"Host {host}", get(host=b"Host: " + host + b"\r\n"), bad
    # Targets.
    for target, statuses in [
        (b"/form\xc3\xa9", bad), (b"/form\xff", bad), (b"/form%00", bad), (b"/%00", bad), (b"/%2e%2e/form", bad), (b"/x/%2e%2e/form", bad), (b"/../form", bad),
        (b"/./form", bad), (b"/x/../form", bad),
        (b"//form", {404}), (b"/form//", {404}), (b"/form/", {404}), (b"/form;a", {404}), (b"/form;", {404}), (b"/;/form", {404}), (b"/%c0%ae%c0%ae/form", bad),
        (b"/%c0%af", bad), (b"/%e0%80%af", bad),
        (b"/%ed%a0%80", bad), (b"/form%2f", bad), (b"/%2fform", bad), (b"/form%5c", bad), (b"/form\\", bad), (b"/form%", bad), (b"/form%g0", bad),
        (b"/form%1", bad), (b"/form%252e", {404}), (b"/%66orm", {404}),
        (b"/FORM", {404}), (b"/form%0d%0aX:y", bad), (b"/form%0a", bad), (b"/form?a=%00", bad), (b"/form?a=%ff", bad), (b"/form?%", bad), (b"/form#a", bad),
        (b"/form\"", bad), (b"/form<", bad), (b"form", bad), (b"*", bad), (b"?", bad),
        (b"localhost:80", bad), (b"localhost", bad), (b"http://", bad), (b"http:///form", {400}), (b"http://a@b/form", bad), (b"ftp://localhost/form", bad),
        (b"http://a b/form", bad), (b"http://a:99999/form", bad), (b"http:/form", bad),
        (b"/" + b"a" * 9 * 1024, {414}), (b"/form?" + b"a" * 9 * 1024, {414}), (b"/" + b"a" * 100_000, {414}), (b"/form.", {404}), (b"/form%20", {404}),
        (b"/form%7f", bad), (b"/form%c2%80", {400, 404}),
    ]:
        yield f"target {target[:40]} of {len(target)}", get(b"Connection: close", target=target), statuses
    # Versions and methods.
    for version in [b"HTTP/1.2", b"HTTP/0.9", b"HTTP/1.32", b"HTTP/2.0", b"HTTP/2", b"HTTP/3", b"http/1.1", b"Http/1.1", b"HTTP/1.", b"HTTP/.1", b"HTTP/11",
                    b"HTTP/01.1", b"HTTP/1.01", b"HTTP/-1.1", b"HTTPS/1.1", b"HTTP 1.1",
                    b"HTTP/1.1 x", b"", b"ICY/1.0", b"RTSP/1.0"]:
        yield f"version {version}", get(version=version), bad
    yield "HTTP/0.9", b"GET /form\r\n\r\n", bad
    yield "two spaces before the target", get(target=b" /form"), bad
    yield "two spaces after the target", get(target=b"/form "), bad
    yield "a tab instead of a space", get().replace(b" /form ", b"\t/form "), bad
    yield "no target", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", bad
    for method in [b"get", b"GEt", b"Post", b"G=\":", b"G(T", b"G\xc3\x89T", b"", b"GET,POST", b"{}"]:
        yield f"method {method}", get(method=method), bad
    for method in [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"BREW", b"PROPFIND", b"M-SEARCH", b"PURGE", b"LINK", b"TRACK", b"G_T", b"GETT", b"GE", b"X" * 200]:
        yield f"method {method[:20]} on an existing path", get(b"Connection: close", method=method), {405}
        yield f"method {method[:20]} on an unknown path", get(b"Connection: close", method=method, target=b"/none"), {404}
    yield "CONNECT", get(method=b"CONNECT", target=b"localhost:80"), bad
    yield "CONNECT to a path", get(method=b"CONNECT"), {405}
    yield "OPTIONS *", get(method=b"OPTIONS", target=b"*"), bad
    yield "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", bad
    yield "HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", bad
    yield "the PROXY protocol", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(), bad
    yield "SSH", b"SSH-2.0-OpenSSH_9.2\r\n", bad
    yield "SMTP", b"EHLO localhost\r\nMAIL FROM:<a@b>\r\n", bad
    yield "NULs", b"\x00" * 100, bad
    yield "two empty lines first", b"\r\n\r\n" + get(), bad
    # Sizes.
    yield "a field of 17 KiB", get(b"X: " + b"a" * 17 * 1024), {431}
    yield "a field of 64 KiB", get(b"X: " + b"a" * 64 * 1024), {431}
    yield "a name of 64 KiB", get(b"X" * 64 * 1024 + b": a"), {431}
    yield "a block of 33 KiB", get(*[b"X-%d: " % n + b"a" * 1000 for n in range(33)]), {431}
    yield "101 fields", get(*[b"X: a"] * 100), {431}
    yield "5,000 fields", get(*[b"X: a"] * 5000), {431}
    yield "trailers of 33 KiB", CHUNKED + END[:-2] + b"".join(b"X: " + b"a" * 1000 + b"\r\n" for _ in range(33)) + b"\r\n", {431}
    yield "a body too large by its length", POST + b"Content-Length: 65537\r\n\r\n", {413}
    yield "a body too large in chunks", CHUNKED + b"10001\r\n" + b"a" * 65_537, {413}
    yield "a chunk of 2^59", CHUNKED + b"0800000000000000\r\n" + b"a" * 70_000, {413, 400}
    # Expectations and types.
    yield "100-continue and too large", POST + b"Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n", {413}
    yield "an unknown expectation", get(b"Expect: 200-ok"), {417}
    yield "two expectations", get(b"Expect: 100-continue", b"Expect: 100-continue"), {417}
    for type_ in [b"text/plain", b"application/json; charset=utf-16", b"application/jsonx", b"", b"application/x-www-form-urlencoded", b"multipart/form-data",
                  b"application/json, text/plain",
                  b"text/plain; application/json"]:
        yield f"type {type_}", POST.replace(b"application/json", type_) + LENGTH + b"\r\n" + BODY, {415}
    yield "no type", POST.replace(JSON, b"") + LENGTH + b"\r\n" + BODY, {415}
    yield "two types", POST + b"Content-Type: application/json\r\n" + LENGTH + b"\r\n" + BODY, {415}
    for coding in [b"gzip", b"deflate", b"br", b"identity, gzip", b"x"]:
        yield f"coding {coding}", POST + b"Content-Encoding: " + coding + b"\r\n" + LENGTH + b"\r\n" + BODY, {415}
    yield "a key twice", POST + b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n" + LENGTH + b"\r\n" + BODY, bad


TABLE = list(table())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("framing"), RATE_LIMIT_DEFAULT="off") as gateway:
        yield gateway


@pytest.mark.parametrize("name, data, statuses", TABLE, ids=[name for name, _, _ in TABLE])
def test_rejects_malformed_requests_without_starting_a_handler(gateway, name, data, statuses):
    before = gateway.processes
    closed, answer = gateway.raw(data)
    status, headers = parse(answer)
    assert status in statuses, answer[:300]
    assert closed, f"the connection stayed open after {answer[:100]}"
    assert headers["connection"] == "close" and headers["content-type"] == "application/problem+json"
    assert len(STATUS.findall(answer)) == 1, "the bytes after it were answered too"
    assert (status == 405) == ("allow" in headers)
    assert gateway.processes == before, "a handler was started"


def test_table_has_at_least_150_requests():
    assert len(TABLE) >= 150 and len({data for _, data, _ in TABLE}) > 0.97 * len(TABLE)


GOOD = [
    ("a length", POST + LENGTH + b"Connection: close\r\n\r\n" + BODY),
    ("chunks", CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"7\r\n" + BODY + b"\r\n" + END),
    ("an extension", CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"007;a=b\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n"),
    ("an empty line first", b"\r\n" + get(b"Connection: close")),
    ("absolute form", get(b"Connection: close", target=b"http://localhost/form")), ("the oldest", b"GET /form HTTP/1.0\r\n\r\n"),
    ("a query", get(b"Connection: close", target=b"/form?a=b;c&d=%C3%A9&e=|")),
    ("utf-8", get(b"Connection: close", b"User-Agent: Z\xc3\xbcrich")), ("spaces around a value", get(b"Connection: close", b"X: \t y \t")),
    ("a type with a charset", POST.replace(b"json", b"json; charset=UTF-8") + LENGTH + b"Connection: close\r\n\r\n" + BODY),
    ("a Host with a port", get(b"Connection: close", host=b"Host: localhost:8080\r\n")),
    ("an IPv6 Host", get(b"Connection: close", host=b"Host: [::1]:8080\r\n")),
    ("a key", POST + b"Idempotency-Key: a\r\nConnection: close\r\n" + LENGTH + b"\r\n" + BODY),
    ("100 fields", get(b"Connection: close", *[b"X: a"] * 98)),
]


@pytest.mark.parametrize("data", [data for _, data in GOOD], ids=[name for name, _ in GOOD])
@pytest.mark.parametrize("size", [100_000, 1, 17], ids=["at-once", "by-bytes", "in-pieces"])
def test_serves_valid_requests_in_pieces_of_any_size(gateway, data, size):
    before = gateway.processes
    with gateway.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            connection.sendall(data[start:start + size])
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert parse(answer)[0] == 200, answer
    assert gateway.processes == before + 1


def test_sends_the_replies_before_a_malformed_request(gateway):
    good = POST + LENGTH + b"\r\n" + BODY
    for bad in [b"GET /form HTTP/9.9\r\n\r\n", b"BREW /form HTTP/1.1\r\n", b"GET /form HTTP/1.1\r\nHost : a\r\n", b"\x16\x03\x01", CHUNKED + b"xyz\r\n"]:
        before = gateway.processes
        closed, answer = gateway.raw(good * 3 + bad + good)
        statuses = [int(status) for status in STATUS.findall(answer)]
        assert statuses == [200, 200, 200, 405 if bad.startswith(b"BREW") else 400] and closed
        assert gateway.processes == before + 3


def test_answers_100_pipelined_requests_in_order(gateway):
    requests = [POST + f"X-Request-Id: no-{n}\r\n".encode() + LENGTH + b"\r\n" + BODY for n in range(100)]
    requests[-1] = requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    closed, answer = gateway.raw(b"".join(requests))
    ids = [line.split()[-1] for line in answer.decode().split("\r\n") if line.startswith("x-request-id")]
    assert closed and ids == [f"no-{n}" for n in range(100)]


def test_client_that_closed_its_sending_side_gets_a_reply(gateway):
    with gateway.connect() as connection:
        connection.sendall(POST + LENGTH + b"\r\n" + BODY)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_incomplete_request_starts_no_handler(gateway):
    before = gateway.processes
    whole = POST + LENGTH + b"\r\n" + BODY
    for length in (0, 1, 10, len(POST) - 1, len(whole) - 1):
        for reset in (False, True):
            with gateway.connect() as connection:
                connection.sendall(whole[:length])
                time.sleep(0.01)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert gateway.request()[0] == 200
    assert gateway.processes == before + 1


def drip(gateway, begin, byte):
    """Sends `begin` at once, then a byte every 0.4 s. Returns (status, seconds until the response)."""
    began = time.monotonic()
    with gateway.connect(seconds=0.4) as connection:
        connection.sendall(begin)
        while time.monotonic() - began < 25:
            try:
                return parse(connection.recv(1000))[0], time.monotonic() - began
            except TimeoutError:
                connection.sendall(byte)
    return 0, 25


def test_slow_request_times_out(gateway):
    """A head may take 10 s and a body 15 s, however often a byte arrives."""
    before = gateway.processes
    with ThreadPoolExecutor(3) as pool:
        line = pool.submit(drip, gateway, b"GET /f", b"o")
        head = pool.submit(drip, gateway, b"GET /form HTTP/1.1\r\nHost: x\r\nX: ", b"o")
        body = pool.submit(drip, gateway, POST + b"Content-Length: 5000\r\n\r\n", b" ")
        for answer, limit in ((line, 10), (head, 10), (body, 15)):
            status, seconds = answer.result()
            assert status == 408 and limit - 1 < seconds < limit + 3, (status, seconds)
    assert gateway.processes == before


def test_sends_100_continue_before_the_body(gateway):
    with gateway.connect() as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_serves_ipv6(tmp_path):
    with Gateway(tmp_path, LEADPIPE_HOST="::1", RATE_LIMIT_DEFAULT="2/60") as gateway:
        assert gateway.address.startswith("http://[::1]:")
        answers = [gateway.request(host="::1") for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]
        assert answers[0][1]["x-client"] == "::1"
        until(lambda: any("GET /form 429" in line for line in gateway.lines), 5)


# ── Compared with another parser ──

def mutated(seed):
    """Two requests in a row with a few bytes changed, deleted, repeated or inserted."""
    random = Random(seed)
    first = random.choice([POST + LENGTH + b"\r\n" + BODY, CHUNKED + b"7\r\n" + BODY + b"\r\n" + END, get(b"X: y"),
                           CHUNKED + b"3;x=y\r\n{\"a\r\n4\r\n\":1}\r\n0\r\nX: y\r\n\r\n"])
    data = bytearray(first + get(b"Connection: close"))
    pieces = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0", b"7", b"\x00", b"\xff", b"\x0b", b"Content-Length: 7\r\n", b"Content-Length: 0\r\n",
              b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b";", b",", b"chunked", b"\r\n\r\n", b"GET /form HTTP/1.1\r\n"]
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        # Most interesting places are at the end of a line.
        ends = [place for place in range(len(data)) if data[place] in b"\r\n: "]
        place = random.choice(ends) if random.random() < 0.7 else random.randrange(len(data))
        kind = random.randrange(4)
        if kind == 0:
            data[place:place] = random.choice(pieces)
        elif kind == 1:
            del data[place:place + random.randint(1, 2)]
        elif kind == 2:
            data[place:place + 1] = random.choice(pieces)
        else:
            data[place:place] = data[place:place + random.randint(1, 30)]
    return bytes(data)


def messages(data):
    """The number of requests that h11 finds in the bytes. Unlike Leadpipe, h11 does not accept the empty line that RFC
    9112 §2.2 allows, so it is removed first."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(re.sub(rb"(^|\r\n\r\n|})\r\n(?=GET|POST)", rb"\1", data))
    connection.receive_data(b"")
    count = 0
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, (h11.ConnectionClosed,)) or event in (h11.NEED_DATA, h11.PAUSED):
                return count
            if isinstance(event, h11.EndOfMessage):
                count += 1
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return count
                connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return count


@pytest.mark.parametrize("block", range(4))
def test_serves_no_more_requests_than_h11_finds(gateway, block):
    """A request that only h11 accepts is harmless. One that only Leadpipe accepts is a smuggled request."""
    served = 0
    for seed in range(block * 200, block * 200 + 200):
        data = mutated(seed)
        before = gateway.processes
        with gateway.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while chunk := connection.recv(65_536):
                    answer += chunk
            except ConnectionResetError:
                pass
        count = messages(data)
        statuses = STATUS.findall(answer)
        assert statuses.count(b"200") <= count, f"seed {seed}: h11 finds {count} requests in {data}, Leadpipe replies {answer}"
        assert gateway.processes - before <= count, f"seed {seed}: {data}"
        served += statuses.count(b"200")
    assert served >= 10, "too few mutated requests are still valid"
