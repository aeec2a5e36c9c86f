import Forms
import Wire

/// A part of a list: by the number of a page, or from where a cursor says that the last one ended.
package enum Page {
  /// For lists that are walked through by cursor only.
  package static let onward: [any FormField] = [
    .optional("limit", .integer(1...200)), .optional("cursor", .cursor),
  ]
  /// A cursor stands above a page number.
  package static let fields: [any FormField] = [.optional("page", .integer(1...1_000_000))] + onward
  package static let form = Form(fields)

  package static func schema(_ row: JSON) -> JSON {
    [
      "type": "object", "required": ["data", "limit", "nextCursor"],
      "properties": [
        "data": ["type": "array", "items": row],
        "total": ["type": "integer", "description": "where pages are numbered"], "page": ["type": "integer"],
        "limit": ["type": "integer"],
        "nextCursor": ["type": ["string", "null"], "description": "of the next page; null on the last"],
      ],
    ]
  }

  /// The same page with each row told in other words.
  package static func telling(_ page: JSON, _ row: (JSON) -> JSON) -> JSON {
    page.setting("data", .array((page["data"]?.array ?? []).map(row)))
  }
}
