import Handler
import Leads
import Wire

extension Handler {
  /// A handler that stores what a form of the website sends, and thanks with `message`.
  package init(storing form: SiteForm, name: String, summary: String, paths: [String], message: String) {
    self.init(
      Description(
        name: name, kind: .endpoint, summary: summary, routes: paths.map { .init("POST", $0) }, rateClass: "contact",
        environment: Intake.settings, input: form.form.schema,
        output: [
          "type": "object", "required": ["success", "id", "message"],
          "properties": [
            "success": ["const": true], "id": ["type": "string", "format": "uuid"], "message": ["type": "string"],
          ],
        ])
    ) { settings, afterwards throws(Problem) in
      let intake = try Intake(settings, handler: name, afterwards)
      return { request, log throws(Problem) in
        let (_, captured) = try intake.capture(request, log: log) { body, receivedAt throws(Form.Faults) in
          try Lead(form, checking: body, receivedAt: receivedAt)
        }
        return Reply(
          status: 201, ["success": true, "id": .string(captured.id), "message": .string(message)],
          headers: captured.replayHeader)
      }
    }
  }
}
