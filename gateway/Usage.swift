extension GatewayProgram {
  /// The output of `gateway --help`: every setting that the gateway reads or passes to a handler, with its default in
  /// parentheses.
  static let usage = """
    usage: gateway [--only NAME,NAME…] [--check]
           gateway --version | --help

    Answers HTTP requests with the handlers in a folder. With --check, it only checks its settings and handlers, and
    exits with status 78 if anything is wrong. With --only, it serves the endpoints of these handlers and no others. A
    name that is not in the folder is an error, also at SIGHUP. Settings are environment variables, with defaults in
    parentheses:
      PORT                          the TCP port; 0 chooses a free one (4000)
      LEADPIPE_HOST                 the address to listen on (127.0.0.1)
      LEADPIPE_LISTEN               unix:/path, a socket to listen on instead (none)
      LEADPIPE_SCGI                 the address that serves web servers by SCGI, beside HTTP: 127.0.0.1:PORT or
                                    unix:/path. The web server names the client; nobody else may reach it (none)
      LEADPIPE_OPERATIONS           the address that serves /-/live, /-/ready, /-/metrics and /-/status:
                                    127.0.0.1:PORT, [::1]:PORT or unix:/path (none)
      LEADPIPE_HANDLERS             the folder of handlers (`handlers` in the folder of this program)
      LEADPIPE_TRUST                a JSON file {"name": "intake|worker|admin|none"} with the trust classes of foreign
                                    handlers (none)
      PANEL                         on, or off: do not serve the admin panel under /admin (on)
      PANEL_DIR                     the folder of the panel's files (`web/panel` in the folder of this program, if it
                                    exists)
      CHATBOT                       on, or off: do not serve the chatbot and the forms (on)
      CHATBOT_DIR                   the folder of their files (`web/chatbot` in the folder of this program, if it exists)
      DEMO                          on: serve the page /demo, where they can be tried (off)
      LEADPIPE_PROCESS              the process mode. oneshot: a new process for each request; stream: a few
                                    processes for many requests, for a foreign handler only if its description has
                                    streams. Modes of single handlers follow: stream,health-check=oneshot (stream for
                                    our handlers, oneshot for others)
      LEADPIPE_CONCURRENCY          the number of processes that take a single request at the same time (16)
      LEADPIPE_HANDLER_CONCURRENCY  the same for one handler (LEADPIPE_CONCURRENCY)
      LEADPIPE_QUEUE                the number of requests for a handler that may wait for such a process (256)
      LEADPIPE_QUEUE_MS             how long a request waits for a process of any mode (1000)
      LEADPIPE_STREAM_PROCESSES     the number of stream processes of a handler (2)
      LEADPIPE_STREAM_WINDOW        the number of unanswered requests of a stream process (64)
      LEADPIPE_STREAM_QUEUE         the number of requests for a handler that may wait for a stream process (256)
      LEADPIPE_STREAM_REQUESTS      the number of requests after which a stream process is replaced (100000)
      LEADPIPE_STREAM_MINUTES       the number of minutes after which a stream process is replaced (10)
      LEADPIPE_SLOW_MS              requests that take longer are logged as slow; 0 or off logs none (1000)
      LEADPIPE_CLIENT_CONNECTIONS   the number of open connections of a client (256)
      LEADPIPE_REQUEST_LINE         the maximum length of a request line in bytes; beyond it, 414 (8192)
      LEADPIPE_HEADERS              the maximum size of a request's headers in bytes; beyond it, 431 (16384)
      LEADPIPE_HEADER_MS            the time limit for request line and headers; after it, 408 (10000)
      LEADPIPE_BODY_MS              the time limit for the body; after it, 408 (15000)
      LEADPIPE_WRITE_MS             how long a client may read nothing of its reply; after it, the connection is
                                    closed (30000)
      LEADPIPE_BODY                 the maximum size of a body in bytes, unless its handler accepts less; beyond it, 413
                                    (262144)
      LEADPIPE_HANDLER_MS           the time limit of a handler; after it, 504 (the handler's own limit)
      LEADPIPE_GRACE_MS             the time between TERM and KILL for a handler (2000)
      LEADPIPE_REPLY                the maximum size of a handler's reply in bytes, 16 times as much for admin routes;
                                    beyond it, 502 (1048576)
      LEADPIPE_STDERR               the number of bytes of a handler's stderr that are logged per request (65536)
      RATE_LIMIT_LEAD               the number of requests of this rate class per client and period in seconds, or off
                                    (10/60)
      RATE_LIMIT_CONTACT            the same (5/60)
      RATE_LIMIT_ADMIN              the same (120/60)
      RATE_LIMIT_EXPORT             the same (5/60)
      RATE_LIMIT_DEFAULT            the same (60/60)
      RATE_LIMIT_STORE              where requests are counted: memory, or postgres for several gateways (memory)
      TRUSTED_PROXIES               the proxies whose X-Forwarded-For is trusted: addresses, networks and unix, or
                                    hops:N (none)
      FRONTEND_URL                  the website; pages of its origin may read replies (none)
      ALLOWED_ORIGINS               further origins, separated by commas (none)
      LOG_LEVEL                     debug, info, warn, error (info)
      LOG_FORMAT                    text, json (text)
    These are for the handlers. Each handler receives those that its trust class allows:
      DATABASE_URL                  the database owner's login, for classes without a login of their own (none)
      DATABASE_URL_INTAKE           the login of class intake (DATABASE_URL as role leadpipe_intake)
      DATABASE_URL_INTAKE_STREAM    the same login past a transaction pooler, for processes of mode stream
                                    (DATABASE_URL_INTAKE)
      DATABASE_URL_ADMIN            the login of class admin (DATABASE_URL as role leadpipe_admin)
      SUPABASE_URL                  the https address of a Supabase project, in place of DATABASE_URL (none)
      SUPABASE_SERVICE_ROLE_KEY     its service key, for classes without a login if DATABASE_URL is not set (none)
      LEADPIPE_CHANNELS             the channels that /health reports, as `leadpipe channels` prints them (none)
      LEADPIPE_WAKE                 the socket on which handlers wake the worker (none)
      WAKE                          socket; or notify, which wakes workers through the database too (socket)
      BUSINESS_HOURS                the office hours (round the clock)
      HOLIDAYS                      an iCalendar file: days with other office hours (none)
      EXPORT_FOLDER                 the folder for temporary files of exports (/var/tmp)
      TIME_ZONE                     the office's time zone (Asia/Dubai)
      NOTIFY_QUALIFIED              which rises of a known lead are announced: hot, warm (hot)
      AUTO_ASSIGN                   which leads are assigned automatically; explanations name them (overdue)
      SLA_AUTOMATION                false if no lead is; for explanations too (true)
      POOLER                        on if a pooler of `leadpipe up` is between handlers and database; /health tells
                                    whether it runs (none)
      FORM_TOKEN_SECRET             signs form tokens; further secrets, which are only accepted, after commas (none)
      FORM_TOKENS                   optional; or required, if a form without a token is a robot's (optional)
      FORM_WORK_BITS                the proof of work that form tokens ask for, 1 to 24 bits (none)
      FORM_THANKS_URL               the page after a form that was posted without a script (a page of Leadpipe)
      ADMIN_API_KEY                 the first key to the admin interface; if it is not set, no key is accepted (none)
      SUPABASE_JWT_ISSUER           whose access tokens are accepted: https://REF.supabase.co/auth/v1 (none)
      SUPABASE_JWKS                 the public keys of that issuer: JSON, or the path of a file (none)
      SUPABASE_JWT_SECRET           its shared secret for HS256 (none)
    SIGTERM and SIGINT stop the gateway when its running requests have finished, after at most 15 seconds. Handlers that
    still run then get 2 seconds and LEADPIPE_GRACE_MS to end.
    SIGHUP reloads the handlers and LEADPIPE_TRUST. If any is invalid, nothing changes.

    """
}
