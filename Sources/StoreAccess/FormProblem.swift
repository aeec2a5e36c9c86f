import Contract
import Forms

extension Problem {
  /// All errors of a form at once.
  package init(_ error: FormError) {
    self.init(badFields: error.fields.map { Detail(path: $0.path, message: $0.message) })
  }
}

/// Runs a check; what is wrong with the form becomes a problem.
package func checking<Value>(_ check: () throws(FormError) -> Value) throws(Problem) -> Value {
  do throws(FormError) { return try check() } catch { throw Problem(error) }
}
