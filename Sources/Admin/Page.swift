import Forms
import Wire

/// A page of a list, requested by page number or by cursor.
package enum Page {
  /// The fields of lists that have cursors only.
  package static let onward: [any FormField] = [
    .optional("limit", .pageSize(max: 200)), .optional("cursor", .cursor),
  ]
  /// A cursor overrides a page number.
  package static let fields: [any FormField] = [.optional("page", .integer(1...1_000_000))] + onward
  package static let form = Form(fields)

  package static func schema(_ row: JSON) -> JSON {
    [
      "type": "object", "required": ["data", "limit", "nextCursor"],
      "properties": [
        "data": ["type": "array", "items": row],
        "total": ["type": "integer", "description": "only in lists with page numbers"], "page": ["type": "integer"],
        "limit": ["type": "integer"],
        "nextCursor": [
          "type": ["string", "null"], "description": "cursor of the next page; null on the last page",
        ],
      ],
    ]
  }

  /// Returns the page with `row` applied to each row.
  package static func mapRows(_ page: JSON, _ row: (JSON) -> JSON) -> JSON {
    page.setting("data", .array((page["data"]?.array ?? []).map(row)))
  }
}
