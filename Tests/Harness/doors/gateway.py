"""The gateway by HTTP: the reference for all other doors."""

from doors.door import Door
from doors.http_client import exchange
from instance import Instance


class GatewayDoor(Door):
    name = "gateway"

    def open(self):
        self.instance = Instance(command=("gateway",), state=self.folder / "state", **self.settings)
        self.callback(self.instance.__exit__)
        self.instance.start(ready=False).wait_log("Gateway listening")
        self.port = self.instance.port

    def send(self, request):
        return exchange(self.port, request)

    @property
    def log(self):
        return self.instance.log
