"""The ways into the product, called doors: each takes a request as HTTP has it and returns the reply."""

from doors.cgi import ApacheCGIDoor, LighttpdCGIDoor, NginxCGIDoor
from doors.functions import LambdaDoor
from doors.gateway import GatewayDoor
from doors.pipe import PipeDoor, StreamDoor
from doors.proxy import ProxyDoor
from doors.scgi import SCGIDoor

# The first one is the reference.
DOORS = [GatewayDoor, PipeDoor, StreamDoor, ProxyDoor, SCGIDoor, NginxCGIDoor, LighttpdCGIDoor, ApacheCGIDoor, LambdaDoor]
