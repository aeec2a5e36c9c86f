/// Suggestions for misspelt words.
package enum Spelling {
  /// Returns the word that is most similar to a misspelt one; nil if none is similar. The first of equally similar
  /// words is returned.
  package static func nearest(_ word: String, among words: [String]) -> String? {
    let word = word.lowercased()
    let limit = max(1, word.count / 3)
    let near = words.map { (word: $0, distance: distance(word, $0)) }.filter { $0.distance <= limit }
    if let best = near.min(by: { $0.distance < $1.distance }) { return best.word }
    // A beginning of exactly one word.
    let longer = words.filter { word.count >= 2 && $0.hasPrefix(word) }
    return longer.count == 1 ? longer[0] : nil
  }

  /// Returns `; did you mean WORD?`, or an empty string if no word is similar.
  package static func hint(_ word: String, among words: [String]) -> String {
    nearest(word, among: words).map { "; did you mean \($0)?" } ?? ""
  }

  /// The number of letters to insert, delete, replace, or swap with their neighbour (optimal string alignment).
  static func distance(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left), Array(right))
    var rows = [Array(0...right.count)]
    for i in 0..<left.count {
      var row = [i + 1]
      for j in 0..<right.count {
        var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (left[i] == right[j] ? 0 : 1))
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] { best = min(best, rows[i - 1][j - 1] + 1) }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[left.count][right.count]
  }
}
