"""A client of the admin interface of a running instance."""

from cluster import leadpipe

KEY = "the-admin-key-of-the-tests"


class AdminClient:
    def __init__(self, instance, key=KEY):
        self.instance = instance
        self.key = key

    def request(self, method, path, body=None, **headers):
        """(status, headers, document)."""
        shown = {"x-admin-api-key": self.key} if self.key else {}
        return self.instance.http(path, body, method, {**shown, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def get(self, path, status=200):
        return self.document("GET", path, None, status)

    def post(self, path, body, status=200):
        return self.document("POST", path, body, status)

    def patch(self, path, body, status=200, **headers):
        return self.document("PATCH", path, body, status, **headers)

    def document(self, method, path, body, status, **headers):
        got, _, document = self.request(method, path, body, **headers)
        assert got == status, (method, path, got, document)
        return document


def with_key(instance, database, name, rights):
    """A client with a key of its own."""
    made = leadpipe("key", "create", name, "--rights", rights, DATABASE_URL=database.url)
    assert made.returncode == 0, made.stderr
    return AdminClient(instance, made.stdout.strip())
