"""An instance whose requests come from many clients."""

from itertools import count

from instance import Instance


class ManyClients(Instance):
    """An instance that sees each request come from another client, because one address may send at most 20 wrong keys a
    minute."""

    clients = count(1)

    def http(self, path, body=None, method=None, headers=None, seconds=20):
        client = f"10.{next(self.clients) >> 8}.{next(self.clients) & 255}.1"
        return super().http(path, body, method, {"x-forwarded-for": client, **(headers or {})}, seconds)
