import Contract
import Forms
import Wire

/// The parameters and replies of the conversation list, the search and the analytics report.
package enum ConversationSearch {
  /// The filters of the list. The search takes them as a JSON object.
  package static let filters: [any FormField] = [
    .optional("status", .choices(["new", "in-progress", "completed", "lost", "converted", "spam"])),
    .optional("leadQuality", .choices(["hot", "warm", "cold"])),
    .optional("intent", .choices(["buy", "rent", "sell", "invest", "browse"])),
    .optional("areas", .texts(max: 50, each: 1...200)), .optional("assignedAgentIds", .anyUUIDsOrNone(max: 50)),
    .optional("tags", .texts(max: 50, each: 1...100)), .optional("source", .texts(max: 20, each: 1...100)),
    .optional("followUpStatus", .choices(["due-today", "overdue", "scheduled"])),
    .optional("slaState", .choices(["ok", "warning", "breached", "met"])), .optional("scoreRange", .range(0...100)),
    dateFrom, dateTo,
  ]
  private static let dateFrom = Field.optional("dateFrom", .day(.start))
  private static let dateTo = Field.optional("dateTo", .day(.end))

  private static let query = Rule.text(1...200)
  private static let sort = Rule.choice([
    "recent", "oldest", "hot", "warm", "cold", "highest-budget", "lowest-budget", "follow-up", "sla",
  ])
  /// The number of rows of a page: by default, and at most.
  static let pageSizes = 25...100
  private static let place: [any FormField] = [
    .optional("limit", .pageSize(max: pageSizes.upperBound)), .optional("cursor", .cursor),
  ]

  package static let listForm = Form(
    filters + [
      .optional("query", query), .optional("sort", sort), .optional("page", .integer(1...400)),
      .optional("include", .choices(["messages", "metadata"])),
    ] + place)

  /// The filters and the order of the list, for an export of all its rows.
  static let exportFields: [any FormField] = filters + [.optional("query", query), .optional("sort", sort), timeZone]

  package static let searchForm = Form(
    [.required("query", query), filterDocument] + place)

  package static let slaForm = Form(place)
  /// The member of the SLA list with the number of overdue conversations without an agent, at most 1,000.
  package static let waitingForAgent: [JSON.Member] = [
    .init("waitingForAgent", ["type": "integer", "minimum": 0])
  ]

  package static let reportForm = Form([
    .optional("from", .day(.start)), .optional("to", .day(.end)), timeZone,
  ])

  private static let timeZone = Field.optional("timeZone", .zone)

  /// The filters of the search, as one JSON parameter.
  private static let filterDocument = Field.optional(
    "filters", .document(Form(filters + [.optional("sort", sort), dateRange])))
  /// The form in which the original panel puts its two dates into the filters.
  private static let dateRange = Field.optional("dateRange", .form(Form([rangeStart, rangeEnd])))
  private static let rangeStart = Field.optional("from", .day())
  private static let rangeEnd = Field.optional("to", .day())

  /// Returns the function's argument with the time zone in which days begin and the phone numbers in the query. Filters
  /// that came as an object become members of the argument.
  @Sendable package static func withTimeZone(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    var document = checked.document
    if let filters = checked.values[filterDocument] {
      let members = filters.document.removing(dateRange.name).members ?? []
      document = .object((document.removing(filterDocument.name).members ?? []) + members)
      let range = filters[dateRange]
      if let day = filters[dateFrom] ?? range?[rangeStart] { document = document.setting(dateFrom.name, .string(day)) }
      if let day = filters[dateTo] ?? range?[rangeEnd] { document = document.setting(dateTo.name, .string(day)) }
    }
    if let query = document["query"]?.string {
      document = document.setting("numbers", QueryNumbers.found(in: query))
    }
    let zone = checked.values[timeZone] ?? checked.settings.timeZone
    return document.setting(timeZone.name, .string(zone))
  }

  /// Returns the JSON Schema of a page of `item`, with further members.
  package static func page(of item: JSON, _ more: [JSON.Member] = []) -> JSON {
    let count: JSON = ["type": "integer", "minimum": 0]
    let members: [JSON.Member] = [
      .init("data", ["type": "array", "items": item]), .init("total", count),
      .init("totalIsEstimate", ["type": "boolean"]),
      .init("limit", count), .init("nextCursor", ["type": ["string", "null"]]),
    ]
    return [
      "type": "object", "properties": .object(members + more + [.init("unindexed", count)]),
      "required": .array((members + more).map { .string($0.key) }),
    ]
  }

  /// Returns the JSON Schema of the ConversationDTO with one more member.
  package static func conversation(with name: String, _ schema: JSON) -> JSON {
    let dto = Conversation.schema()
    return dto.setting("properties", (dto["properties"] ?? [:]).setting(name, schema))
      .setting("required", .array((dto["required"]?.array ?? []) + [.string(name)]))
  }

  private static let number: JSON = ["type": "number", "minimum": 0]

  private static func rows(_ columns: (String, JSON)...) -> JSON {
    [
      "type": "array",
      "items": [
        "type": "object", "properties": .object(columns.map { JSON.Member($0.0, $0.1) }),
        "required": .array(columns.map { .string($0.0) }),
      ],
    ]
  }

  /// The JSON Schema of the analytics report.
  package static let report: JSON = {
    let text: JSON = ["type": "string"]
    let counts = ["totalConversations", "hotLeads", "warmLeads", "coldLeads"].map { JSON.Member($0, number) }
    let members: [JSON.Member] =
      counts + [
        .init("conversionRate", number.setting("maximum", 100)), .init("averageDuration", number),
        .init("averageResponseTime", ["type": "number"]),
        .init("leadSourceBreakdown", rows(("source", text), ("value", number))),
        .init("conversationVolumeTrend", rows(("date", ["type": "string", "format": "date"]), ("count", number))),
        .init("leadQualityDistribution", rows(("quality", text), ("value", number))),
        .init("conversionFunnel", rows(("stage", text), ("value", number))),
        .init(
          "agentPerformance",
          rows(
            ("agentId", ["type": "string", "format": "uuid"]), ("agentName", text), ("conversations", number),
            ("conversionRate", number), ("averageResponseTime", ["type": ["number", "null"]]))),
        .init("peakHours", rows(("hour", ["type": "integer", "maximum": 23]), ("conversations", number))),
        .init(
          "sla",
          [
            "type": "object", "required": ["met", "breached", "medianResponseSeconds"],
            "properties": [
              "met": number, "breached": number, "medianResponseSeconds": ["type": ["integer", "null"]],
            ],
          ]),
        .init("from", text), .init("to", text), .init("timeZone", text),
      ]
    return [
      "type": "object", "properties": .object(members), "required": .array(members.map { .string($0.key) }),
    ]
  }()
}
