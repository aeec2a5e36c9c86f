import json
print(json.dumps({"customerName": "Test User", "customerPhone": "+971501234567", "notes": "n" * 65_536}))
