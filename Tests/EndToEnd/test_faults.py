"""The faults in docs/reference/providers.md, over 200 leads. `make soak` has all of them over 10,000."""

import faults


def test_faults_of_every_kind_over_200_leads(database, tmp_path):
    _, ledger = faults.check(database, tmp_path, count=200, seed=1, horizon=1, seconds=40, every=3, hangs=False)
    # The checks work: they find an unmarked message that is sent again after it was acknowledged.
    delivery = next(d for d in ledger.of("slack") if len(d.attempts) == 1)
    delivery.taken.append(delivery.taken[0]._replace(at=delivery.taken[0].at + 5))
    delivery.match(killed=False)
    assert ledger.repeats() == ledger.unmarked_repeats() == [delivery]
    assert [d for _, d in ledger.wrong_outcomes()] == [delivery]
