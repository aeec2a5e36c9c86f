"""Firefox and WebKitGTK, driven by what they ship: Firefox by Marionette, the protocol that geckodriver translates to,
and WebKitGTK by WebKitWebDriver. Both have the commands of W3C WebDriver. Only Debian's packages are needed."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from common import clean_environment, free_port, until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ROUTES = {
    "Navigate": "POST url", "Refresh": "POST refresh", "ExecuteScript": "POST execute/sync", "ElementClick": "POST element/{id}/click",
    "ElementSendKeys": "POST element/{id}/value", "PerformActions": "POST actions", "ReleaseActions": "DELETE actions",
    "TakeScreenshot": "GET screenshot", "SetWindowRect": "POST window/rect"}
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Control": "\ue009", "Shift": "\ue008"}
# Looks into open shadow trees too.
FIND = """const roots = [document, ...[...document.querySelectorAll('*')].map(node => node.shadowRoot).filter(root => root)];
  return roots.flatMap(root => [...root.querySelectorAll(arguments[0])]).find(node => node.checkVisibility()
  && (arguments[1] === null || node.textContent.includes(arguments[1]))) ?? null;"""
SECONDS = 30


class Browser:
    """A browser with one window. `do` sends a command of WebDriver."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="lpb-", dir="/tmp")
        self.started = []

    def start(self, *command, **environment):
        with Path(self.home, "log").open("ab") as log:
            self.started.append(subprocess.Popen(
                command, env=clean_environment(HOME=self.home, XDG_RUNTIME_DIR=self.home, **environment), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True))

    def close(self):
        for process in reversed(self.started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)

    def told(self):
        return Path(self.home, "log").read_text(errors="replace")[-2000:]

    def do(self, name, **parameters):
        raise NotImplementedError

    # ── What tests use ──

    def open(self, address):
        self.do("Navigate", url=address)

    def run(self, script, *arguments):
        return self.do("ExecuteScript", script=script, args=list(arguments))

    def find(self, selector, text=None):
        """The first visible element; waits for it."""
        try:
            return until(lambda: self._look(selector, text), SECONDS, f"{selector} with {text!r}")
        except AssertionError as fault:
            raise AssertionError(f"{fault}; the page shows {self.run('return document.body.innerText')[:1500]}") from None

    def gone(self, selector, text=None):
        until(lambda: self._look(selector, text) is None, SECONDS, f"no {selector} with {text!r}")

    def _look(self, selector, text):
        # While a page is replaced by the next, there is nothing to run in.
        with contextlib.suppress(Refused):
            return self.run(FIND, selector, text)
        return False

    def click(self, selector, text=None):
        # What was found may be drawn again before it is clicked.
        for attempt in range(3):
            try:
                return self.do("ElementClick", id=self.find(selector, text)[ELEMENT])
            except Refused:
                if attempt == 2:
                    raise
                time.sleep(0.5)

    def choose(self, option):
        """Chooses an option of a list; browsers do not count options as visible."""
        found = until(lambda: self.run("return document.querySelector(arguments[0]);", option), SECONDS, option)
        self.do("ElementClick", id=found[ELEMENT])

    def fill(self, selector, text):
        self.do("ElementSendKeys", id=self.find(selector)[ELEMENT], text=text)

    def press(self, *keys):
        """Presses keys together, the last one last: press("Control", "Enter")."""
        values = [KEYS.get(key, key) for key in keys]
        actions = [{"type": "keyDown", "value": value} for value in values] + [{"type": "keyUp", "value": value} for value in reversed(values)]
        self.do("PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def type(self, text):
        for letter in text:
            self.press(letter)

    def picture(self, path):
        Path(path).write_bytes(base64.b64decode(self.do("TakeScreenshot")))


class Refused(Exception):
    """A command that the browser did not carry out."""


class Firefox(Browser):
    def __init__(self, binary="/usr/bin/firefox-esr"):
        super().__init__()
        profile, port = Path(self.home, "profile"), free_port()
        profile.mkdir()
        settings = {"marionette.port": port, "intl.accept_languages": "en-GB", "browser.shell.checkDefaultBrowser": False,
                    "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False, "network.captive-portal-service.enabled": False,
                    "network.connectivity-service.enabled": False, "browser.safebrowsing.malware.enabled": False,
                    "services.settings.server": "", "extensions.getAddons.cache.enabled": False, "toolkit.telemetry.server": ""}
        (profile / "user.js").write_text("".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()))
        self.number, self.socket = 0, None
        self.start(binary, "--headless", "--marionette", "--no-remote", "--profile", str(profile), MOZ_CRASHREPORTER_DISABLE="1")
        self.socket = until(lambda: self._connect(port), SECONDS * 2, f"Firefox: {self.told()}")
        self._read()
        self.do("NewSession", capabilities={})

    @staticmethod
    def _connect(port):
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), SECONDS)

    def _read(self):
        size = b""
        while not size.endswith(b":"):
            if not (more := self.socket.recv(1)):
                raise AssertionError(f"Firefox has ended: {self.told()}")
            size += more
        text = b""
        while len(text) < int(size[:-1]):
            text += self.socket.recv(65_536)
        return json.loads(text)

    def do(self, name, **parameters):
        self.number += 1
        if name == "ExecuteScript":
            parameters["newSandbox"] = False
        text = json.dumps([0, self.number, f"WebDriver:{name}", parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, number, fault, result = self._read()
        assert number == self.number, (number, self.number)
        if fault:
            raise Refused(f"{name}: {fault.get('error')}: {fault.get('message')}")
        return result.get("value", result) if isinstance(result, dict) else result


class WebKit(Browser):
    def __init__(self):
        super().__init__()
        port = free_port()
        binary = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"))
        display = f":{90 + port % 900}"
        self.start("Xvfb", display, "-screen", "0", "1400x900x24", "-nolisten", "tcp")
        until(lambda: Path(f"/tmp/.X11-unix/X{display[1:]}").exists(), SECONDS, f"Xvfb: {self.told()}")
        self.start("WebKitWebDriver", f"--port={port}", "--host=127.0.0.1", DISPLAY=display, GDK_BACKEND="x11", LIBGL_ALWAYS_SOFTWARE="1",
                   GSETTINGS_BACKEND="memory", NO_AT_BRIDGE="1")
        self.address = f"http://127.0.0.1:{port}/session"
        until(lambda: self._answers(port), SECONDS, f"WebKitWebDriver: {self.told()}")
        options = {"binary": str(binary), "args": ["--automation"]}
        made = self._send("POST", self.address, {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}})
        self.address += f"/{made['sessionId']}"
        self.do("SetWindowRect", width=1366, height=860)

    @staticmethod
    def _answers(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True

    def _send(self, method, address, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as reply:
            with reply:
                fault = json.load(reply)["value"]
            raise Refused(f"{address.rsplit('/', 1)[-1]}: {fault['error']}: {fault['message']}") from None

    def do(self, name, **parameters):
        method, path = ROUTES[name].split()
        return self._send(method, f"{self.address}/{path.format(**parameters)}", parameters)
