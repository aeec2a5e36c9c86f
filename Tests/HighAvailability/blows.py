"""What happens to the primary, and what ends it."""

import os
import signal
from typing import NamedTuple

from network import ip, signal_all


def isolate(node, others):
    """Drops what the node and the other two send each other. HAProxy and Leadpipe still reach all of them."""
    for here, there in [(node, other) for other in others] + [(other, node) for other in others]:
        ip("-n", here.host.namespace, "route", "add", "blackhole", f"{there.address}/32")


def reunite(node, others):
    for here, there in [(node, other) for other in others] + [(other, node) for other in others]:
        ip("-n", here.host.namespace, "route", "del", "blackhole", f"{there.address}/32")


def power_on(node, _):
    node.host.plug()
    node.boot()


class Blow(NamedTuple):
    begin: object
    end: object
    # Another node must become the primary while it lasts.
    fails_over: bool = True
    # The node lives but is cut off from the other two: its own clients still reach it.
    is_cut: bool = False
    # Its processes stand still.
    is_frozen: bool = False


BLOWS = {
    "PostgreSQL killed": Blow(lambda node, _: node.kill_postgres(), lambda *_: None, fails_over=False),
    "node lost its power": Blow(lambda node, _: node.host.power_off(), power_on),
    "cable pulled": Blow(lambda node, _: node.host.unplug(), lambda node, _: node.host.plug(), is_cut=True),
    "packets dropped": Blow(lambda node, _: node.host.drop(), lambda node, _: node.host.plug(), is_cut=True),
    "cut off from the nodes only": Blow(isolate, reunite, is_cut=True),
    "PostgreSQL frozen": Blow(lambda node, _: node.stop_postgres(), lambda node, _: signal_all(node.pids("/postgres"), signal.SIGCONT), is_frozen=True),
    "node frozen": Blow(lambda node, _: node.host.pause(), lambda node, _: node.host.resume(), is_frozen=True),
}


def plan(dice, count):
    """So many blows. Every kind comes as often as the others. DRILL_KINDS names some, separated by commas."""
    words = os.environ.get("DRILL_KINDS")
    kinds = words.split(",") if words else list(BLOWS)
    dice.shuffle(kinds)
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    dice.shuffle(chosen)
    return chosen
