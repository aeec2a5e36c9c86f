// The worker's steps that use the database in one executable, which has a link with the name of each.
import Contract
import data_prune
import delivery_begin
import delivery_record
import event_claim
import follow_up_sweep
import receipt_sweep
import sla_sweep
import wake_listen

@main
enum Executable {
  static func main() {
    serve([
      "data-prune": { data_prune.handler },
      "delivery-begin": { delivery_begin.handler },
      "delivery-record": { delivery_record.handler },
      "event-claim": { event_claim.handler },
      "follow-up-sweep": { follow_up_sweep.handler },
      "receipt-sweep": { receipt_sweep.handler },
      "sla-sweep": { sla_sweep.handler },
      "wake-listen": { wake_listen.handler },
    ])
  }
}
