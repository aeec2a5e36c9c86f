/// The version of this build.
package enum Build {
  package static let version = "0.1.0"
}
