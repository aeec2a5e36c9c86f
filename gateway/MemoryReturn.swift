import Host
import ServiceLifecycle

/// Returns freed memory to the system after a peak, for example of many connections. Otherwise the allocator keeps it.
struct MemoryReturn: Service {
  private static let pauses: ClosedRange<Duration> = .seconds(5) ... .seconds(60)
  /// How many bytes the memory must be above its lowest so far.
  private static let growth = 8_388_608

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var lowest = ProcessMemory.resident
      var pause = Self.pauses.lowerBound
      while true {
        do { try await Task.sleep(for: pause) } catch { return }
        let before = ProcessMemory.resident
        if before > lowest + Self.growth {
          ProcessMemory.giveBack()
          // What is in use cannot be returned, so the next attempt can wait.
          let isUseful = before - ProcessMemory.resident > Self.growth
          pause = isUseful ? Self.pauses.lowerBound : min(pause * 2, Self.pauses.upperBound)
        } else {
          pause = Self.pauses.lowerBound
        }
        lowest = min(lowest, ProcessMemory.resident)
      }
    }
  }
}
