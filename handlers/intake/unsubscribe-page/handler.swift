// GET /newsletter/unsubscribe: the page behind the link in a newsletter. It only asks: programs that follow the links of
// a mail must not end a subscription.
import Capture
import Contract
import Wire

package let handler = Handler(
  Description(
    name: "unsubscribe-page", kind: .endpoint, summary: "Shows the page that ends a newsletter subscription",
    routes: [.init("GET", "/newsletter/unsubscribe")], bodyLimit: 1024,
    input: .init(
      query: [
        "type": "object",
        "properties": ["token": ["type": "string", "description": "the token of the newsletter"]],
      ]),
    output: .init(
      ["type": "string"], types: ["text/html"], headers: ["properties": ["Cache-Control": ["const": "no-store"]]]))
) { _ throws(Problem) in
  { request, _ throws(Problem) in UnsubscribePage(request).reply }
}
