// POST /api/admin/session: exchanges a key, or the token of a log-in link, for a session cookie.
import Admin
import Contract

package let handler = SessionOpening.handler(named: "session-open")
