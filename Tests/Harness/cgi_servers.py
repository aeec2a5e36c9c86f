"""nginx with fcgiwrap, lighttpd and Apache with the configurations of deploy/, on free ports and with another program
or the one in bin/."""

import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from common import BIN, REPO, clean_environment, free_port, is_root, session_processes, until

DEPLOY = REPO / "deploy"
PROGRAM = "/opt/leadpipe/bin/leadpipe-cgi"
# The classes of handlers that CGI serves, and which of the settings each of them gets.
ADMIN_ONLY = {"DATABASE_URL_ADMIN", "ADMIN_API_KEY", "AUTO_ASSIGN", "SLA_AUTOMATION", "SUPABASE_JWT_ISSUER", "SUPABASE_JWKS", "SUPABASE_JWT_SECRET"}
INTAKE_ONLY = {"DATABASE_URL_INTAKE", "FORM_TOKEN_SECRET", "FORM_TOKENS", "FORM_WORK_BITS", "FORM_THANKS_URL", "NOTIFY_QUALIFIED"}


def settings_file():
    """The names and values of deploy/lighttpd/lighttpd.env."""
    lines = (DEPLOY / "lighttpd" / "lighttpd.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


NGINX = """{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {folder}/leadpipe.conf;
}}
"""
APACHE = """ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
{modules}
ScriptSock {folder}/cgid.sock
{user}Include {folder}/leadpipe.conf
"""
APACHE_MODULES = ["mpm_event", "authz_core", "alias", "env", "headers", "cgid"]


def changed(name, folder, changes):
    """Copies a configuration with the changes that its first lines describe. Each must occur."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"{name} has no {old!r}")
        text = text.replace(old, new)
    (folder / "leadpipe.conf").write_text(text)


@contextmanager
def running(command, folder, environment, port=None, path=None, address="127.0.0.1"):
    """A server in a session of its own. All processes of the session end with it: fcgiwrap leaves its workers behind."""
    with (folder / "error.log").open("ab") as log:
        process = subprocess.Popen(command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def answers():
        assert process.poll() is None, (folder / "error.log").read_text()
        with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as connection:
            return connection.connect_ex(str(path) if path else (address, port)) == 0
    try:
        until(answers, 15, command[0])
        yield
    finally:
        process.terminate()
        for pid in session_processes(process.pid):
            if pid != process.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def nginx(folder: Path, settings, program=BIN / "leadpipe-cgi", address="127.0.0.1"):
    """The port of nginx with two instances of fcgiwrap, each with the settings of one class."""
    port = free_port()
    changed("nginx/cgi.conf", folder, {
        "listen 80;": f"listen {address}:{port};", "unix:/run/leadpipe-cgi/": f"unix:{folder}/", PROGRAM: str(program)})
    (folder / "conf").write_text(NGINX.format(folder=folder, user="user root; " if is_root() else ""))
    with ExitStack() as stack:
        for name, foreign in (("intake", ADMIN_ONLY), ("admin", INTAKE_ONLY)):
            own = clean_environment(**{key: value for key, value in settings.items() if key not in foreign})
            path = folder / f"{name}.sock"
            stack.enter_context(running(["fcgiwrap", "-f", "-c", "2", "-s", f"unix:{path}", "-p", str(program)], folder, own, path=path))
        command = ["nginx", "-p", str(folder), "-c", str(folder / "conf"), "-e", str(folder / "error.log")]
        stack.enter_context(running(command, folder, clean_environment(), port, address=address))
        yield port


@contextmanager
def lighttpd(folder: Path, settings, program=BIN / "leadpipe-cgi"):
    """lighttpd's port."""
    port = free_port()
    (folder / "uploads").mkdir()
    changed("lighttpd/lighttpd.conf", folder, {
        "server.port = 80": f"server.port = {port}", '"0.0.0.0"': '"127.0.0.1"', 'server.username = "www-data"': "",
        'server.groupname = "www-data"': "", "/run/lighttpd.pid": f"{folder}/pid", "/var/log/lighttpd/": f"{folder}/",
        "/var/cache/lighttpd/uploads": f"{folder}/uploads", PROGRAM: str(program)})
    environment = clean_environment(**dict.fromkeys(settings_file(), "") | settings)
    with running(["lighttpd", "-D", "-f", str(folder / "leadpipe.conf")], folder, environment, port):
        yield port


@contextmanager
def apache(folder: Path, settings, program=BIN / "leadpipe-cgi"):
    """Apache's port."""
    port = free_port()
    changed("apache/leadpipe.conf", folder, {
        "<VirtualHost *:80>": f"<VirtualHost 127.0.0.1:{port}>", PROGRAM: str(program)})
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES)
    user = "User www-data\nGroup www-data\n" if is_root() else ""
    (folder / "conf").write_text(APACHE.format(folder=folder, port=port, modules=modules, user=user))
    command = ["apache2", "-D", "FOREGROUND", "-d", str(folder), "-f", str(folder / "conf")]
    with running(command, folder, clean_environment(**settings), port):
        yield port


SERVERS = {"nginx": nginx, "lighttpd": lighttpd, "apache": apache}
