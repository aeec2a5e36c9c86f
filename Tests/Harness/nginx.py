"""nginx in front of a gateway, configured as in docs/how-to/run-in-production.md."""

import os
import re
import socket
import subprocess
from contextlib import contextmanager

from common import REPO, free_port, is_root, until

CONFIGURATION = """{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format statuses "$request_id $status $upstream_status";
  access_log {folder}/access.log statuses;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 256k;
    location / {{ proxy_pass http://gateway; }}
    proxy_request_buffering {buffering};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header X-Forwarded-For {forwarded};
    proxy_set_header Proxy "";
    {more}
    proxy_next_upstream off;
    proxy_ignore_client_abort on;
    proxy_read_timeout 20s;
  }}
}}
"""


@contextmanager
def nginx(folder, upstream, forwarded="$remote_addr", buffering="on", more=""):
    """nginx's port while it runs. `access.log` in the folder has the request id, the status and the upstream status of
    each request. `more` is further directives of the server."""
    folder.mkdir()
    port = free_port()
    user = "user root; " if is_root() else ""
    configuration = CONFIGURATION.format(folder=folder, upstream=upstream, port=port, forwarded=forwarded, buffering=buffering, user=user, more=more)
    with _running(folder, configuration, port):
        yield port


@contextmanager
def _running(folder, configuration, port):
    (folder / "conf").write_text(configuration)
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "conf"), "-e", str(folder / "error.log")], cwd="/",
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"] + ":/usr/sbin"})

    def answers():
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False
    try:
        until(answers, 10, "nginx")
        yield
    finally:
        process.terminate()
        process.wait(10)

# The main part of Debian's /etc/nginx/nginx.conf, around a file of deploy/nginx in place of those in conf.d.
AROUND = """{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {folder}/leadpipe.conf;
}}
"""
ADJUSTED = re.compile(r"^( +)(\w+) ([^;\n]+);( +# adjust\b.*)$", re.MULTILINE)


@contextmanager
def panel(folder, files):
    """nginx's port while it serves the panel in the folder `files` as deploy/nginx/panel.conf does."""
    folder.mkdir()
    port = free_port()
    text, count = ADJUSTED.subn(lambda line: f"{line[1]}{line[2]} {line[3].replace('/opt/leadpipe/bin/web/panel', str(files))};{line[4]}",
                                (REPO / "deploy" / "nginx" / "panel.conf").read_text())
    assert count == 2
    (folder / "leadpipe.conf").write_text(f"include /etc/nginx/mime.types; server {{ listen 127.0.0.1:{port};\n{text}\n}}")
    with _running(folder, AROUND.format(folder=folder, user="user root; " if is_root() else ""), port):
        yield port


@contextmanager
def deployed(folder, name, upstream):
    """nginx's TLS port while it runs deploy/nginx/NAME, with other values in the lines marked "adjust"."""
    folder.mkdir()
    port = free_port()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    values = {"server": upstream, "listen": f"127.0.0.1:{port} ssl http2", "server_name": "localhost", "ssl_certificate": str(certificate),
              "ssl_certificate_key": str(key)}
    text, count = ADJUSTED.subn(lambda line: f"{line[1]}{line[2]} {values[line[2]]};{line[4]}", (REPO / "deploy" / "nginx" / name).read_text())
    assert count == len(values)
    # Outside /etc/nginx, the parameters are included by their whole path.
    (folder / "leadpipe.conf").write_text(text.replace("include scgi_params", "include /etc/nginx/scgi_params"))
    with _running(folder, AROUND.format(folder=folder, user="user root; " if is_root() else ""), port):
        yield port
