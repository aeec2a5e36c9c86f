"""The whole sweep: every system call that lead-capture makes, from the loader's first call to the last, under each
fault."""

import pytest

from capture_handlers import CAPTURES, by_name
from crash import FAULTS, Sweep, require_ptrace

# Calls that begin or end a process cannot fail in a useful way.
NOT_SWEPT = {"execve", "exit_group", "rt_sigreturn", "restart_syscall"}


@pytest.fixture(scope="module")
def sweep(cluster):
    require_ptrace()
    database = cluster.migrated()
    sweep = Sweep(database)
    yield sweep
    sweep.close()
    cluster.drop(database)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_at_any_call_stores_nothing_or_everything(sweep, fault):
    calls = sweep.calls().keys() - NOT_SWEPT | {"fsync", "sendmsg"}
    met = sweep.over_all([(call, fault) for call in sorted(calls)])
    print(f"{fault} at {sum(met.values())} calls of {len(met)} kinds")
    assert sum(met.values()) > 200


@pytest.mark.parametrize("capture", CAPTURES[1:], ids=by_name)
def test_other_handlers_with_a_fault_at_external_calls(database, capture):
    require_ptrace()
    sweep = Sweep(database, capture)
    try:
        met = sweep.over_all([(call, fault) for call in ("write", "sendto", "connect", "recvfrom", "poll", "socket") for fault in FAULTS])
    finally:
        sweep.close()
    assert min(met.values()) >= 1
