import Contract
import Forms

extension Problem {
  /// All errors of a form at once.
  package init(_ error: FormError) {
    self.init(badFields: error.fields.map { Detail(path: $0.path, message: $0.message) })
  }
}
