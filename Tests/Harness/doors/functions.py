"""AWS Lambda: each handler runs against a stand-in of the runtime API."""

import json

from doors.door import Door
from doors.pipe import reply
from doors.routing import envelope
from lambda_api import function


class LambdaDoor(Door):
    name = "lambda"
    routes = False

    def open(self):
        self.functions = {}

    def send(self, request):
        name, event = envelope(request)
        if name not in self.functions:
            self.functions[name] = self.enter_context(function(name, **self.settings))
        api, _ = self.functions[name]
        result = api.invoke(event)
        assert result.kind == "response", result.body
        return reply(json.loads(result.body))
