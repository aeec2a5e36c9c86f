"""pgbouncer in front of a database."""

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from common import as_postgres, clean_environment, free_port, until


@contextmanager
def pooler(cluster, database, mode="transaction", size=2, ignored="", more=""):
    """The URL of the database through pgbouncer, which has few server connections. It rejects startup options; with
    `ignored="options"` it drops them silently, as Supavisor does."""
    with tempfile.TemporaryDirectory(prefix="lpb-", dir="/tmp") as folder:
        home = Path(folder)
        home.chmod(0o777)
        port = free_port()
        (home / "ini").write_text(f"""[databases]
{database.name} = host={cluster.home} user=leadpipe
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
ignore_startup_parameters = {ignored}
{more}
""")
        (home / "ini").chmod(0o644)
        with open(home / "log", "w", encoding="utf8") as log:
            process = subprocess.Popen(as_postgres(["/usr/sbin/pgbouncer", str(home / "ini")]), cwd="/", stdout=log, stderr=log,
                                       env=clean_environment())
            try:
                until(lambda: "process up" in (home / "log").read_text(), 10, "pgbouncer")
                yield f"postgresql://leadpipe@127.0.0.1:{port}/{database.name}"
            finally:
                process.terminate()
                process.wait(10)
