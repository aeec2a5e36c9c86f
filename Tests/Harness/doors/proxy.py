"""The gateway by HTTP behind nginx, with deploy/nginx/http.conf."""

from doors.gateway import GatewayDoor
from doors.http_client import exchange
from nginx import deployed


class ProxyDoor(GatewayDoor):
    name = "http-nginx"
    outer = "nginx"
    gives_ids = True

    @property
    def settings(self):
        return {**super().settings, "TRUSTED_PROXIES": "127.0.0.1"}

    def open(self):
        super().open()
        self.port = self.enter_context(deployed(self.folder / "nginx", "http.conf", f"127.0.0.1:{self.instance.port}"))

    def send(self, request):
        return exchange(self.port, request, tls=True)
