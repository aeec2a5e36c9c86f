"""What all doors share."""

from contextlib import ExitStack

ADMIN_KEY = "the-admin-key-of-the-tests"
READER_KEY = "the-reader-key-of-the-tests"
HOST = "api.agency.example"
ORIGIN = "https://www.agency.example"
# What each door's handlers and gateway are given besides the database.
SETTINGS = {
    "ADMIN_API_KEY": ADMIN_KEY, "FRONTEND_URL": ORIGIN, "TIME_ZONE": "Asia/Dubai", "LOG_LEVEL": "info", "RATE_LIMIT_LEAD": "off",
    "RATE_LIMIT_CONTACT": "3/60", "RATE_LIMIT_ADMIN": "off", "RATE_LIMIT_EXPORT": "off", "RATE_LIMIT_DEFAULT": "off"}


class Door(ExitStack):
    """A way in, open while it is a context. A subclass starts its programs in `open` and sends a request in `send`."""

    name = ""
    # Whether a path or method without a handler, a preflight and a limit reach code of ours that answers them.
    routes = True
    limits = True
    # Whether CORS, Vary and X-Request-Id are added.
    adds_headers = True
    # Whether a server in front gives each request an id, in place of the client's.
    gives_ids = False
    # The name of the program of others in front, as entries of the file name it.
    outer = None

    def __init__(self, database, folder):
        super().__init__()
        self.database = database
        self.folder = folder
        folder.mkdir()

    def __enter__(self):
        super().__enter__()
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def open(self):
        """Starts what the door needs. What is started is registered with `enter_context` or `callback`."""

    def send(self, request):
        """The `Reply` to a `Request`."""
        raise NotImplementedError

    @property
    def settings(self):
        return {**SETTINGS, "DATABASE_URL": self.database.url}

    @property
    def log(self):
        """What the programs logged, for the report of a failure."""
        return ""
