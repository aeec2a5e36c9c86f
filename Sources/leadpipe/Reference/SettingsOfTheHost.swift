extension SettingSection {
  static let database = SettingSection(
    title: "Database",
    entries: [
      SettingEntry(
        "DATABASE_URL",
        meaning: """
          The `postgresql://` URL of the database owner, for `up`, `migrate` and `rollback`, and for each trust class \
          without a separate login. Inside a handler's process it is the login of the handler's class.
          """, default: "a private cluster with `up`", programs: "up, gateway, worker, migrate, rollback"),
      SettingEntry(
        "DATABASE_URL_INTAKE", meaning: "The login of class intake.", default: "DATABASE_URL as role leadpipe_intake",
        programs: "gateway"),
      SettingEntry(
        "DATABASE_URL_INTAKE_STREAM",
        meaning: """
          The same login past a transaction pooler, for processes of mode stream: they keep their session, so a pooler \
          only costs them time. health-check does not use it, because it reports about the pooler. `up` sets it if it \
          runs a pooler ([rule](../how-to/run-in-production.md#the-pooler)).
          """, default: "DATABASE_URL_INTAKE", programs: "gateway"),
      SettingEntry(
        "DATABASE_URL_WORKER", meaning: "The login of class worker.", default: "DATABASE_URL as role leadpipe_worker",
        programs: "worker"),
      SettingEntry(
        "DATABASE_URL_ADMIN",
        meaning: "The login of class admin, and of the commands `delivery`, `channel`, `event`, `lead` and `key`.",
        default: "DATABASE_URL as role leadpipe_admin", programs: "gateway"),
      SettingEntry(
        "DATABASE_URL_DIRECT",
        meaning: """
          The login of the database owner past a transaction pooler, for migrations, if DATABASE_URL leads to such a \
          pooler. No service receives it.
          """, default: "DATABASE_URL", programs: "up, migrate, rollback"),
      SettingEntry(
        "DATABASE_URL_LISTEN",
        meaning: """
          The login of class worker past a transaction pooler, for the session with which wake-listen waits for \
          notifications (WAKE=notify). `up` sets it if it runs a pooler.
          """, default: "DATABASE_URL_WORKER", programs: "worker"),
      SettingEntry(
        "POOLER",
        meaning: """
          `on`: `up` runs pgbouncer between the services and the database, unless the URL leads to a pooler already \
          ([sizes, and what goes past it](../how-to/run-in-production.md#the-pooler)). `off`: the services connect \
          directly. `up` passes on what it did.
          """, default: "on", programs: "up"),
      SettingEntry(
        "LEADPIPE_ROLE",
        meaning: """
          The role that a handler takes when it connects. The gateway and the worker set it; set it yourself only to \
          start a handler by hand.
          """),
      SettingEntry(
        "SUPABASE_URL",
        meaning: """
          The https address of a Supabase project. Without DATABASE_URL, functions are called through the project's REST \
          interface ([what differs](../how-to/deploy-on-supabase.md#without-a-database-login)). Ignored if DATABASE_URL \
          is set.
          """, programs: "gateway, worker, commands but `up`, `migrate`, `rollback`"),
      SettingEntry(
        "SUPABASE_SERVICE_ROLE_KEY",
        meaning: """
          The project's key for SUPABASE_URL: `sb_secret_…`, or the token of service_role (`eyJ…`). It has the rights of \
          all classes. No process that the gateway, the worker or a CGI server starts receives it \
          if DATABASE_URL is set, or every class has its own login.
          """, programs: "gateway, worker, commands but `up`, `migrate`, `rollback`"),
    ])

  static let process = SettingSection(
    title: "Processes and files",
    entries: [
      SettingEntry("LEADPIPE_STATE", meaning: "The state folder.", default: ".leadpipe", programs: "up"),
      SettingEntry(
        "LEADPIPE_HANDLERS", meaning: "The folder of handlers.", default: "`handlers` in the program's folder",
        programs: "gateway, worker, invoke, routes"),
      SettingEntry(
        "PANEL",
        meaning: """
          `on`: the gateway serves the [admin panel](http.md#the-admin-panel) under /admin. `off`: it does not.
          """,
        default: "on", programs: "gateway"),
      SettingEntry(
        "PANEL_DIR", meaning: "The folder of the panel's files, read when the gateway starts.",
        default: "`web/panel` in the program's folder, if it exists", programs: "gateway"),
      SettingEntry(
        "CHATBOT",
        meaning:
          "`on`: the gateway serves the [chatbot and the forms](http.md#the-chatbot-and-the-forms). `off`: it does not.",
        default: "on", programs: "gateway"),
      SettingEntry(
        "CHATBOT_DIR", meaning: "The folder of their files, read when the gateway starts.",
        default: "`web/chatbot` in the program's folder, if it exists", programs: "gateway"),
      SettingEntry(
        "DEMO",
        meaning: "`on`: the gateway serves the page /demo, where chatbot and forms can be tried. `up` sets it.",
        default: "`on` with `up`, otherwise `off`", programs: "gateway, up"),
      SettingEntry(
        "LEADPIPE_TRUST",
        meaning: """
          A JSON file that gives foreign handlers their trust class and further grants \
          ([contract](contract.md#environment-and-rights)).
          """, programs: "gateway, worker, all commands"),
      SettingEntry(
        "LEADPIPE_PROCESS",
        meaning: """
          The [process mode](../explanation/overload.md#process-modes): `oneshot` or `stream` for all handlers, \
          optionally followed by modes for single handlers: `stream,health-check=oneshot`, or `health-check=oneshot` \
          alone. `stream` applies to a foreign handler only if it describes \
          [`streams`](contract.md#--describe).
          """, default: "stream for built-in handlers, oneshot for others", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_CONCURRENCY",
        meaning: """
          oneshot: the number of processes that handle a request at the same time, for all handlers together, 1 to 1024.
          """, default: "16", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_HANDLER_CONCURRENCY",
        meaning: """
          The same for one handler, 1 to 1024. A value below LEADPIPE_CONCURRENCY keeps a slow handler from taking all \
          processes.
          """, default: "LEADPIPE_CONCURRENCY", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_QUEUE",
        meaning: """
          The number of requests for one handler that may wait for such a process, 0 to 65536. Further requests get \
          503. While a queue persists, the limit shrinks to the number of requests served in about 50 ms.
          """, default: "256", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_QUEUE_MS",
        meaning: "How long a request waits for a process of any mode before it gets 503, 0 to 60000.", default: "1000",
        programs: "gateway"),
      SettingEntry(
        "LEADPIPE_STREAM_PROCESSES",
        meaning: "stream: the number of processes for each handler, 1 to 64. Each has one database connection.",
        default: "2", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_STREAM_WINDOW", meaning: "stream: the number of unanswered requests per process, 1 to 1024.",
        default: "64", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_STREAM_QUEUE",
        meaning: """
          stream: the number of requests for a handler that may wait, 1 to 65536. For the live stream it is at least \
          1024.
          """,
        default: "256", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_STREAM_REQUESTS", "LEADPIPE_STREAM_MINUTES",
        meaning: "stream: a process is replaced after this number of requests and after this number of minutes.",
        default: "100000, 10", programs: "gateway"),
      SettingEntry("LOG_LEVEL", meaning: "`debug`, `info`, `warn` or `error`.", default: "info", programs: "all"),
      SettingEntry("LOG_FORMAT", meaning: "`text` or `json`.", default: "text", programs: "all"),
    ])

  static let http = SettingSection(
    title: "HTTP",
    entries: [
      SettingEntry(
        "PORT", meaning: "The gateway's TCP port. With the sink, `up` uses the next two free ports for it.",
        default: "4000", programs: "up, gateway"),
      SettingEntry(
        "LEADPIPE_HOST", meaning: "The address to listen on. For `up` it must be an IPv4 address.",
        default: "127.0.0.1",
        programs: "up, gateway"),
      SettingEntry(
        "LEADPIPE_LISTEN",
        meaning: "`unix:/path`: listen on this socket instead. For a separate gateway only; `up` refuses it.",
        programs: "gateway"),
      SettingEntry(
        "LEADPIPE_SCGI",
        meaning: """
          `127.0.0.1:PORT`, `[::1]:PORT` or `unix:/path`: serve [web servers by \
          SCGI](../how-to/run-behind-nginx-with-scgi.md) too. Other addresses of this machine are accepted with a \
          warning, because whoever reaches the listener chooses the client's address. Port 0 chooses a free port.
          """, default: "none: HTTP only", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_OPERATIONS",
        meaning: """
          The address of the [operations interface](metrics.md#the-operations-interface): `127.0.0.1:PORT`, \
          `[::1]:PORT` or `unix:/path`. Addresses that other machines can reach are refused. Port 0 chooses a free port.
          """, default: "with `up` `operations.sock` in the state folder, else none", programs: "gateway"),
      SettingEntry(
        "TRUSTED_PROXIES",
        meaning: """
          The proxies whose X-Forwarded-For is trusted \
          ([client addresses](../how-to/run-in-production.md#client-addresses-behind-a-proxy)): addresses, networks and \
          the word `unix` (peers on a unix socket), separated by commas; or `hops:N`, 1 to 16.
          """, default: "none: the peer is the client", programs: "gateway"),
      SettingEntry(
        "FRONTEND_URL",
        meaning: """
          The address of the website. Pages of its origin may read replies, and the button "View in Admin Panel" in \
          notifications links to its path `/admin`, which must be the panel: pass `/admin` and `/api` on to the gateway.
          """, default: "no origin, no button", programs: "gateway"),
      SettingEntry(
        "ALLOWED_ORIGINS",
        meaning: """
          Further origins whose pages may read replies, separated by commas: `https://example.com`, in lower case, \
          without a path and without the default port of the scheme.
          """, programs: "gateway"),
      SettingEntry(
        "RATE_LIMIT_LEAD", "RATE_LIMIT_CONTACT", "RATE_LIMIT_ADMIN", "RATE_LIMIT_EXPORT", "RATE_LIMIT_DEFAULT",
        meaning: """
          The number of requests that a client may make to the handlers of a rate class within a period: `N/SECONDS`, \
          1 to 1000 in 1 to 3600 s, or `off`.
          """, default: "10/60, 5/60, 120/60, 5/60, 60/60", programs: "gateway"),
      SettingEntry(
        "RATE_LIMIT_STORE",
        meaning: """
          `memory`: each gateway counts separately, and a restart resets its counts. `postgres`: all gateways count \
          together in the database; they need the same `RATE_LIMIT_…` settings.
          """,
        default: "memory", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_CLIENT_CONNECTIONS",
        meaning: "The number of open connections per client, 1 to 16384. Trusted proxies are exempt.", default: "256",
        programs: "gateway"),
      SettingEntry(
        "LEADPIPE_REQUEST_LINE",
        meaning: "The maximum length of a request line in bytes, with its line end, 256 to 32768; beyond it, 414.",
        default: "8192", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_HEADERS",
        meaning: """
          The maximum size of a request's headers, and of its trailers, in bytes, 1024 to 65536; beyond it, or with \
          more than 100 fields, 431. A handler may refuse headers far above the default \
          ([limits](contract.md#limits)).
          """, default: "16384", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_HEADER_MS",
        meaning: """
          The time limit for the request line and the headers, from their first byte, 100 to 600000; after it, 408. A \
          new connection that sends nothing within this time is closed.
          """, default: "10000", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_BODY_MS",
        meaning: """
          The time limit for the body, 100 to 600000; after it, 408. A request uses no process until its body is \
          complete.
          """, default: "15000", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_WRITE_MS",
        meaning: """
          How long a client may read nothing of its reply, 100 to 600000; after it, its connection is closed.
          """, default: "30000", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_BODY",
        meaning: """
          The maximum size of a body in bytes, 1024 to 16777216; beyond it, 413. The lower of this limit and the \
          handler's `bodyLimit` applies.
          """, default: "262144", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_HANDLER_MS",
        meaning: """
          The time limit of a handler, 100 to 600000. After it, the client gets 504 and the handler's process group \
          gets TERM. The lower of this limit and the handler's `timeLimitMs` applies and is passed on as the deadline.
          """, default: "the handler's timeLimitMs", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_GRACE_MS", meaning: "The time between TERM and KILL, 0 to 5000.", default: "2000", programs: "gateway"
      ),
      SettingEntry(
        "LEADPIPE_REPLY",
        meaning: """
          The maximum size of a handler's reply in bytes, 1024 to 16777216; sixteen times as much for admin routes. \
          Beyond it, the client gets 502.
          """, default: "1048576", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_STDERR",
        meaning: """
          The number of bytes of a handler's stderr that are logged per request, 0 to 16777216. The rest is read and \
          dropped, with one WARN line. Lines of built-in handlers count too.
          """, default: "65536", programs: "gateway"),
      SettingEntry(
        "LEADPIPE_SLOW_MS",
        meaning: """
          A request whose queue, start and run times together are longer is logged as WARN, 0 to 3600000. 0 or `off` \
          disables it.
          """, default: "1000", programs: "gateway"),
    ])
}
