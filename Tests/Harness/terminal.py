"""Runs a program on a pseudo-terminal, as a person would."""

import contextlib
import os
import pty
import signal
import time

from common import clean_environment


class Terminal:
    """A program with a terminal as stdin, stdout and stderr. Used as a context: at the end it is killed."""

    def __init__(self, *words, **environment):
        words, environment = [str(word) for word in words], clean_environment(**{"TERM": "xterm", **environment})
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            with contextlib.suppress(OSError):
                os.execve(words[0], words, environment)
            os._exit(127)
        self.seen = ""
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.descriptor)

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def wait_for(self, text, seconds=15):
        """Reads until the text has appeared."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end and self._read(), f"no {text!r} on the terminal:\n{self.seen}"

    def end(self):
        """The exit status, after everything that was written has been read."""
        while self._read():
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return self.status

    def _read(self):
        with contextlib.suppress(OSError):
            data = os.read(self.descriptor, 65536)
            self.seen += data.decode(errors="replace").replace("\r\n", "\n")
            return bool(data)
        return False
