extension SettingSection {
  static let leads = SettingSection(
    title: "Leads and the admin interface",
    entries: [
      SettingEntry(
        "BUSINESS_HOURS",
        meaning: """
          The office hours: `Mon-Fri 09:00-18:30, Sat 10:00-15:00`. Response deadlines count only these hours. \
          `Fri 22:00-02:00` ends on the next day.
          """, default: "round the clock", programs: "lead, explain"),
      SettingEntry(
        "HOLIDAYS",
        meaning: """
          The absolute path of an iCalendar file with the days on which the office is closed or has \
          [other hours](../how-to/set-office-hours.md).
          """, default: "none", programs: "lead, explain"),
      SettingEntry(
        "EXPORT_FOLDER",
        meaning: """
          The absolute path of a folder for the temporary files of exports as XLSX. They have no name and need up to three \
          times the size of the rows.
          """, default: "/var/tmp"),
      SettingEntry(
        "TIME_ZONE", meaning: "The office's time zone, a name from the tz database (package tzdata).",
        default: "Asia/Dubai", programs: "lead, explain, delivery"),
      SettingEntry(
        "DIGEST",
        meaning: """
          The time of day, such as `08:30`, at which each agent gets a \
          [digest](../how-to/follow-up-reminders.md#the-daily-digest) by email, in TIME_ZONE, or `off`.
          """, default: "off"),
      SettingEntry(
        "RECEIPTS",
        meaning: """
          `on`: a visitor who gave an email address gets a [receipt](../how-to/send-receipts.md) for a new lead, if email \
          is configured.
          """, default: "off", programs: "worker"),
      SettingEntry(
        "RECEIPTS_PER_MINUTE", meaning: "The maximum number of receipts in a minute, 1 to 1000.", default: "20"),
      SettingEntry(
        "AGENCY_NAME", meaning: "The agency's name in receipts: one line of at most 100 characters.",
        default: "TrueNester"),
      SettingEntry(
        "AGENCY_PHONE", "AGENCY_EMAIL",
        meaning: """
          How receipts say that the agency can be reached. Replies to a receipt go to AGENCY_EMAIL, or without it to \
          EMAIL_FROM.
          """, default: "none"),
      SettingEntry(
        "NOTIFY_QUALIFIED",
        meaning: """
          Which leads are announced when the customer continues the conversation and the quality rises. `hot`: those \
          that become hot. `warm`: those that become warm too.
          """, default: "hot"),
      SettingEntry(
        "FORM_TOKEN_SECRET",
        meaning: """
          Signs [form tokens](../how-to/stop-spam.md): 32 to 200 visible ASCII characters without a comma. Further \
          secrets follow after commas; their tokens are accepted, and none is made with them. Without it there are no \
          form tokens.
          """, default: "with `up` the file `form-token-secret` in the state folder"),
      SettingEntry(
        "FORM_TOKENS",
        meaning: """
          `required`: a submission without a form token is kept aside as spam, except for leads that the operator pipes \
          into a handler. `optional`: it is not.
          """, default: "optional"),
      SettingEntry(
        "FORM_WORK_BITS",
        meaning: """
          The [proof of work](../how-to/stop-spam.md#under-attack) that form tokens ask for: 1 to 24 zero bits. Each bit \
          doubles the work.
          """, default: "no work"),
      SettingEntry(
        "FORM_THANKS_URL",
        meaning: """
          Where a visitor goes after [a form without a script](../how-to/add-a-form-to-a-website.md#without-javascript), \
          unless the form names a page of an allowed origin.
          """, default: "a page of Leadpipe"),
      SettingEntry(
        "AUTO_ASSIGN",
        meaning: """
          Which leads are [assigned to agents](../how-to/assign-leads.md) automatically. `overdue`: those without an \
          agent when their deadline passes, and those whose agents have not answered in time. `new`: new ones too. \
          `off`: none.
          """, default: "overdue", programs: "explain"),
      SettingEntry(
        "SLA_AUTOMATION",
        meaning: "`false`: no lead is assigned automatically, whatever AUTO_ASSIGN says; warnings and breaches stay.",
        default: "true", programs: "explain"),
      SettingEntry(
        "ADMIN_API_KEY",
        meaning: """
          The first key to the [admin interface](admin.md), with all rights: 16 to 200 visible ASCII characters. \
          If it is not set, no key is accepted.
          """, default: "with `up` the file `admin-key` in the state folder"),
      SettingEntry(
        "SUPABASE_JWT_ISSUER",
        meaning: """
          Whose access tokens [users of Supabase Auth](../how-to/log-in-with-supabase-auth.md) may send: \
          `https://REF.supabase.co/auth/v1`. Needs SUPABASE_JWKS or SUPABASE_JWT_SECRET.
          """, default: "no tokens are accepted", programs: "supabase"),
      SettingEntry(
        "SUPABASE_JWKS",
        meaning: """
          The project's public keys for ES256 and RS256: a JWK Set as JSON, or the absolute path of a file with one, as \
          `leadpipe supabase keys` writes it.
          """, default: "none", programs: "supabase"),
      SettingEntry(
        "SUPABASE_JWT_SECRET",
        meaning: "The project's shared secret for HS256: 32 to 1000 visible ASCII characters.", default: "none"),
    ])

  static let worker = SettingSection(
    title: "Worker and delivery",
    entries: [
      SettingEntry(
        "ENABLE_NOTIFICATION_WORKER", meaning: "`false`: events stay queued and nothing is sent.", default: "true",
        programs: "up, worker"),
      SettingEntry(
        "WORKER_POLL_SECONDS", meaning: "Seconds between polls, 1 to 3600.", default: "5", programs: "worker"),
      SettingEntry(
        "WORKER_BATCH_SIZE", meaning: "The maximum number of deliveries claimed at once for a channel, 1 to 1000.",
        default: "10", programs: "worker"),
      SettingEntry(
        "SLACK_PER_SECOND", "TELEGRAM_PER_SECOND",
        meaning:
          "The number of notifications sent to the channel per second, by all workers together, 1 to 1000, or `off`.",
        default: "1", programs: "worker"),
      SettingEntry("DELIVERY_LEASE_SECONDS", meaning: "How long a claim lasts, 30 to 3600.", default: "30"),
      SettingEntry(
        "UNKNOWN_OUTCOME",
        meaning: """
          What happens to a notification to Slack or Telegram whose outcome is unknown. `resend`: it is sent again, \
          marked as a possible repeat. `park`: it has no next attempt until an operator retries it. Email is always \
          sent again, with the same Message-ID.
          """, default: "resend"),
      SettingEntry(
        "DIRECT_NOTIFICATIONS",
        meaning: """
          `true`: the worker also announces the leads that were stored while the event tables did not exist; see \
          [Roll back](../how-to/roll-back.md). They wait otherwise.
          """, default: "false"),
      SettingEntry(
        "RETENTION_DAYS",
        meaning: "How long finished events are kept with their deliveries and attempts, 1 to 36500 days, or `off`.",
        default: "90"),
      SettingEntry(
        "RETENTION_LEADS_DAYS",
        meaning: """
          After how many days without a change the personal data of closed leads is erased, 30 to 36500 days, or `off`: \
          [erase old leads](../how-to/answer-privacy-requests.md#erase-old-leads).
          """, default: "off", programs: "person"),
      SettingEntry(
        "LEADPIPE_WAKE",
        meaning: """
          The unix socket on which handlers wake the worker: an absolute path of at most 107 bytes. If there is none, \
          the worker only polls.
          """, default: "with `up` a socket in the state folder, else none", programs: "worker"),
      SettingEntry(
        "WAKE",
        meaning: """
          `socket`: handlers wake the workers on their machine. `notify`: they also send a NOTIFY to the database \
          after the reply, and workers LISTEN \
          ([workers on other machines](../how-to/run-in-production.md#workers-on-other-machines)).
          """, default: "socket", programs: "worker"),
      SettingEntry(
        "LEADPIPE_CHANNELS",
        meaning: "The configured channels and recipients, a JSON list of `{channel, recipient}` without secrets.",
        default: "derived from the channel settings"),
    ])

  static let channels = SettingSection(
    title: "Channels",
    entries: [
      SettingEntry("SLACK_WEBHOOK_URL", meaning: "Slack's incoming webhook. Configures the channel slack."),
      SettingEntry(
        "SLACK_WEBHOOK_NEWSLETTER_URL", meaning: "The webhook for newsletter events.", default: "SLACK_WEBHOOK_URL"),
      SettingEntry(
        "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID",
        meaning: "The bot's token and the chat (a number or @name). Both together configure the channel telegram."),
      SettingEntry(
        "TELEGRAM_API_URL", meaning: "The base URL of a server with Telegram's API.",
        default: "https://api.telegram.org"),
      SettingEntry(
        "EMAIL_HOST", "EMAIL_PORT",
        meaning: """
          The mail server. Configures the channel email. Port 465 uses TLS from the first byte; every other port must \
          offer STARTTLS.
          """, default: "none, 587"),
      SettingEntry("EMAIL_USER", "EMAIL_PASS", meaning: "The login at the mail server.", default: "no login"),
      SettingEntry(
        "EMAIL_FROM",
        meaning: "The sender: an address, or `Name <address>`. Required with EMAIL_HOST and RESEND_API_KEY."),
      SettingEntry(
        "EMAIL_TO", meaning: "The recipients, separated by commas. Each gets a separate delivery.",
        default: "EMAIL_USER if it is an address, else the address in EMAIL_FROM", programs: "worker"),
      SettingEntry(
        "RESEND_API_KEY",
        meaning: """
          Sends email through Resend's HTTP API instead of a mail server, with EMAIL_FROM and EMAIL_TO. Refused \
          together with EMAIL_HOST. Resend recognises a repeat by its idempotency key for 24 hours.
          """),
      SettingEntry(
        "RESEND_API_URL", meaning: "The base URL of a server with Resend's API.", default: "https://api.resend.com"),
    ])

  static let refused = SettingSection(
    title: "Not supported by this version",
    entries: [
      SettingEntry(
        "FEATURE_WHATSAPP_ENABLED", "FEATURE_CRM_ENABLED", "FEATURE_SMS_ENABLED", meaning: "Must be `false`.",
        default: "false", programs: "all commands"),
      SettingEntry(
        "LEADPIPE_WARM_SPARES", meaning: "Must not be set: the process mode warm was removed.",
        programs: "gateway, all commands"),
    ])

  /// The whole reference, in the order of the page.
  static let all = [database, process, http, leads, worker, channels, refused]
}
