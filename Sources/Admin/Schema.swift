import Wire

/// JSON Schemas that many replies share.
enum Schema {
  static let uuid: JSON = ["type": "string", "format": "uuid"]
  static let time: JSON = ["type": "string", "format": "date-time"]
  static let perhapsUUID: JSON = ["type": ["string", "null"], "format": "uuid"]
  static let perhapsTime: JSON = ["type": ["string", "null"], "format": "date-time"]
  static let perhapsText: JSON = ["type": ["string", "null"]]
}
