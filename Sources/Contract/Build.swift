/// Which build this is.
package enum Build {
  package static let version = "0.1.0"
}
