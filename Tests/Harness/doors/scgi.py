"""The gateway by SCGI behind nginx, with deploy/nginx/scgi.conf."""

from doors.door import Door
from doors.http_client import exchange
from instance import Instance
from nginx import deployed


class SCGIDoor(Door):
    name = "scgi"
    outer = "nginx"
    gives_ids = True

    def open(self):
        socket = f"unix:{self.folder}/scgi.sock"
        self.instance = Instance(command=("gateway",), state=self.folder / "state", LEADPIPE_SCGI=socket, **self.settings)
        self.callback(self.instance.__exit__)
        self.instance.start(ready=False).wait_log("SCGI listening")
        self.port = self.enter_context(deployed(self.folder / "nginx", "scgi.conf", socket))

    def send(self, request):
        return exchange(self.port, request, tls=True)

    @property
    def log(self):
        return self.instance.log
