"""Analytics of a time range compared with a second implementation in Python, in time zones with and without summer
time."""

import random
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from test_admin_lists import AGENTS, STATUSES, Stream, insert

# Clocks in Berlin went back on 2025-10-26 and forward on 2026-03-29.
SPANS = [
    ("Asia/Dubai", "2026-01-05", "2026-01-20"), ("Europe/Berlin", "2025-10-20", "2025-11-02"), ("Europe/Berlin", "2026-03-25", "2026-04-01"),
    ("Asia/Kathmandu", "2026-01-01", "2026-01-03"), ("America/St_Johns", "2025-10-26", "2025-10-26"), ("Asia/Dubai", "2020-01-01", "2020-01-03"),
    ("UTC", "2025-10-26T00:30:00.000Z", "2025-10-26T22:15:00.000Z"),
]


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    database.run("".join(f"insert into agents (id, name) values ('{id}', 'Agent {id[-2:]}');" for id in AGENTS))
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def rows(base):
    dice, rows = random.Random(8), []
    for start in (datetime(2025, 10, 19, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 24, tzinfo=UTC)):
        for _ in range(250):
            created = start + timedelta(seconds=dice.randrange(15 * 86_400))
            # Times just before an hour belong to the hour that ends.
            created = dice.choice([created, created.replace(minute=59, second=59, microsecond=700_000)])
            rows.append({
                "id": str(uuid.UUID(int=dice.getrandbits(128), version=4)), "created_at": created, "status": dice.choice(STATUSES),
                "lead_quality": dice.choice(["hot", "warm", "cold"]), "source": dice.choice([None, "chatbot", "contact_form"]),
                "assigned_agent_id": dice.choice([None, *AGENTS]), "duration_minutes": dice.choice([None, 1, 4, 30]),
                "first_response_at": dice.choice([None, created + timedelta(seconds=dice.randrange(30, 9000))]),
                "sla_response_deadline": dice.choice([None, created + timedelta(minutes=60)]), "sla_breached": dice.random() < 0.3,
            })
    insert(base, rows)
    return rows


@pytest.fixture(scope="module")
def report(cluster, base):
    stream = Stream("analytics-report", cluster.url(base.name, "leadpipe_admin"))
    yield stream
    stream.close()


def bounds(zone, start, end):
    if len(start) > 10:
        return datetime.fromisoformat(start.replace("Z", "+00:00")), datetime.fromisoformat(end.replace("Z", "+00:00"))
    return tuple(datetime.combine(date.fromisoformat(text) + timedelta(days=after), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
                 for text, after in ((start, 0), (end, 1)))


def percent(part, whole):
    return round(100 * part / whole, 2) if whole else 0


def seconds(rows):
    return sorted((row["first_response_at"] - row["created_at"]).total_seconds() for row in rows if row["first_response_at"])


def mean(values):
    return round(sum(values) / len(values), 2) if values else None


def close(got, want):
    return got == want or None not in (got, want) and abs(got - want) <= 0.011


def is_breached(row):
    if row["first_response_at"]:
        return bool(row["sla_response_deadline"]) and row["first_response_at"] > row["sla_response_deadline"]
    return row["sla_breached"] if row["status"] in ("completed", "lost", "converted") else bool(row["sla_response_deadline"])


@pytest.mark.parametrize("zone, start, end", SPANS)
def test_counts_everything_in_the_agencys_time_zone(report, rows, zone, start, end):
    answer = report.good(**{"from": start, "to": end, "timeZone": zone})
    since, until = bounds(zone, start, end)
    found = [row for row in rows if since <= row["created_at"] < until]
    local = [row["created_at"].astimezone(ZoneInfo(zone)) for row in found]
    quality, converted = Counter(row["lead_quality"] for row in found), [row for row in found if row["status"] == "converted"]
    assert [answer[name] for name in ("totalConversations", "hotLeads", "warmLeads", "coldLeads")] == [len(found),
                                                                                                       *(quality[q] for q in ("hot", "warm", "cold"))]
    assert answer["leadQualityDistribution"] == [{"quality": q, "value": quality[q]} for q in ("hot", "warm", "cold")]
    assert close(answer["conversionRate"], percent(len(converted), len(found)))
    assert close(answer["averageDuration"], mean([row["duration_minutes"] for row in found if row["duration_minutes"]]) or 0)
    assert close(answer["averageResponseTime"], mean([second / 60 for second in seconds(found)]) or 0)
    sources = Counter(row["source"] or "unknown" for row in found)
    assert {item["source"]: item["value"] for item in answer["leadSourceBreakdown"]} == sources
    assert [item["value"] for item in answer["leadSourceBreakdown"]] == sorted(sources.values(), reverse=True)
    days, first, last = Counter(str(moment.date()) for moment in local), since.astimezone(ZoneInfo(zone)).date(), (
        until - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date()
    every = [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]
    assert answer["conversationVolumeTrend"] == [{"date": day, "count": days[day]} for day in every]
    hours = Counter(moment.hour for moment in local)
    assert answer["peakHours"] == [{"hour": hour, "conversations": hours[hour]} for hour in range(24)]
    warm = [row for row in found if row["lead_quality"] != "cold" or row["status"] == "converted"]
    answered = [row for row in warm if row["first_response_at"] or row["status"] == "converted"]
    assert answer["conversionFunnel"] == [{"stage": stage, "value": len(each)} for stage, each in (
        ("New", found), ("Qualified", warm), ("Contacted", answered), ("Won", converted))]
    met = [row for row in found if row["first_response_at"] and not is_breached(row)]
    breached, times = [row for row in found if is_breached(row)], seconds(found)
    assert answer["sla"] == {"met": len(met), "breached": len(breached), "medianResponseSeconds": int(times[(len(times) - 1) // 2]) if times else None}
    agents = {item["agentId"]: item for item in answer["agentPerformance"]}
    assert set(agents) == {row["assigned_agent_id"] for row in found} - {None}
    for id, item in agents.items():
        own = [row for row in found if row["assigned_agent_id"] == id]
        assert item["agentName"] == f"Agent {id[-2:]}" and item["conversations"] == len(own)
        assert close(item["conversionRate"], percent(sum(row["status"] == "converted" for row in own), len(own)))
        assert close(item["averageResponseTime"], mean([second / 60 for second in seconds(own)]))


def test_range_defaults_to_the_last_seven_days(report, rows):
    answer = report.good()
    assert len(answer["conversationVolumeTrend"]) == 7 and answer["timeZone"] == "Asia/Dubai"
    assert len(report.good(**{"from": "2026-01-01", "to": "2026-01-01"})["conversationVolumeTrend"]) == 1


@pytest.mark.parametrize("question, path", [
    ({"timeZone": "Mars/Olympus"}, "timeZone"), ({"timeZone": "../../etc/passwd"}, "timeZone"), ({"timeZone": "'; select 1"}, "timeZone"),
    ({"from": "2026-02-02", "to": "2026-02-01"}, "to"), ({"from": "1990-01-01"}, "from"), ({"from": "2026-02-30"}, "from"), ({"to": "now"}, "to"),
    ({"from": "2026-01-01T10:00:00"}, "from"),
])
def test_rejects_an_invalid_range_by_name(report, question, path):
    problem = report(**question)["problem"]
    assert problem["status"] == 400 and [detail["path"] for detail in problem["details"]] == [path]
