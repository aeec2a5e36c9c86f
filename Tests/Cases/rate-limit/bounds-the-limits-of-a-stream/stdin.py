for count in range(1, 66):
    print('{"key": "a", "time": 0, "limit": "%d/1"}' % count)
