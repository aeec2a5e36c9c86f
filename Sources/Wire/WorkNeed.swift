/// What work that fills a wait needs to go on: nothing, because all of it is done; time alone; or more input.
package enum WorkNeed: Sendable { case nothing, time, input }
