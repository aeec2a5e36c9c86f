import json
print(json.dumps({"headers": {"content-type": "application/json"}, "body": "x" * 65_537,
                  "requestContext": {"requestId": "req-1", "http": {"method": "POST"}}}))
