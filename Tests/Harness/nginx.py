"""nginx in front of a gateway, configured as in docs/how-to/run-in-production.md."""

import os
import socket
import subprocess
from contextlib import contextmanager

from common import free_port, is_root, until

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
    proxy_next_upstream off;
    proxy_ignore_client_abort on;
    proxy_read_timeout 20s;
  }}
}}
"""


@contextmanager
def nginx(folder, upstream, forwarded="$remote_addr", buffering="on"):
    """nginx's port while it runs. `access.log` in the folder has the request id, the status and the upstream status of
    each request."""
    folder.mkdir()
    port = free_port()
    user = "user root; " if is_root() else ""
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder, upstream=upstream, port=port, forwarded=forwarded, buffering=buffering, user=user))
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
        yield port
    finally:
        process.terminate()
        process.wait(10)
