import Contract
import Foundation
import Host
import Testing
import Wire

extension Script {
  /// An endpoint and its feed. The feed sends event N as soon as a file named N exists. The endpoint starts a client's
  /// stream at the number in Last-Event-ID, or else at the number in the file `now`. It rejects the key `wrong`. With
  /// the key `late`, it replies once the file `go` exists; with this key and Last-Event-ID, its reply ends the stream.
  static func live(in folder: String = "$(dirname \"$0\")/..") -> [Script] {
    var show = Script(
      "news", ("GET", "/live"),
      run: #"""
        line=$(cat)
        case $line in *'"x-key":"wrong"'*) printf '{"statusCode":401,"headers":{"feed-after":"0"},"body":"no"}'; exit;; esac
        from=$(printf %s "$line" | sed -n 's/.*"last-event-id":"\([0-9]*\)".*/\1/p')
        from=${from:-$(cat "\#(folder)/now")} body='retry: 1000\n' seen=
        while [ -e "\#(folder)/$((from + 1))" ]; do
        from=$((from + 1)) seen="$seen,$from" body="$body"'id: '$from'\ndata: '$from'\n\n'
        done
        [ -e "\#(folder)/slow" ] && sleep 1
        after='"feed-after":"'$from'",'
        case $line in *'"x-key":"late"'*)
        case $line in *'"last-event-id"'*) after=;; *) until [ -e "\#(folder)/go" ]; do sleep 0.02; done;; esac
        esac
        printf '{"statusCode":200,"headers":{%s"content-type":"text/event-stream",' "$after"
        printf '"feed-seen":"%s"},' "${seen#,}"
        printf '"isBase64Encoded":true,"body":"%s"}' "$(printf "$body" | base64 -w0)"
        """#)
    show.feed = "news-feed"
    var feed = Script(
      "news-feed",
      run: #"""
        while read -r line; do
        id=$(printf %s "$line" | sed 's/.*"requestContext":{.*"requestId":"\([^"]*\)".*/\1/')
        after=$(printf %s "$line" | sed 's/.*after[^0-9]*\([0-9]*\).*/\1/')
        next=$((after + 1)) event= pad=
        for try in 1 2 3 4 5 6 7 8 9 10; do
        [ -e "\#(folder)/$next" ] && break
        sleep 0.02
        done
        [ -e "\#(folder)/large" ] && pad=$(head -c 200000 /dev/zero | tr '\0' x)
        [ -e "\#(folder)/$next" ] && after=$next && event='{"seq":'$next',"text":"id: '$next'\ndata: '$next$pad'\n\n"}'
        body=$(printf '{"events":[%s],"cursor":"%s"}' "$event" "$after" | base64 -w0)
        printf '{"requestId":"%s","statusCode":200,"isBase64Encoded":true,"body":"%s"}\n' "$id" "$body"
        done
        """#)
    feed.kind = .step
    return [show, feed]
  }
}

/// Tests of live streams, with endpoints and feeds that are shell scripts.
@Suite(.serialized) struct LiveFeedTests {
  private func start(_ settings: [String: String] = [:]) async throws -> RunningGateway {
    let gateway = try await RunningGateway.start(Script.live(), settings, grantsFolder: true)
    set(gateway, "now", "0")
    return gateway
  }

  private func set(_ gateway: RunningGateway, _ name: String, _ text: String = "") {
    writeFile(gateway.folder + "/" + name, text, mode: 0o644)
  }

  private func listen(_ gateway: RunningGateway, _ fields: String = "", version: String = "1.1") -> Client {
    let client = Client(port: gateway.port)
    client.send("GET /live HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n")
    return client
  }

  @Test func sendsMissedEventsAndThenNewOnes() async throws {
    let gateway = try await start()
    for number in 1...2 { set(gateway, String(number)) }
    let client = listen(gateway, "Last-Event-ID: 1\r\n")
    let beginning = await client.receive(until: "data: 2\n\n")
    let answer = Answer(beginning)
    #expect(answer.status == 200 && answer["content-type"] == "text/event-stream")
    #expect(answer["transfer-encoding"] == "chunked" && answer["content-length"] == nil)
    #expect(answer["feed-after"] == nil && answer["feed-seen"] == nil)
    #expect(!beginning.contains("data: 1"))
    set(gateway, "3")
    #expect(await client.receive(until: "data: 3\n\n").contains("id: 3"))
    client.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func oneProcessServesAllSubscribers() async throws {
    let gateway = try await start()
    let clients = (0..<20).map { _ in listen(gateway) }
    for client in clients { _ = await client.receive(until: "retry: 1000") }
    set(gateway, "1")
    for client in clients { #expect(await client.receive(until: "data: 1\n\n").contains("data: 1")) }
    #expect(gateway.children == 1)
    for client in clients { client.end() }
    // Without subscribers the feed's process ends after some seconds.
    try await Task.sleep(for: .seconds(4))
    #expect(await eventually { gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aRefusedClientGetsOnlyTheReply() async throws {
    let gateway = try await start()
    let answer = await gateway.ask("GET", "/live", ["X-Key: wrong"])
    #expect(answer.status == 401 && answer.body == "no" && answer["feed-after"] == nil)
    let head = await gateway.ask("HEAD", "/live")
    #expect(head.status == 200 && head.body.isEmpty && head["feed-after"] == nil)
    #expect(gateway.children == 0)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func anHTTP10ClientGetsABodyThatEndsWithTheConnection() async throws {
    let gateway = try await start()
    let client = listen(gateway, version: "1.0")
    _ = await client.receive(until: "retry: 1000")
    set(gateway, "1")
    #expect(await client.receive(until: "data: 1\n\n") == "id: 1\ndata: 1\n\n")
    client.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aKilledFeedContinuesAtItsCursor() async throws {
    let gateway = try await start()
    let client = listen(gateway)
    _ = await client.receive(until: "retry: 1000")
    set(gateway, "1")
    _ = await client.receive(until: "data: 1\n\n")
    for number in 2...4 {
      kill(-(try #require(gateway.child(named: "news-feed"))), SIGKILL)
      set(gateway, String(number))
      #expect(await client.receive(until: "data: \(number)\n\n").contains("id: \(number)\n"))
    }
    #expect(await gateway.logged("[WARN] A feed is interrupted"))
    client.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  /// The event arrives while the second client's handler runs. The handler's reply does not contain it.
  @Test func anEventDuringTheReplyIsSentExactlyOnce() async throws {
    let gateway = try await start()
    let first = listen(gateway)
    _ = await first.receive(until: "retry: 1000")
    set(gateway, "slow")
    let second = listen(gateway)
    try await Task.sleep(for: .milliseconds(300))
    set(gateway, "1")
    #expect(await second.receive(until: "data: 1\n\n").split(separator: "data: 1").count == 2)
    first.end()
    second.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  /// The handler's reply to the late client contains event 1. Before it replies, another client subscribes at event 2,
  /// so the handler is asked again for the late client.
  @Test func theFirstReplyIsKeptIfTheSecondEndsTheStream() async throws {
    let gateway = try await start()
    set(gateway, "1")
    let late = listen(gateway, "X-Key: late\r\n")
    try await Task.sleep(for: .milliseconds(500))
    set(gateway, "2")
    let other = listen(gateway)
    _ = await other.receive(until: "data: 2\n\n")
    set(gateway, "go")
    let answer = Answer(await late.receive(until: "data: 2\n\n"))
    #expect(answer.status == 200 && answer["content-length"] == String(answer.body.utf8.count))
    for number in 1...2 { #expect(answer.body.split(separator: "data: \(number)\n").count == 2) }
    other.end()
    late.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aSubscriberThatStopsReadingIsDroppedAndTheOthersStay() async throws {
    let gateway = try await start()
    let (reader, stalled) = (listen(gateway), listen(gateway))
    _ = await reader.receive(until: "retry: 1000")
    _ = await stalled.receive(until: "retry: 1000")
    set(gateway, "large")
    for number in 1...40 {
      set(gateway, String(number))
      #expect(await reader.receive(until: "x\n\n").contains("data: \(number)x"))
    }
    // It gets what the kernel has buffered, which is not everything, and then the end of the stream.
    let rest = await stalled.receive()
    #expect(!rest.contains("data: 40x"))
    reader.end()
    stalled.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func stoppingEndsStreamsAtOnce() async throws {
    let gateway = try await start()
    let client = listen(gateway)
    _ = await client.receive(until: "retry: 1000")
    let begin = ContinuousClock.now
    async let rest = client.receive()
    #expect(try await gateway.stop() == .exited(0))
    #expect(await rest.hasSuffix("0\r\n\r\n"))
    #expect(ContinuousClock.now - begin < .seconds(5))
    client.end()
  }

  @Test func refusesAFeedOfAnotherClass() async throws {
    let folder = temporaryFolder()
    defer { #expect(throws: Never.self) { try remove(folder) } }
    mkdir(folder + "/handlers", 0o700)
    for script in Script.live() { script.write(to: folder + "/handlers") }
    writeFile(folder + "/trust.json", #"{"news-feed": "admin"}"#, mode: 0o600)
    let settings = ["LEADPIPE_HANDLERS": folder + "/handlers", "LEADPIPE_TRUST": folder + "/trust.json"]
    let (end, text) = try await refusedStart(settings)
    #expect(end == .exited(78) && text.contains("describes the feed news-feed, which is not a step of class none"))
    #expect(unlink(folder + "/handlers/news-feed") == 0)
    #expect(try await refusedStart(settings).0 == .exited(78))
  }
}
