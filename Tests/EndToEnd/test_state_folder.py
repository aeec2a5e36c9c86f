"""The state folder is deleted or replaced while `leadpipe up` runs, and the gateway restarts: leads are still captured."""

import os
import shutil
import signal
import subprocess
import uuid

import pytest
from test_operations import operate

from common import TEST_USER, is_root, until
from instance import Instance

RESTORED = "[WARN] The state folder was deleted: it was made again"
NOT_RESTORED = "[ERROR] The state folder was deleted and cannot be made again"
LEFT_OUT = "[ERROR] A listener is left out, all others work listener=operations"


@pytest.fixture
def instance(database, tmp_path):
    (tmp_path / "state").mkdir()
    with Instance(tmp_path / "state", DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance


def restart_gateway(instance):
    pid, = instance.processes("/gateway")
    os.kill(pid, signal.SIGKILL)
    until(lambda: instance.processes("/gateway").keys() - {pid}, 10, "another gateway")


def check_capture(instance):
    """Five new leads are stored after the restart."""
    for _ in range(5):
        id = until(lambda: captured(instance), 15, "a captured lead")
        assert instance.database.count("conversations", f"id = '{id}'") == 1


def captured(instance):
    """None while the gateway or the pooler starts again."""
    try:
        status, _, document = instance.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": str(uuid.uuid4())})
    except OSError:
        return None
    assert status in (201, 503), document
    return document["id"] if status == 201 else None


def test_a_deleted_folder_is_made_again(instance):
    key = instance.state.joinpath("admin-key").read_text()
    env = instance.state.joinpath("env").read_text()
    for times in (1, 2):
        shutil.rmtree(instance.state)
        restart_gateway(instance)
        check_capture(instance)
        until(lambda count=times: instance.log.count(RESTORED) == count, 5, "the line in the log")
        assert instance.state.stat().st_mode & 0o777 == 0o711
        for name, text in {"admin-key": key, "env": env, "lock": ""}.items():
            file = instance.state / name
            assert file.read_text() == text and file.stat().st_mode & 0o777 == 0o600, name
        until(lambda: instance.state.joinpath("operations.sock").exists(), 10, "the operations socket")
        assert operate(f"unix:{instance.state}/operations.sock", "ready")[0] == 200
    # The folder is still locked.
    other = Instance(instance.state, DATABASE_URL=instance.environment["DATABASE_URL"])
    other.start(ready=False)
    assert other.process.wait(20) == 1 and "is in use by another `leadpipe up`" in other.log


def test_a_folder_that_was_emptied_is_filled_again(instance):
    for path in instance.state.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    restart_gateway(instance)
    check_capture(instance)
    instance.wait_log(RESTORED)
    assert {"admin-key", "env", "lock"} <= {path.name for path in instance.state.iterdir()}


@pytest.mark.parametrize("how", ["file", "symlink", "other-owner", "other-contents"])
def test_what_replaced_the_folder_stays_untouched(instance, tmp_path, how):
    if how == "other-owner" and not is_root():
        pytest.skip("only root can change owners")
    other = tmp_path / "other"
    shutil.rmtree(instance.state)
    if how == "file":
        instance.state.write_text("mine")
    elif how == "symlink":
        other.mkdir(mode=0o700)
        instance.state.symlink_to(other)
    else:
        instance.state.mkdir(mode=0o700)
        if how == "other-owner":
            os.chown(instance.state, 65_534, 65_534)
        else:
            (instance.state / "notes").write_text("mine")
    mode = instance.state.stat().st_mode
    restart_gateway(instance)
    check_capture(instance)
    instance.wait_log(NOT_RESTORED)
    assert instance.log.count(NOT_RESTORED) == 1
    assert instance.state.stat().st_mode == mode
    if how == "file":
        assert instance.state.read_text() == "mine" and instance.log.count(LEFT_OUT) == 1
        instance.state.unlink()
        instance.wait_log(RESTORED)
        until(lambda: instance.state.joinpath("operations.sock").exists(), 10, "the operations socket")
    else:
        # The sink appends the messages that it receives to its file.
        assert {path.name for path in instance.state.iterdir()} <= {"operations.sock", "sink.ndjson", "notes"}


@pytest.mark.parametrize("how", ["read-only", "full"])
def test_a_file_system_that_takes_no_files(database, tmp_path, how):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not is_root() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted")
    try:
        (disk / "state").mkdir()
        with Instance(disk / "state", DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false") as instance:
            shutil.rmtree(instance.state)
            if how == "full":
                (disk / "large").write_bytes(bytes(64 << 10))
            else:
                instance.state.mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", instance.state], check=True)
            restart_gateway(instance)
            check_capture(instance)
            instance.wait_log(NOT_RESTORED)
            assert instance.log.count(NOT_RESTORED) == 1
            if how == "full":
                (disk / "large").unlink()
            else:
                assert instance.log.count(LEFT_OUT) == 1
                subprocess.run(["umount", "-l", instance.state], check=True)
            instance.wait_log(RESTORED)
            until(lambda: instance.state.joinpath("operations.sock").exists(), 10, "the operations socket")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
