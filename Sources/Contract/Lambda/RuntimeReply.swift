/// A reply of Lambda's runtime API.
package struct RuntimeReply: Sendable, Equatable {
  package let status: Int
  /// Names in lower case; the values of a repeated header are joined with `,`.
  package let headers: [String: String]
  package let body: [UInt8]
  /// True if the connection can take another request.
  package let isKeptAlive: Bool
}

/// Why the runtime API can no longer be used.
package struct RuntimeFailure: Error, Sendable, Equatable {
  package let reason: String

  package init(_ reason: String) { self.reason = reason }
}
