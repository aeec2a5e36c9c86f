"""Hostile form bodies from a seed, as raw HTTP requests to the routes that take forms, and the check of an instance under
them: no 5xx, a reply that says what is wrong, bounded memory, and nothing of a file or a NUL in the database."""

import random
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hostile import send
from instance import Instance
from unread import MIB, resident

SITE = "https://www.example.com"
PATHS = ["/api/contact", "/api/property-inquiry", "/api/sell-submission", "/api/newsletter/subscribe", "/api/newsletter/unsubscribe"]
NAMES = ["customerName", "customerEmail", "customerPhone", "message", "subject", "email", "token", "thanks", "language", "propertyType",
         "formToken", "website2", "idempotencyKey", "metadata", "__proto__", "customerName[]", "a[b][c]", "a[0][0]", "a.b.c", "constructor"]
VALUES = ["Sara", "sara@example.com", "050 123 4567", "", " ", "'; drop table conversations; --", "<script>alert(1)</script>", "\r\nBcc: x@example.com",
          "../../etc/passwd", "${jndi:ldap://x}", "%00", "%", "%zz", "\u202eevil", "ﷺ" * 50, "{\"$ne\":1}", "é\u0301" * 200, "\ud7ff\ue000", "0" * 3000]
# Must never be stored: it is only in files and in what the multipart standards say to ignore.
FILE = b"c4n4ry-of-a-file"
LIMIT = 65_536


class HostileForms:
    """A sequence of requests that is always the same for a seed. The kinds take turns."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.kinds = [name for name in sorted(dir(type(self))) if name.startswith("as_")]

    def requests(self, count):
        """(kind, request) pairs."""
        names = [self.kinds[n % len(self.kinds)] for n in range(count)]
        return [(name, getattr(self, name)()) for name in names]

    # ── Parts ──

    def bytes(self, most):
        return self.dice.randbytes(self.dice.randint(0, most))

    def word(self):
        return self.dice.choice(VALUES).encode()

    def name(self):
        return self.dice.choice(NAMES).encode()

    def boundary(self):
        return self.dice.choice([b"b", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"-" * 70, b"--", b"'()+_,-./:=?", b"a" * 70, b"0"])

    def part(self, boundary, name=None, value=None, head=b"", more=b""):
        name, value = self.name() if name is None else name, self.word() if value is None else value
        return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n%s\r\n%s\r\n' % (boundary, name, more, head, value)

    def good(self, boundary):
        """The parts of a form that would be stored."""
        number = self.dice.randrange(10**9)
        fields = {b"customerName": b"Guest %d" % number, b"customerEmail": b"g%d@example.com" % number, b"email": b"g%d@example.com" % number,
                  b"message": b"Hello %d" % number, b"propertyType": b"Villa"}
        return b"".join(self.part(boundary, name, value) for name, value in fields.items())

    def post(self, body, content_type, headers=b"", length=None, origin=True):
        framing = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
        return self.raw(framing, body, content_type, headers, origin)

    def raw(self, framing, body, content_type, headers=b"", origin=True):
        headers += b"Origin: %s\r\n" % SITE.encode() if origin else b""
        # A browser's form asks for a page, a program for anything.
        headers += self.dice.choice([b"Accept: text/html,*/*;q=0.8\r\n", b"Accept: */*\r\n", b""])
        return b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\n%s%s\r\n%s" % (
            self.dice.choice(PATHS).encode(), content_type, headers, framing, body)

    def multipart(self, body, boundary=b"b", **more):
        return self.post(body, b"multipart/form-data; boundary=" + self.quoted(boundary), **more)

    @staticmethod
    def quoted(boundary):
        return boundary if re.fullmatch(rb"[0-9A-Za-z'+_.-]+", boundary) else b'"%s"' % boundary

    # ── Kinds: boundaries and parts ──

    def as_a_good_form(self):
        boundary = self.boundary()
        return self.multipart(self.good(boundary) + b"--%s--\r\n" % boundary, boundary)

    def as_torn_boundaries(self):
        boundary = self.boundary()
        whole = self.good(boundary) + b"--%s--\r\n" % boundary
        return self.multipart(whole[:self.dice.randrange(len(whole))], boundary)

    def as_flipped_bytes(self):
        boundary = self.boundary()
        whole = bytearray(self.good(boundary) + b"--%s--\r\n" % boundary)
        for _ in range(self.dice.randint(1, 12)):
            whole[self.dice.randrange(len(whole))] = self.dice.randrange(256)
        return self.multipart(bytes(whole), boundary)

    def as_cut_and_joined(self):
        boundary = self.boundary()
        whole = self.good(boundary) + b"--%s--\r\n" % boundary
        cuts = sorted(self.dice.randrange(len(whole)) for _ in range(4))
        pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        self.dice.shuffle(pieces)
        return self.multipart(b"".join(pieces), boundary)

    def as_another_boundary(self):
        return self.multipart(self.good(b"b") + b"--b--\r\n", self.dice.choice([b"c", b"bb", b"B", b"b-", b"-b"]))

    def as_boundaries_in_values(self):
        boundary = self.boundary()
        value = self.dice.choice([b"--%s", b"\r\n--%sx\r\n", b"\n--%s\n", b"\r\n--%s \t\r\n", b"\r\n--%s-\r\n", b"\r--%s\r"]) % boundary
        return self.multipart(self.good(boundary) + self.part(boundary, b"message", value * self.dice.randint(1, 50)) + b"--%s--" % boundary, boundary)

    def as_bare_line_ends(self):
        return self.multipart((self.good(b"b") + b"--b--\r\n").replace(b"\r\n", self.dice.choice([b"\n", b"\r", b"\n\r", b"\r\r\n", b""])))

    def as_thousands_of_parts(self):
        parts = self.dice.choice([b"--b\r\n\r\n", b"--b\r\n", b"--b--\r\n", b"\r\n--b", b"--b\r\n\r\n\r\n",
                                  b'--b\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n'])
        return self.multipart((parts * 30_000)[:self.dice.randint(1000, LIMIT)])

    def as_about_a_hundred_parts(self):
        return self.multipart(b"".join(self.part(b"b", b"n%d" % n, b"v") for n in range(self.dice.randint(95, 105))) + b"--b--\r\n")

    def as_repeated_names(self):
        return self.multipart(self.good(b"b") + b"".join(self.part(b"b", b"customerName") for _ in range(90)) + b"--b--\r\n")

    def as_nested_names(self):
        depth = self.dice.randint(1, 5000)
        name = b"a" + self.dice.choice([b"[b]", b"[]", b".b", b"[0]", b"/b", b"%5B%5D"]) * depth
        return self.multipart(self.good(b"b") + self.part(b"b", name) + b"--b--\r\n")

    def as_nested_multipart(self):
        inner = self.good(b"c") + b"--c--\r\n"
        return self.multipart(self.part(b"b", b"message", inner, b"Content-Type: multipart/mixed; boundary=c\r\n") + b"--b--\r\n")

    def as_preamble_and_epilogue(self):
        return self.multipart(FILE * self.dice.randint(0, 2000) + b"\r\n" + self.good(b"b") + b"--b--\r\n" + FILE * self.dice.randint(0, 1000))

    def as_almost_boundaries(self):
        # A scanner that goes back at each of them would take quadratic time.
        return self.multipart((b"\r\n--" + b"a" * 69) * 800 + self.good(b"a" * 70), b"a" * 70)

    # ── Kinds: the headers of parts ──

    def as_line_ends_in_headers(self):
        name = self.dice.choice([b"a\r\nX: y", b"a\nb", b"a%0D%0Ab", b'a"\r\n\r\ninjected', b"a\r", b"\r\n"])
        return self.multipart(self.good(b"b") + self.part(b"b", name) + b"--b--\r\n")

    def as_huge_part_headers(self):
        head = self.dice.choice([b"X: %s\r\n" % (b"y" * 60_000), b"X: y\r\n" * 9000, b"x" * 60_000, b":\r\n" * 15_000, b"X:\r\n y\r\n" * 6000])
        return self.multipart(self.part(b"b", head=head[:self.dice.randint(1500, 60_000)]) + b"--b--\r\n")

    def as_headers_without_end(self):
        rest = self.dice.choice([b"", b"\r\n", b"; ", b";" * 3000])
        return self.multipart(b'--b\r\nContent-Disposition: form-data; name="customerName"' + rest + b"\r\n--b--\r\n")

    def as_parameters(self):
        more = self.dice.choice([
            b'; name="second"', b"; name*=utf-8''x%00", b"; filename", b"; =", b';"', b"; a=\"" + b"\\" * 1000, b"; " * 900, b'; name="a\\"b"', b"; NAME=x",
            b'; charset="utf-16"', b"; name*0=a; name*1=b", b"\t;\t name = x"])
        return self.multipart(self.good(b"b") + self.part(b"b", more=more) + b"--b--\r\n")

    def as_other_dispositions(self):
        head = self.dice.choice([
            b"", b"Content-Disposition: attachment; name=a\r\n", b"Content-Disposition: form-data\r\n", b"Content-Disposition\r\n",
            b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n", b"content-disposition:form-data;name=a\r\n",
            b"Content-Disposition : form-data; name=a\r\n", b"\x00: \x00\r\n", b"Content-Disposition: form-data; name=\xff\xfe\r\n"])
        return self.multipart(b"--b\r\n%s\r\nvalue\r\n" % head + self.good(b"b") + b"--b--\r\n")

    def as_transfer_encodings(self):
        head = b"Content-Transfer-Encoding: %s\r\n" % self.dice.choice([b"base64", b"quoted-printable", b"8bit", b"x-gzip", b"\x00", b"7bit" * 100])
        return self.multipart(self.good(b"b") + self.part(b"b", value=b"VmlsbGE=", head=head) + b"--b--\r\n")

    def as_files(self):
        name = self.dice.choice([b'"a.exe"', b'"../../etc/passwd"', b'"C:\\x"', b"", b'""', b'"a\x00.jpg"', b'"\xff"', b'"' + b"a" * 1500 + b'"'])
        more = self.dice.choice([b"; filename=", b"; filename*=utf-8''", b"; FileName="]) + name
        value = self.dice.choice([b"", FILE, b"MZ" + FILE + self.bytes(4000), FILE * 3000])
        return self.multipart(self.good(b"b") + self.part(b"b", value=value, head=b"Content-Type: application/octet-stream\r\n", more=more) + b"--b--\r\n")

    # ── Kinds: characters ──

    def as_null_bytes(self):
        where = self.dice.choice([(b"a\0b", b"x"), (b"message", b"a\0b"), (b"message", b"\0" * 5000), (b"\0", b"\0")])
        return self.multipart(self.good(b"b") + self.part(b"b", *where) + b"--b--\r\n")

    def as_invalid_utf8(self):
        broken = self.dice.choice([b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80" * 500,
                                   self.bytes(300).replace(b"\0", b"")])
        return self.multipart(self.part(b"b", self.dice.choice([b"customerName", b"n" + broken[:100]]), b"Sara " + broken) + self.good(b"b") + b"--b--\r\n")

    def as_charsets(self):
        charset = self.dice.choice([b"utf-16", b"utf-7", b"iso-2022-jp", b"ISO-8859-1", b"utf8", b"UTF-8", b"x-user-defined", b"\"", b"a" * 3000])
        if self.dice.random() < 0.5:
            value = self.dice.choice(["Sara", "+ADw-script+AD4-", "\x1b$B"]).encode("utf-16" if charset == b"utf-16" else "ascii")
            return self.multipart(self.part(b"b", b"_charset_", charset) + self.part(
                b"b", b"customerName", value, b"Content-Type: text/plain; charset=%s\r\n" % charset) + self.good(b"b") + b"--b--\r\n")
        return self.post(b"customerName=Sara&message=x&email=a@example.com", b"application/x-www-form-urlencoded; charset=" + charset)

    def as_bytes(self):
        return self.multipart(self.bytes(LIMIT))

    # ── Kinds: types, lengths, framing ──

    def as_content_types(self):
        kind = self.dice.choice([
            b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=%s" % (b"a" * 71), b'multipart/form-data; boundary="b',
            b"multipart/form-data; boundary=b; boundary=c", b"multipart/form-data; boundary=\"b \"", b"multipart/form-data; boundary=b\xc3\xa9",
            b"multipart/mixed; boundary=b", b"multipart/form-data, text/plain; boundary=b", b"MULTIPART/FORM-DATA; BOUNDARY=b",
            b"multipart/form-data;;;boundary=b",
            b"multipart/form-data; boundary*=utf-8''b", b"multipart/form-data; boundary=b" + b"; x=y" * 1000, b"text/plain", b""])
        return self.post(self.good(b"b") + b"--b--\r\n", kind)

    def as_too_large(self):
        value = b"x" * self.dice.choice([LIMIT - 300, LIMIT, LIMIT + 1, 4 * LIMIT])
        return self.multipart(self.part(b"b", b"message", value) + b"--b--\r\n")

    def as_a_length_too_great(self):
        body = self.good(b"b") + b"--b--\r\n"
        return self.multipart(body, length=self.dice.choice([LIMIT + 1, 10**9, 2**63 - 1, 2**64, 10**30]))

    def as_a_length_too_small(self):
        body = self.good(b"b") + b"--b--\r\n"
        return self.multipart(body, length=self.dice.randrange(len(body)))

    def as_lengths(self):
        body = self.good(b"b") + b"--b--\r\n"
        framing = self.dice.choice([
            b"Content-Length: -1\r\n", b"Content-Length: 1e3\r\n", b"Content-Length: 0x10\r\n", b"Content-Length: %d, %d\r\n" % ((len(body),) * 2),
            b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length:\r\n", b""])
        return self.raw(framing, body, b"multipart/form-data; boundary=b")

    def as_chunks(self):
        body, chunks = self.good(b"b") + b"--b--\r\n", b""
        while body:
            size = self.dice.randint(1, 40)
            chunks, body = chunks + b"%x\r\n%s\r\n" % (len(body[:size]), body[:size]), body[size:]
        end = self.dice.choice([b"0\r\n\r\n", b"0\r\nX-Trailer: y\r\n\r\n", b"zz\r\n", b"-1\r\n\r\n", b"ffffffffffffffff1\r\n"])
        return self.raw(b"Transfer-Encoding: chunked\r\n", chunks + end, b"multipart/form-data; boundary=b")

    def as_codings(self):
        headers = b"Content-Encoding: %s\r\n" % self.dice.choice([b"gzip", b"br", b"identity", b"deflate, gzip", b"x" * 500])
        return self.multipart(self.good(b"b") + b"--b--\r\n", headers=headers)

    def as_other_origins(self):
        headers = b"Origin: %s\r\n" % self.dice.choice([
            b"null", b"https://evil.example", SITE.encode() + b".evil.example", b"\x00", b"", b"https://[::1", b"*"])
        return self.multipart(self.good(b"b") + b"--b--\r\n", headers=headers, origin=False)

    # ── Kinds: the other encoding ──

    def as_urlencoded_fields(self):
        number = self.dice.randrange(10**9)
        pairs = [b"customerName=Guest+%d" % number, b"customerEmail=g%d%%40example.com" % number, b"email=g%d%%40example.com" % number, b"message=Hello"]
        pairs += [b"%s=%s" % (self.name(), self.word()) for _ in range(self.dice.randint(1, 30))]
        return self.post(self.dice.choice([b"&", b"&&", b";"]).join(pairs), b"application/x-www-form-urlencoded")

    def as_many_urlencoded_fields(self):
        return self.post(self.dice.choice([b"&", b"=", b"a&", b"a=1&", b"=&", b"%&", b"%00=1&", b"a[][]=1&"]) * self.dice.randint(90, 15_000),
                         b"application/x-www-form-urlencoded")

    def as_urlencoded_bytes(self):
        return self.post(self.bytes(LIMIT), b"application/x-www-form-urlencoded")


# Kinds whose requests may never be whole for the server: they may be closed without a reply.
UNFINISHED = {"as_a_length_too_great", "as_lengths", "as_chunks"}


def fault(kind, answer):
    """What is wrong with an answer; None if nothing."""
    if not answer.startswith(b"HTTP/1.1 "):
        return None if not answer and kind in UNFINISHED else "no reply"
    status, (head, _, body) = int(answer[9:12]), answer.partition(b"\r\n\r\n")
    head = head.lower()
    if not 200 <= status < 500:
        return f"status {status}"
    if b"\r\nset-cookie:" in head or b"\r\nbcc:" in head:
        return "a header of the sender"
    if b"<script" in body.lower() or FILE in body:
        return "markup or a file of the sender"
    if status == 303:
        is_ours = re.search(rb"\r\nlocation: https://www\.example\.com[/?\r]", head + b"\r\n")
        return None if is_ours else "a redirect elsewhere"
    if b"\r\ncontent-type: text/html" in head:
        return None if status < 400 or b'role="alert"' in body else "a page that does not say what is wrong"
    if b"\r\ncontent-type: application/problem+json" in head:
        return None if status >= 400 and b'"code":' in body and b'"detail":' in body else "a problem without a code"
    return f"neither a page nor a problem: {head[:300]!r}"


class Memory:
    """The peaks of the resident memory of an instance's gateway and handlers while the block runs."""

    def __init__(self, instance):
        self.instance, self.first, self.peaks, self.ended = instance, {}, {}, threading.Event()

    def measure(self):
        for pid, line in self.instance.processes().items():
            name = line.split()[0].rpartition("/")[2]
            if name == "gateway" or "/handlers/" in line.split()[0]:
                try:
                    now = resident(pid)
                except (OSError, StopIteration):
                    continue
                self.first.setdefault((name, pid), now)
                self.peaks[name, pid] = max(self.peaks.get((name, pid), 0), now)

    def __enter__(self):
        def watch():
            while not self.ended.wait(0.2):
                self.measure()
        self.thread = threading.Thread(target=watch)
        self.measure()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.measure()

    @property
    def growth(self):
        """The greatest growth of any process, in bytes."""
        return max(peak - self.first[key] for key, peak in self.peaks.items())

    def __str__(self):
        kinds = sorted({name for name, _ in self.peaks})
        told = []
        for kind in kinds:
            keys = [key for key in self.peaks if key[0] == kind]
            told.append(f"{kind}: {len(keys)} processes, {max(self.first[key] for key in keys) / MIB:.1f} MiB first,"
                        f" {max(self.peaks[key] for key in keys) / MIB:.1f} MiB at most")
        return "\n".join(told)


def check_forms(count, seed, database, allowed):
    """Sends the requests, four at once, and checks the replies, the memory, the database and the log. `allowed`: how far a
    process may grow, in bytes."""
    requests = HostileForms(seed).requests(count)
    settings = {"FRONTEND_URL": f"{SITE}/", "ADMIN_API_KEY": "the-admin-key-of-the-tests", "ENABLE_NOTIFICATION_WORKER": "false"}
    with Instance(DATABASE_URL=database.url, **settings) as instance:
        # The processes of the handlers start with their first requests.
        for kind, request in HostileForms(seed + 1).requests(40):
            if kind == "as_a_good_form":
                send(instance.port, request)
        with Memory(instance) as memory, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda one: send(instance.port, one[1], 30), requests))
        assert instance.http("/health")[0] == 200
        log = instance.log
    wrong = [(kind, found, request[:300], answer[:300]) for (kind, request), answer in zip(requests, answers, strict=True)
             if (found := fault(kind, answer))]
    assert not wrong, f"{len(wrong)} replies: {wrong[:3]}"
    statuses = Counter(answer[9:12].decode() or "closed" for answer in answers)
    print(f"{count} bodies of {len(HostileForms(0).kinds)} kinds: {dict(sorted(statuses.items()))}\n{memory}")
    assert statuses.keys() >= {"201", "400", "403", "413", "415"}
    assert {name for name, _ in memory.peaks} >= {"gateway", "contact-capture"} and memory.growth < allowed, str(memory)
    stored = database.count("conversations")
    assert 0 < stored <= statuses["201"], (stored, statuses)
    everything = database.text("select (select string_agg(c::text, ' ') from conversations c) || (select string_agg(m::text, ' ') from chat_messages m)")
    assert FILE.decode() not in everything and "[ERROR]" not in log and FILE.decode() not in log
