"""CGI behind a web server, with the configurations of deploy/ and bin/leadpipe-cgi."""

import tempfile
from pathlib import Path

from cgi_servers import SERVERS
from doors.door import Door
from doors.http_client import exchange


class CGIDoor(Door):
    def open(self):
        # Apache runs programs as another user, who must be able to reach its files.
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="lpc-", dir="/tmp")))
        self.folder.chmod(0o755)
        url = self.database.url
        settings = {name: value for name, value in self.settings.items() if name != "DATABASE_URL"}
        self.port = self.enter_context(SERVERS[self.outer](
            self.folder, {**settings, "DATABASE_URL_INTAKE": url, "DATABASE_URL_ADMIN": url}))

    def send(self, request):
        return exchange(self.port, request)

    @property
    def log(self):
        return (self.folder / "error.log").read_text()


class NginxCGIDoor(CGIDoor):
    name = "cgi-nginx"
    outer = "nginx"
    gives_ids = True


class LighttpdCGIDoor(CGIDoor):
    name = "cgi-lighttpd"
    outer = "lighttpd"


class ApacheCGIDoor(CGIDoor):
    name = "cgi-apache"
    outer = "apache"
