extension GatewayProgram {
  /// What `gateway --help` prints: every setting that the gateway reads or gives to a handler, with its default in brackets.
  static let usage = """
    usage: gateway [--check]

    Answers HTTP requests by the handlers in a folder. With --check it only says what is wrong with its settings and
    handlers; the exit status is 0 where nothing is, else 78. Settings are environment variables:
      PORT                          0 takes a free one (4000)
      LEADPIPE_HOST                 the address to listen on (127.0.0.1)
      LEADPIPE_LISTEN               unix:/path listens there instead (nowhere)
      LEADPIPE_OPERATIONS           127.0.0.1:PORT, [::1]:PORT or unix:/path answers /-/live, /-/ready, /-/metrics and
                                    /-/status (nowhere)
      LEADPIPE_HANDLERS             the folder of handlers (handlers beside this program)
      LEADPIPE_TRUST                a JSON file {"name": "intake|worker|admin|none"} for handlers that are not ours (none)
      LEADPIPE_PROCESS              oneshot: a process for each request; warm: the same, started ahead; stream: a few that
                                    take many, of foreign handlers those that describe it; for single handlers by their
                                    names: stream,health-check=oneshot (our own handlers stream, others oneshot)
      LEADPIPE_CONCURRENCY          how many processes that take one request run at a time (16)
      LEADPIPE_HANDLER_CONCURRENCY  how many of these may be of one handler (as LEADPIPE_CONCURRENCY)
      LEADPIPE_QUEUE                how many requests of a handler wait for one of these (256)
      LEADPIPE_QUEUE_MS             how long a request waits for a process, of any mode (1000)
      LEADPIPE_WARM_SPARES          how many processes wait for each warm handler that is in use (2)
      LEADPIPE_STREAM_PROCESSES     how many stream processes a handler has (2)
      LEADPIPE_STREAM_WINDOW        how many requests one of them has before it at a time (64)
      LEADPIPE_STREAM_QUEUE         how many requests of a handler wait for a place there (256)
      LEADPIPE_STREAM_REQUESTS      after how many requests one is replaced (100000)
      LEADPIPE_STREAM_MINUTES       after how many minutes one is replaced (10)
      LEADPIPE_SLOW_MS              requests that take longer are logged as slow; 0 or off: none (1000)
      LEADPIPE_CLIENT_CONNECTIONS   how many connections a client may have open (256)
      LEADPIPE_REQUEST_LINE         how many bytes a request line may have; more get 414 (8192)
      LEADPIPE_HEADERS              how many bytes the headers of a request may have; more get 431 (16384)
      LEADPIPE_HEADER_MS            how long a client may take for these, from the first byte on; then 408 (10000)
      LEADPIPE_BODY_MS              how long it may take for the body; then 408 (15000)
      LEADPIPE_BODY                 how many bytes a body may have, where its handler takes as many; more get 413 (262144)
      LEADPIPE_HANDLER_MS           how long a handler may take at most; then 504 (what it describes)
      LEADPIPE_GRACE_MS             how long it may take to end after TERM; then KILL (2000)
      LEADPIPE_REPLY                how many bytes it may reply, 16 times as many to an admin; more are a 502 (1048576)
      LEADPIPE_STDERR               how many bytes of its stderr are passed on for a request (65536)
      RATE_LIMIT_LEAD               how many requests of a class a client may make in how many seconds, or off (10/60)
      RATE_LIMIT_CONTACT            the same (5/60)
      RATE_LIMIT_ADMIN              the same (120/60)
      RATE_LIMIT_EXPORT             the same (5/60)
      RATE_LIMIT_DEFAULT            the same (60/60)
      RATE_LIMIT_STORE              where they are counted (memory)
      TRUSTED_PROXIES               whose X-Forwarded-For counts: addresses, networks and unix, or hops:N (nobody's)
      FRONTEND_URL                  the site: pages of its origin may read replies (none)
      ALLOWED_ORIGINS               further origins, separated by commas (none)
      LOG_LEVEL                     debug, info, warn, error (info)
      LOG_FORMAT                    text, json (text)
    and for its handlers, each of which gets what its class may have:
      DATABASE_URL                  the owner's login, for classes without one of their own (none)
      DATABASE_URL_INTAKE           the login of class intake (DATABASE_URL, as role leadpipe_intake)
      DATABASE_URL_ADMIN            the login of class admin (DATABASE_URL, as role leadpipe_admin)
      LEADPIPE_CHANNELS             the channels that /health reports: what `leadpipe channels` prints (none)
      LEADPIPE_WAKE                 the socket on which they tap the worker (none)
      WAKE                          socket, or notify: they wake workers by way of the database too (socket)
      BUSINESS_HOURS                when the office is open (round the clock)
      TIME_ZONE                     the office's place (Asia/Dubai)
      ADMIN_API_KEY                 the first key to the admin interface (none: nobody is let in)
    SIGTERM and SIGINT end it when running requests are finished, at the latest after 15 seconds;
    handlers that will not end then have 2 seconds and LEADPIPE_GRACE_MS more.
    SIGHUP reads the handlers and LEADPIPE_TRUST again; where these are faulty all stays as it was.

    """
}
