"""The visitor's side in a browser: a website on another origin, a proxy before the gateway that causes faults, and a
visitor who answers the chatbot's questions."""

import http.client
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import expect

PHONE = {"width": 390, "height": 844}
# Answers to the questions of web/chatbot/questions.json, from the first to the one before the name.
PATHS = {
    "buy": ["Buy", "Dubai Marina", "1 to 2 million", "Apartment", "2", "As soon as possible"],
    "rent": ["Rent", "JVC", "80,000 to 120,000", "Villa", "3", "Within three months"],
    "sell": ["Sell", "Business Bay", "2 to 5 million", "Office", "Later"],
    "invest": ["Invest", "Downtown Dubai", "More than 10 million", "Penthouse", "5 or more", "Within six months"],
    "browse": ["Look around", "JLT", "Townhouse"],
}
HOSTILE = """* { all: unset !important; display: none !important; color: red !important; font-size: 3px !important; letter-spacing: 9px }
  html, body { display: block !important; direction: rtl !important } main { display: block !important; filter: blur(0); transform: rotate(1deg) }
  leadpipe-chat, leadpipe-form { opacity: 0 !important; visibility: hidden !important; transform: scale(0) !important; pointer-events: none !important }
  button { display: none !important } input { width: 1px !important } dialog { display: none !important }"""


class Server:
    """Base of both servers: threads, a port, and `answer(request)`."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, OSError):
                    self.close_connection = True

            def do_GET(self):
                answer(self)

            do_POST = do_OPTIONS = do_HEAD = do_GET

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


class Site(Server):
    """The agency's website. `pages` has the body and the headers of each path."""

    def __init__(self):
        self.pages = {}
        super().__init__(self._answer)

    def _answer(self, request):
        body, headers = self.pages.get(request.path.split("?")[0], (None, {}))
        request.send_response(404 if body is None else 200)
        data = (body or "").encode()
        for name, value in {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(data)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    def page(self, body="", head="", attributes="", language="en", headers=None, chatbot=True, api=None):
        """Adds a page, and returns its address."""
        script = f'<script type="module" src="{api}/chatbot.js" {attributes}></script>' if chatbot else ""
        path = f"/{uuid.uuid4().hex}"
        direction = "rtl" if language == "ar" else "ltr"
        self.pages[path] = (f"""<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8"><title>Agency</title>
          <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">{head}{script}</head>
          <body><main><h1>Homes in Dubai</h1>{body}</main></body></html>""", headers or {})
        return self.origin + path


class Proxy(Server):
    """Passes requests on to the gateway. `fault` decides what happens to a POST: None, or a function that gets its number
    and returns "drop" (the gateway gets it, its reply is lost), "cut" (the gateway does not get it), or (status, headers).
    `posts` has every POST that came: (path, key, body)."""

    def __init__(self):
        self.port_of_gateway = None
        self.fault = None
        # Over a connection that was used before, Chromium repeats a request by itself if it is cut.
        self.keeps_alive = False
        self.posts, self.paths = [], []
        self.lock = threading.Lock()
        super().__init__(self._answer)

    def reset(self):
        self.fault, self.keeps_alive = None, False
        self.posts, self.paths = [], []

    def _answer(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length) if length else None
        verdict = None
        with self.lock:
            self.paths.append(request.path)
            if request.command == "POST":
                document = json.loads(body)
                self.posts.append((request.path, request.headers.get("Idempotency-Key") or document.get("idempotencyKey"), document))
                verdict = self.fault(len(self.posts)) if self.fault else None
        if verdict == "cut":
            return self._hang_up(request)
        if not self.keeps_alive:
            request.close_connection = True
        if isinstance(verdict, tuple):
            status, headers = verdict
            text = json.dumps({"title": "made by the test", "status": status}).encode()
            return self._send(request, status, {"Content-Type": "application/problem+json", "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
                                                "Access-Control-Expose-Headers": "retry-after", **headers}, text)
        connection = http.client.HTTPConnection("127.0.0.1", self.port_of_gateway, timeout=20)
        try:
            connection.request(request.command, request.path, body, {name: value for name, value in request.headers.items() if name.lower() != "connection"})
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        if verdict == "drop":
            return self._hang_up(request)
        kept = {name: value for name, value in reply.getheaders() if name.lower() not in ("connection", "transfer-encoding", "content-length")}
        return self._send(request, reply.status, kept, data)

    @staticmethod
    def _send(request, status, headers, data):
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if status not in (204, 304):
            request.send_header("Content-Length", str(len(data)))
        if request.close_connection:
            request.send_header("Connection", "close")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)

    @staticmethod
    def _hang_up(request):
        request.close_connection = True
        request.connection.close()


class Visitor:
    """Someone who answers the chatbot on a page."""

    def __init__(self, page, name=None, number=None):
        self.page = page
        self.name = name or f"Sara {uuid.uuid4().hex[:6]}"
        # Nobody else has this number, so that the lead is found by it.
        self.national = number or f"50{uuid.uuid4().int % 10**7:07}"
        self.phone = f"+971{self.national}"
        self.email = f"{uuid.uuid4().hex[:8]}@example.com"

    @property
    def ask(self):
        return self.page.locator("leadpipe-chat .ask")

    @property
    def state(self):
        return self.page.locator("leadpipe-chat .state p")

    @property
    def input(self):
        return self.ask.locator("input:not([tabindex='-1'])")

    def open(self):
        self.page.locator("leadpipe-chat .launcher").click()
        expect(self.page.get_by_role("dialog")).to_be_visible()

    def choose(self, *texts):
        for text in texts:
            self.ask.get_by_role("button", name=text, exact=True).click()
            expect(self.page.locator("leadpipe-chat .customer", has_text=text).last).to_be_visible()

    def write(self, text, kind):
        field = self.ask.locator(f"input[type={kind}]")
        field.fill(text)
        field.press("Enter")

    def say(self, text, kind, shown=None):
        self.write(text, kind)
        expect(self.page.locator("leadpipe-chat .customer", has_text=shown or text)).to_be_visible()

    def talk(self, path="buy", until="consent", phone=None, consents=True):
        """Answers from the first question to `until`, and that one too."""
        self.choose(*PATHS[path])
        if until == "path":
            return
        self.say(self.name, "text")
        if until == "name":
            return
        self.say(phone or f"0{self.national}", "tel", self.phone)
        if until == "phone":
            return
        self.say(self.email, "email")
        if until == "email":
            return
        self.finish(consents)

    def finish(self, consents=True):
        if consents:
            self.ask.get_by_role("checkbox").check()
        self.ask.get_by_role("button", name="Continue").click()

    def is_thanked(self):
        expect(self.state).to_contain_text("Thank you", timeout=15_000)


class Store:
    """What the database has of a visitor."""

    def __init__(self, database):
        self.database = database

    def leads(self, phone):
        return self.database.rows(f"select * from public.conversations where customer_phone = '{phone}'")

    def lead(self, phone, seconds=10):
        """The only lead with this number."""
        end = time.monotonic() + seconds
        while not (found := self.leads(phone)) and time.monotonic() < end:
            time.sleep(0.1)
        assert len(found) == 1, found
        return found[0]

    def messages(self, lead):
        return self.database.rows(f"""select sender, message_text as text from public.chat_messages
          where conversation_id = '{lead["id"]}' order by "timestamp", id""")

    def is_complete(self, visitor, path="buy", answers=None):
        """Asserts exactly one lead that has every answer once."""
        lead = self.lead(visitor.phone)
        end = time.monotonic() + 10
        expected = [*(answers or PATHS[path]), visitor.name, visitor.phone, visitor.email]
        while True:
            said = [message["text"] for message in self.messages(lead) if message["sender"] == "customer"]
            if len(said) > len(expected) or time.monotonic() > end:
                break
            time.sleep(0.1)
        assert said[:len(expected)] == expected and said[len(expected):] in (["Yes"], ["No"]), said
        assert self.lead(visitor.phone)["customer_email"] == visitor.email
        events = self.database.text(f"select count(*) from public.lead_events where conversation_id = '{lead['id']}' and event_type = 'lead.created'")
        assert events == "1"
        return self.lead(visitor.phone)
