import Contract
import Host
import Wire
import Worker

/// The worker's function: `leadpipe worker` with its steps. EventBridge begins a shift each minute. A shift is longer
/// than a minute, so that the next one has begun when it ends.
struct LambdaWorker {
  /// Seconds. EventBridge's shortest period is a minute, and it may be some seconds late.
  private static let shift = 68

  /// The settings of the worker and of its steps.
  let settings: [String]

  init(_ handlers: [HostedHandler]) {
    let steps = handlers.filter { WorkerLoop.steps.union([WorkerLoop.listening]).contains($0.description.name) }
    // The worker derives LEADPIPE_CHANNELS from the channels' settings.
    settings =
      Set(steps.flatMap(\.description.environment).map(\.name)).subtracting(["LEADPIPE_CHANNELS"]).union([
        "EMAIL_TO", "WAKE", "WORKER_BATCH_SIZE", "WORKER_POLL_SECONDS",
      ]).sorted()
  }

  var function: JSON {
    // The class's login is the only one that this function has.
    let own = LambdaSettings.environment(settings.filter { $0 != "LEADPIPE_ROLE" }, of: .worker)
    return [
      "Type": "AWS::Serverless::Function",
      "Properties": [
        "Handler": "worker", "FunctionName": ["Fn::Sub": "${AWS::StackName}-worker"],
        "Description": "Delivers the notifications of new events",
        "CodeUri": "../../.build/lambda/worker.zip",
        "MemorySize": 256, "Timeout": JSON(Self.shift + LambdaShift.closingSeconds),
        "Role": ["Fn::GetAtt": [.string(LambdaNames.role(of: .worker)), "Arn"]],
        "LoggingConfig": ["LogGroup": ["Ref": .string(LambdaNames.logs(of: .worker))]],
        "Environment": ["Variables": own],
        // A shift that failed is not repeated: the next one begins within a minute.
        "EventInvokeConfig": ["MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60],
        "Events": ["EachMinute": ["Type": "Schedule", "Properties": ["Schedule": "rate(1 minute)"]]],
      ],
    ]
  }
}
