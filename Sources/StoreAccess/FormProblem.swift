import Contract
import Forms

extension Problem {
  /// A problem with all errors of a form.
  package init(_ error: FormError) {
    self.init(badFields: error.fields.map { Detail(path: $0.path, message: $0.message) })
  }
}

/// Runs a check and converts its form error to a problem.
package func checking<Value>(_ check: () throws(FormError) -> Value) throws(Problem) -> Value {
  do throws(FormError) { return try check() } catch { throw Problem(error) }
}
