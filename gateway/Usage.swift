extension Gateway {
  /// What `--help` prints.
  static let usage = """
    usage: gateway

    Answers HTTP requests by the handlers in a folder. Settings are environment variables:
      PORT                  4000; 0 takes a free one
      LEADPIPE_HOST         127.0.0.1
      LEADPIPE_LISTEN       unix:/path listens there instead
      LEADPIPE_OPERATIONS   127.0.0.1:PORT, [::1]:PORT or unix:/path: /-/live, /-/ready, /-/metrics, /-/status (nowhere)
      LEADPIPE_HANDLERS     the folder of handlers (`handlers` beside this program)
      LEADPIPE_TRUST        a JSON file {"name": "intake|worker|admin|none"} for handlers that are not ours
      LEADPIPE_PROCESS      oneshot: a process for each request; warm: the same, started ahead; stream: a few that take
                            many; for single handlers by their names: stream,health-check=oneshot (our own handlers
                            stream, others oneshot)
      LEADPIPE_CONCURRENCY  how many processes that take one request run at a time (16)
      LEADPIPE_WARM_SPARES  how many processes wait for each warm handler that is in use (2)
      LEADPIPE_HANDLER_CONCURRENCY  how many of these may be of one handler (as LEADPIPE_CONCURRENCY)
      LEADPIPE_QUEUE        how many requests of a handler wait for one of these (256)
      LEADPIPE_QUEUE_MS     how long a request waits for a process, of any mode (1000)
      LEADPIPE_STREAM_PROCESSES  how many stream processes a handler has (2)
      LEADPIPE_STREAM_WINDOW     how many requests one of them has before it at a time (64)
      LEADPIPE_STREAM_QUEUE      how many requests of a handler wait for a place there (256)
      LEADPIPE_STREAM_REQUESTS, LEADPIPE_STREAM_MINUTES
                            after how many requests, and minutes, one is replaced (100000, 10)
      LEADPIPE_SLOW_MS      requests that take longer are logged as slow; 0 or off: none (1000)
      LEADPIPE_CLIENT_CONNECTIONS  how many connections a client may have open (256)
      RATE_LIMIT_LEAD, _CONTACT, _ADMIN, _EXPORT, _DEFAULT
                            requests in seconds for each client, or off (10/60, 5/60, 120/60, 5/60, 60/60)
      RATE_LIMIT_STORE      memory
      TRUSTED_PROXIES       whose X-Forwarded-For counts: addresses, networks and unix, or hops:N (nobody's)
      FRONTEND_URL          its origin may read replies in a browser
      ALLOWED_ORIGINS       further origins, separated by commas
      LOG_LEVEL             debug, info, warn, error (info)
      LOG_FORMAT            text, json (text)
    SIGTERM and SIGINT end it when running requests are finished, at the latest after 15 seconds.
    SIGHUP reads the handlers and LEADPIPE_TRUST again; where these are faulty all stays as it was.

    """
}
