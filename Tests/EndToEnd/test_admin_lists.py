"""The conversation list, the search and the SLA list, each compared with a second implementation in Python over random
rows. Cursors while rows are added and deleted, and hostile text."""

import json
import random
import subprocess
import unicodedata
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from admin import KEY, AdminClient
from common import HANDLERS, clean_environment, until
from instance import Instance

DUBAI = ZoneInfo("Asia/Dubai")
NOW = datetime.now(UTC).replace(microsecond=0)
STATUSES, OPEN = ["new", "in-progress", "completed", "lost", "converted"], {"new", "in-progress"}
BUDGETS = {None: None, "AED 1.5M - 2M": 2e6, "80,000 / year": 8e4, "٢ مليون": 2e6, "3br": None, "on request": None, "500k": 5e5, "2.5 million": 2.5e6}
AGENTS = [str(uuid.UUID(int=n)) for n in (0xA1, 0xA2)]
HOSTILE = [
    "'", "''; drop table conversations; --", '"', "%", "_", "\\", "\\'", "a & b | !c <-> d", "x:*", "x:A", "(((", "!!", "$1", "$$", "{}", "{a,b}", "NULL",
    "nul\\0",
    "' or '1'='1", "%27", "\u02bc or 1=1", "')) union select", "<script>", "\u202egnp.exe", "🙂", "ﷺ", "a" * 200, "' " * 99, "@", "@@", "a@", "@b.c", "1" * 60,
    "+", "++971", "0" * 40, "é" * 200, "\u0301\u0301", "ا\u064b" * 50, "e=x", "r=1", "s=new", "''''", "\\\\\\", ":*", "|", "&",
]


class Stream:
    """A handler as a stream that is sent bare documents."""

    def __init__(self, name, url):
        environment = clean_environment(DATABASE_URL=url, ADMIN_API_KEY="the-admin-key-of-the-tests")
        self.process = subprocess.Popen(
            [str(HANDLERS / name), "--stream"], env=environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer

    def good(self, **question):
        answer = self(**question)
        assert "problem" not in answer, (question, answer)
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def quoted(value):
    if value is None:
        return "null"
    if isinstance(value, list):
        return "array[" + ",".join(map(quoted, value)) + "]::text[]"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, (int, float)):
        return str(value)
    text = value.replace("'", "''").replace("\\", "\\\\")
    return f"E'{text}'"


def row(dice, number):
    """A random conversation. Many rows share a time, a score or an amount."""
    created = NOW - timedelta(minutes=dice.randrange(0, 60 * 24 * 8, 30))
    score = dice.choice([0, 10, 49, 50, 79, 80, 99])
    status = dice.choice(STATUSES)
    deadline = dice.choice([None, created + timedelta(minutes=dice.choice([15, 60, 1440])), NOW + timedelta(minutes=dice.choice([4, 40, 600]))])
    answered = dice.choice([None, None, created + timedelta(minutes=dice.randrange(1, 100))])
    return {
        "id": str(uuid.UUID(int=dice.getrandbits(128), version=4)), "customer_name": f"Person {number}", "created_at": created,
        "lead_score": score, "lead_quality": dice.choice(["hot", "warm", "cold"]), "status": status,
        "intent": dice.choice([None, "buy", "rent", "sell", "invest", "browse"]), "preferred_area": dice.choice([None, "Dubai Marina", "JVC", "Al Furjan"]),
        "assigned_agent_id": dice.choice([None, *AGENTS]), "tags": dice.sample(["family", "vip", "مستثمر", "golden visa"], dice.randrange(3)),
        "source": dice.choice(["chatbot", "contact_form", "website"]), "budget": (budget := dice.choice(list(BUDGETS))), "budget_amount": BUDGETS[budget],
        "follow_up_date": dice.choice([None, None, NOW + timedelta(hours=dice.randrange(-60, 60))]), "first_response_at": answered,
        "sla_response_deadline": deadline, "sla_breached": dice.random() < 0.2,
    }


def insert(base, rows):
    base.run("".join(f"insert into conversations ({', '.join(row)}) values ({', '.join(map(quoted, row.values()))});\n" for row in rows))


@pytest.fixture(scope="module")
def base(cluster):
    # The time of the tests' start, not of their collection, because deadlines pass.
    global NOW
    NOW = datetime.now(UTC).replace(microsecond=0)
    database = cluster.migrated()
    database.run("".join(f"insert into agents (id, name) values ('{id}', 'Agent {id[-2:]}');" for id in AGENTS))
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def rows(base):
    dice = random.Random(6)
    rows = [row(dice, number) for number in range(400)]
    insert(base, rows)
    return rows


@pytest.fixture(scope="module")
def streams(cluster, base):
    streams = {name: Stream(name, cluster.url(base.name, "leadpipe_admin")) for name in ("conversation-list", "conversation-search", "sla-list")}
    yield streams
    for stream in streams.values():
        stream.close()


@pytest.fixture(scope="module")
def list_page(streams):
    return streams["conversation-list"].good


# The second implementation.

def sla_state(row, now):
    deadline, answered = row["sla_response_deadline"], row["first_response_at"]
    if answered:
        return "breached" if deadline and answered > deadline else "met"
    if row["status"] not in OPEN:
        return "breached" if row["sla_breached"] else "ok"
    if deadline and deadline <= now:
        return "breached"
    third = timedelta(minutes={"hot": 5, "warm": 20, "cold": 480}[row["lead_quality"]])
    return "warning" if deadline and deadline <= now + third else "ok"


def follow_ups(row, now):
    date = row["follow_up_date"]
    if not date:
        return set()
    today = now.astimezone(DUBAI).date()
    return {"overdue" if date < now else "scheduled"} | ({"due-today"} if date.astimezone(DUBAI).date() == today else set())


def day(text, after):
    if len(text) > 10:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text).replace(tzinfo=DUBAI) + timedelta(days=after)


FILTERS = {
    "status": lambda row, value: row["status"] in value, "leadQuality": lambda row, value: row["lead_quality"] in value,
    "intent": lambda row, value: row["intent"] in value, "areas": lambda row, value: row["preferred_area"] in value,
    "assignedAgentIds": lambda row, value: (row["assigned_agent_id"] or "none") in value, "tags": lambda row, value: set(value) <= set(row["tags"]),
    "source": lambda row, value: row["source"] in value, "scoreRange": lambda row, value: value[0] <= row["lead_score"] <= value[1],
    # By the time of the query, because deadlines, and midnight in Dubai, pass while these tests run.
    "slaState": lambda row, value: sla_state(row, datetime.now(UTC)) in value,
    "followUpStatus": lambda row, value: follow_ups(row, datetime.now(UTC)) & set(value),
    "dateFrom": lambda row, value: row["created_at"] >= day(value, 0),
    "dateTo": lambda row, value: row["created_at"] < day(value, 1),
}


def at(row):
    return row["created_at"].timestamp(), row["id"]


def down(*keys):
    return tuple(-key if isinstance(key, (int, float)) else tuple(-ord(sign) for sign in key) for key in keys)


def order(sort):
    def when(field, row):
        return row[field].timestamp() if row[field] else None

    def amount(row):
        return BUDGETS[row["budget"]]

    def waits(row):
        return row["status"] in OPEN and not row["first_response_at"] and row["sla_response_deadline"]

    return {
        "recent": lambda row: down(*at(row)), "oldest": at,
        "hot": lambda row: down(row["lead_score"], *at(row)), "cold": lambda row: (row["lead_score"], *at(row)),
        "warm": lambda row: (row["lead_score"] >= 80, *down(row["lead_score"], *at(row))),
        "highest-budget": lambda row: (amount(row) is None, *down(amount(row) or 0, *at(row))),
        "lowest-budget": lambda row: (amount(row) is None, *((amount(row), *at(row)) if amount(row) else down(*at(row)))),
        "follow-up": lambda row: (0, when("follow_up_date", row), *at(row)) if row["follow_up_date"] else (1, *down(*at(row))),
        "sla": lambda row: (0, when("sla_response_deadline", row), *at(row)) if waits(row) else (1, *down(*at(row))),
    }[sort]


def expected(rows, question):
    found = [row for row in rows if all(FILTERS[name](row, value) for name, value in question.items() if name in FILTERS)]
    return [row["id"] for row in sorted(found, key=order(question.get("sort", "recent")))]


def ids(answer):
    return [item["id"] for item in answer["data"]]


SORTS = ["recent", "oldest", "hot", "warm", "cold", "highest-budget", "lowest-budget", "follow-up", "sla"]
VALUES = {
    "status": STATUSES, "leadQuality": ["hot", "warm", "cold"], "intent": ["buy", "rent", "sell", "invest", "browse"],
    "areas": ["Dubai Marina", "JVC", "Al Furjan", "Nowhere"], "assignedAgentIds": [*AGENTS, "none"], "source": ["chatbot", "contact_form", "website"],
    "followUpStatus": ["due-today", "overdue", "scheduled"], "slaState": ["ok", "warning", "breached", "met"],
}


def one_filter(dice, name):
    if name in VALUES:
        return dice.sample(VALUES[name], dice.randint(1, 2))
    if name == "tags":
        return dice.sample(["family", "vip", "مستثمر", "golden visa"], dice.randint(1, 2))
    if name == "scoreRange":
        return sorted([dice.randint(0, 100), dice.randint(0, 100)])
    moment = NOW - timedelta(hours=dice.randrange(24 * 8))
    return dice.choice([str(moment.astimezone(DUBAI).date()), moment.isoformat().replace("+00:00", "Z")])


@pytest.mark.parametrize("sort", SORTS)
def test_every_sort_order(list_page, rows, sort):
    answer = list_page(sort=sort, limit=100)
    assert ids(answer) == expected(rows, {"sort": sort})[:100] and answer["total"] == len(rows) and not answer["totalIsEstimate"]


@pytest.mark.parametrize("name", list(FILTERS))
def test_every_filter_in_every_order(list_page, rows, name):
    dice = random.Random(name)
    for sort in SORTS:
        question = {name: one_filter(dice, name), "sort": sort}
        want = expected(rows, question)
        if name == "dateTo" and len(question[name]) > 10:
            want = expected([row for row in rows if row["created_at"] < day(question[name], 0)], {"sort": sort})
        answer = list_page(**question, limit=100)
        assert (ids(answer), answer["total"]) == (want[:100], len(want)), question


def test_combined_filters(list_page, rows):
    dice = random.Random(7)
    for _ in range(60):
        names = dice.sample([name for name in FILTERS if name != "dateTo"], dice.randint(2, 4))
        question = {name: one_filter(dice, name) for name in names} | {"sort": dice.choice(SORTS)}
        want = expected(rows, question)
        answer = list_page(**question, limit=100)
        assert (ids(answer), answer["total"]) == (want[:100], len(want)), question


@pytest.mark.parametrize("sort", SORTS)
def test_pages_and_cursors_cover_the_whole_list(list_page, rows, sort):
    want = expected(rows, {"sort": sort})
    by_page, by_cursor, cursor = [], [], {}
    for page in range(1, 15):
        answer = list_page(sort=sort, limit=30, page=page)
        assert answer["page"] == page and answer["limit"] == 30
        by_page += ids(answer)
    while True:
        answer = list_page(sort=sort, limit=17, **cursor)
        by_cursor += ids(answer)
        if not answer["nextCursor"]:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert by_page == want and by_cursor == want


@pytest.mark.parametrize("sort", SORTS)
def test_cursors_stay_correct_while_rows_are_added_and_deleted(base, list_page, rows, sort):
    dice = random.Random(sort)
    fresh = [row(dice, 1000 + number) for number in range(40)]
    stay, gone = fresh[:20], fresh[20:]
    insert(base, fresh)
    seen, cursor = [], {}
    while True:
        answer = list_page(sort=sort, limit=20, **cursor)
        seen += ids(answer)
        newcomers = [row(dice, 2000 + number) for number in range(3)]
        insert(base, newcomers)
        stay += newcomers
        left = [each for each in gone if each["id"] not in seen][:2]
        for each in left:
            gone.remove(each)
            base.run(f"delete from conversations where id = '{each['id']}'")
        if not answer["nextCursor"]:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert len(seen) == len(set(seen))
    lasting = {each["id"] for each in rows + fresh[:20]}
    assert lasting <= set(seen)
    base.run("".join(f"delete from conversations where id = '{each['id']}';" for each in stay + gone))


def test_rejects_a_cursor_of_another_order_and_an_invalid_one(streams, rows):
    list_page = streams["conversation-list"]
    cursor = list_page(limit=1)["nextCursor"]
    for question in ({"cursor": cursor, "sort": "hot"}, {"cursor": cursor[:-3]}, {"cursor": "W10"}, {"cursor": "a" * 400}, {"cursor": "e30"},
                     {"cursor": "WyJyZWNlbnQiLDEsbnVsbCwieCIsInkiXQ"}, {"cursor": "é"}, {"cursor": "a" * 401}):
        problem = list_page(**question)["problem"]
        assert problem["status"] == 400 and [detail["path"] for detail in problem["details"]] == ["cursor"], question
    problem = streams["sla-list"](cursor=cursor)["problem"]
    assert problem["status"] == 400 and problem["details"][0]["path"] == "cursor"


def test_changes_are_found_immediately(base, list_page, rows):
    id = rows[0]["id"]
    base.run(f"update conversations set tags = '{{zebra crossing}}', notes = 'calls on Mondays', preferred_area = 'Hatta' where id = '{id}'")
    try:
        for question in ({"tags": ["zebra crossing"]}, {"query": "mondays"}, {"areas": ["Hatta"]}, {"query": "zebra", "areas": ["Hatta"]}):
            assert ids(list_page(**question)) == [id], question
    finally:
        base.run(f"""update conversations set tags = {quoted(rows[0]['tags'])}, notes = null, preferred_area = {quoted(rows[0]['preferred_area'])}
                     where id = '{id}'""")
    assert ids(list_page(query="mondays")) == [] and ids(list_page(areas=["Hatta"])) == []


# Search.

PEOPLE = {
    "sara": ("Sára Al-Mansoori", "+971501234567", "sara.m@example.com", [], None, "I look for a villa near the café"),
    "ahmad": ("أَحْمَد الهاشمي", "+971559876543", "ahmad@mail.test", ["مستأجر"], "يفضل الاتصال مساءً", "أبحث عن شقّة في دبي مارينا"),
    "fatima": ("فاطمة خوري", "+442079460958", None, ["Blue Card"], "O'Brien's friend; write to fatima.k@other.test", "مرحبا"),
    "odysseas": ("Οδυσσέας Weiß", "+4916012345678", None, [], None, "Καλημέρα, Œuvre ﬁn"),
    "moaz": ("Møaz Straße", None, "MOAZ@Example.COM", ["Cash-Buyer"], None, "My old number was 04 555 1234, 3 bedrooms"),
}
SEARCHES = {
    "sara": "sara", "SARA mansoori": "sara", "mansoori sára": "sara", "al-mans": "sara", "cafe": "sara", "café villa": "sara", "sara.m@example.com": "sara",
    "sara.m": "sara", "SARA.M@EXAMPLE.COM": "sara", "0501234567": "sara", "050 123 4567": "sara", "+971 50 123 4567": "sara", "00971501234567": "sara",
    "+971 (0)50 123 4567": "sara", "٠٥٠١٢٣٤٥٦٧": "sara", "٠٥٠ ١٢٣ ٤٥٦٧": "sara", "۰۵۰۱۲۳۴۵۶۷": "sara", "1234567": "sara", "4567": "sara", "501234567": "sara",
    "sara 4567": "sara", "05012345": "sara", "+97150123": "sara", "\u202a+971501234567\u202c": "sara", "０５０１２３４５６７": "sara",
    "احمد": "ahmad", "أحمد": "ahmad", "آحمد": "ahmad", "احـمـد": "ahmad", "أَحْمَد": "ahmad", "الهاشمى": "ahmad", "الهاش": "ahmad", "مستاجر": "ahmad",
    "شقه": "ahmad",
    "دبي مارينا": "ahmad", "مساء": "ahmad", "احمد mail.test": "ahmad", "فاطمه": "fatima", "فاطمة": "fatima", "card": "fatima", "blue fatima.k": "fatima",
    "020 7946 0958": "fatima", "+44 20 7946 0958": "fatima", "o'brien": "fatima", "fatima.k@other.test": "fatima", "moaz": "moaz",
    "strasse": "moaz", "STRASSE": "moaz", "straße": "moaz",
    "cash-buyer": "moaz", "moaz@example.com": "moaz", "04 555 1234": "moaz", "bedrooms 3": "moaz", "example.com": "sara moaz", "sara khoury": None,
    "ΟΔΥΣΣΕΑΣ": "odysseas", "ΟΔΥΣΣΕΑΣ WEISS": "odysseas", "οδυσσεας weiß": "odysseas", "WEIẞ": "odysseas", "ΚΑΛΗΜΈΡΑ": "odysseas",
    "OEUVRE": "odysseas", "œuvre FIN": "odysseas",
    "+44 (0)20 7946 0958": "fatima", "tel:+44-20-7946-0958": "fatima", "TEL:+442079460958": "fatima", "0044 (0) 20 7946 0958": "fatima",
    "fatima.k tel:+442079460958": "fatima", "+49 (0)160 12345678": "odysseas", "tel:0501234567 sara": "sara", "tel:+971501234567, villa": "sara",
    "villa 050 123 4567 ext 12": "sara", "+971501234567;ext=3 sara": "sara", "sara 0501234567x12": "sara",
    "ara": None, "mail@nowhere": None, "villa -sara": "sara", "or": None,
}
REASONS = {
    "sara": ["name", "email"], "050 123 4567": ["phone"], "cafe": ["message"], "card": ["tags"], "o'brien": ["notes"], "fatima.k@other.test": ["notes"],
    "moaz@example.com": ["email"], "احمد شقه": ["name", "message"],
}


@pytest.fixture(scope="module")
def people(base):
    found = {}
    for number, (who, (name, phone, email, tags, notes, said)) in enumerate(PEOPLE.items()):
        found[who] = str(uuid.UUID(int=0xF00 + number))
        base.run(f"""insert into conversations (id, customer_name, customer_phone, customer_email, tags, notes, created_at)
          values ('{found[who]}', {quoted(name)}, {quoted(phone)}, {quoted(email)}, {quoted(tags)}, {quoted(notes)}, now() - interval '{number} minutes');
          insert into chat_messages (conversation_id, sender, message_text) values ('{found[who]}', 'customer', {quoted(said)})""")
    yield found
    base.run("".join(f"delete from conversations where id = '{id}';" for id in found.values()))


@pytest.mark.parametrize("query", list(SEARCHES))
def test_search_finds_people_as_typed(streams, people, query):
    answer = streams["conversation-search"].good(query=query)
    who = {id: name for name, id in people.items()}
    assert [who.get(id) for id in ids(answer)] == (SEARCHES[query] or "").split(), query
    assert ids(streams["conversation-list"].good(query=query)) == ids(answer) and answer["query"] == unicodedata.normalize("NFC", answer["query"])


@pytest.mark.parametrize("query", list(REASONS))
def test_search_reports_the_matching_fields(streams, people, query):
    assert streams["conversation-search"].good(query=query)["data"][0]["matchedIn"] == REASONS[query]


def test_search_accepts_the_filters_of_the_list(streams, rows):
    search = streams["conversation-search"]
    question = {"status": ["new", "lost"], "scoreRange": [10, 90]}
    want = expected(rows, question)
    for filters in (question, {**question, "scoreRange": "10:90"}, json.dumps(question)):
        answer = search.good(query="person", filters=filters, limit=100)
        assert ids(answer) == want[:100] and answer["total"] == len(want)
    bounds = {"from": str((NOW - timedelta(days=3)).astimezone(DUBAI).date())}
    assert search.good(query="person", filters={"dateRange": bounds})["total"] == len(expected(rows, {"dateFrom": bounds["from"]}))
    for filters, path in (("{broken", "filters"), ("[]", "filters"), ({"status": ["none"]}, "filters.status"), ({"scoreRange": [9, 1]}, "filters.scoreRange")):
        problem = search(query="person", filters=filters)["problem"]
        assert problem["status"] == 400 and problem["details"][0]["path"] == path, filters


@pytest.fixture(scope="module")
def many(cluster):
    """A database with statistics for the planner: 20,000 conversations, one for each minute. Of the words with a common
    prefix some are everywhere, some only among the newest or the oldest rows. One word occurs only with a small budget
    or none."""
    database = cluster.migrated()
    database.run("""
      insert into conversations (customer_name, created_at, lead_score, lead_quality, budget_amount, status, tags, follow_up_date, first_response_at,
        sla_response_deadline)
      select case when n <= 1500 then 'Goldie' when n > 19900 then 'Gordon' when n % 24 = 1 then 'Golfina' when n % 2 = 0 then 'Omar' else 'Sara' end
          || case when n % 4 = 1 or n % 40 = 0 then ' Zed' else '' end,
        now() - n * interval '1 minute', n % 100, case when n % 2 = 0 then 'hot' else 'cold' end,
        case n % 4 when 0 then case when n % 40 = 0 then 1e6 else 9e6 end when 2 then 8e6 end,
        case when n % 7 = 0 then 'lost' else 'new' end, case when n % 10 = 0 then array['vip'] else '{}' end,
        case when n % 11 = 0 then now() - interval '40 days' + n * interval '1 minute' end,
        case when n % 2 = 0 then now() - n * interval '1 minute' end,
        now() - n * interval '1 minute' + case n % 3 when 0 then interval '-1 hour' else interval '1 year' end
      from generate_series(1, 20000) n;
      select leadpipe.index_conversations(30000, 60000);
      analyze;
    """)
    stream = Stream("conversation-list", cluster.url(database.name, "leadpipe_admin"))
    yield database, stream.good
    stream.close()
    cluster.drop(database)


NONE_LAST = ("{0} is null, case when {0} is null then -1 else 1 end * {1} * coalesce({0}, 0), "
             "case when {0} is null then -1 else {1} end * extract(epoch from created_at)")


@pytest.mark.parametrize("sort, order", [
    ("recent", "created_at desc"), ("oldest", "created_at"), ("hot", "lead_score desc, created_at desc"),
    ("warm", "lead_score >= 80, lead_score desc, created_at desc"), ("lowest-budget", NONE_LAST.format("budget_amount", 1)),
    ("highest-budget", NONE_LAST.format("budget_amount", -1)), ("follow-up", NONE_LAST.format("extract(epoch from follow_up_date)", 1))])
@pytest.mark.parametrize("question, condition", [
    ({"query": "gol"}, "customer_name like 'Gol%'"), ({"query": "gord"}, "customer_name like 'Gord%'"), ({"query": "zed"}, "customer_name like '% Zed'"),
    ({"query": "gol", "status": ["lost"]}, "customer_name like 'Gol%' and status = 'lost'"),
    ({"query": "goldie zed", "tags": ["vip"]}, "customer_name = 'Goldie Zed' and 'vip' = any (tags)"),
    ({"tags": ["vip"], "status": ["lost"]}, "'vip' = any (tags) and status = 'lost'"), ({"query": "omar sara"}, "false"),
    ({"query": "gol", "dateFrom": "4 days"}, "customer_name like 'Gol%' and created_at >= now() - interval '4 days'"),
    ({"query": "zed", "slaState": ["breached"]}, "customer_name like '% Zed' and n_breached"),
    ({"slaState": ["breached"], "tags": ["vip"]}, "n_breached and 'vip' = any (tags)"),
    ({"query": "gordon", "followUpStatus": ["overdue"]}, "customer_name like 'Gord%' and follow_up_date < now()"),
], ids=str)
def test_search_finds_everything_with_every_plan(many, question, condition, sort, order):
    database, list_page = many
    condition = condition.replace(
        "n_breached",
        "(first_response_at > sla_response_deadline or first_response_at is null and status = 'new' and sla_response_deadline < now())")
    if "dateFrom" in question:
        # A time between two rows, however long the test takes.
        since = database.text("select leadpipe.iso8601(created_at + interval '30 seconds') from conversations order by created_at desc limit 1 offset 5760")
        question, condition = {**question, "dateFrom": since}, f"customer_name like 'Gol%' and created_at >= '{since}'"
    expected = database.text(f"select id from conversations where {condition} order by {order}").split()
    found, cursor = [], None
    while True:
        page = list_page(**question, sort=sort, limit=100, **({"cursor": cursor} if cursor else {}))
        found += [one["id"] for one in page["data"]]
        assert (page["total"], page["totalIsEstimate"]) == (len(expected), False)
        cursor = page["nextCursor"]
        if not cursor:
            break
    assert found == expected
    for number in 1, 2, 5:
        assert [one["id"] for one in list_page(**question, sort=sort, page=number)["data"]] == expected[25 * number - 25:25 * number]


def test_hostile_text_is_treated_as_text(base, streams, rows):
    before = base.count("conversations")
    for text in HOSTILE:
        for question in ({"query": text}, {"query": text + " person"}, {"areas": [text]}, {"tags": [text]}, {"source": [text[:100]]},
                         {"areas": [text], "query": text}):
            answer = streams["conversation-list"](**question)
            assert "data" in answer or answer["problem"]["status"] in (400, 413), (question, answer)
            if "query" not in question and "data" in answer:
                assert answer["data"] == [] or not any(sign.isalnum() for sign in text), question
        assert "data" in streams["conversation-search"](query=text[:100], filters={"tags": [text[:50]]}), text
    for field in ("query", "areas", "tags", "source", "cursor", "sort", "dateFrom", "scoreRange", "assignedAgentIds"):
        big = "x" * 900_000
        problem = streams["conversation-list"](**{field: [big] if field in ("areas", "tags", "source", "assignedAgentIds") else big})["problem"]
        assert problem["status"] in (400, 413), field
    assert base.count("conversations") == before


def test_finds_stored_hostile_text(base, streams):
    """Names, tags and areas with hostile text can be used as filters."""
    texts = [text[:90].strip() for text in HOSTILE if "," not in text and text.strip("🙂\u0301") == text and unicodedata.normalize("NFC", text) == text
             and "\u202e" not in text]
    made = {}
    for text in texts:
        made[text] = str(uuid.uuid4())
        base.run(f"""insert into conversations (id, customer_name, customer_email, customer_phone, preferred_area, tags, notes, budget)
          values ('{made[text]}', {quoted(text)}, {quoted(text + "@x.test")}, {quoted(text)}, {quoted("area " + text)}, {quoted(["tag " + text])},
            {quoted(text)}, {quoted(text)});
          insert into chat_messages (conversation_id, sender, message_text) values ('{made[text]}', 'customer', {quoted(text)})""")
    for text, id in made.items():
        assert ids(streams["conversation-list"].good(areas=["area " + text])) == [id], text
        assert ids(streams["conversation-list"].good(tags=["tag " + text])) == [id], text
    base.run("".join(f"delete from conversations where id = '{id}';" for id in made.values()))


def test_sla_list_is_sorted_by_deadline(streams, rows):
    now = datetime.now(UTC)
    waiting = [each for each in rows if each["status"] in OPEN and not each["first_response_at"] and sla_state(each, now) in ("warning", "breached")]
    want = [each["id"] for each in sorted(waiting, key=lambda each: (each["sla_response_deadline"], each["id"]))]
    got, cursor = [], {}
    while True:
        answer = streams["sla-list"].good(limit=13, **cursor)
        assert answer["total"] == len(want) and not answer["totalIsEstimate"]
        got += answer["data"]
        if not answer["nextCursor"]:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert [item["id"] for item in got] == want
    deadlines = {each["id"]: each["sla_response_deadline"] for each in rows}
    now = datetime.now(UTC)
    for item in got:
        left = (deadlines[item["id"]] - now).total_seconds() / 60
        assert left - 1.2 <= item["minutesRemaining"] <= left + 1 and item["slaState"] == ("breached" if left < 0 else "warning")


def test_every_list_is_an_array_on_request(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY) as instance:
        admin = AdminClient(instance)
        lead = instance.capture({"customerName": "Sara Ahmed", "customerPhone": "+971501234567", "messages": [{"id": "1", "messageText": "hello"}]})
        lists = []
        for path, methods in admin.get("/api/openapi.json")["paths"].items():
            names = [each["name"] for each in methods.get("get", {}).get("parameters", [])]
            if "Prefer" not in names:
                continue
            lists.append(path)
            asked = path.replace("{id}", lead) + ("?query=sara" if path.endswith("/search") else "?limit=1" if "limit" in names else "")
            page = admin.get(asked)
            status, headers, rows = admin.request("GET", asked, Prefer="respond-async, list=array")
            assert status == 200 and rows == page["data"] and headers["preference-applied"] == "list=array", asked
            assert headers.get("x-next-cursor") == page.get("nextCursor")
            assert headers.get("x-total-count") == (str(page["total"]) if "total" in page else None)
            assert admin.request("GET", asked, Prefer="return=minimal")[2].keys() == page.keys()
        assert len(lists) == 15, lists
    cluster.drop(database)


def test_admin_lists_handle_the_largest_leads(cluster):
    """Leads of the maximum size, a chat of a thousand long messages, and hundreds of thousands of words."""
    database = cluster.migrated()
    database.run("""
        insert into conversations (customer_name, customer_phone, notes, metadata, lead_score_breakdown)
          select 'Fat ' || n, '+9715' || n, repeat('好', 5000), jsonb_build_object('x', repeat('"', 8000)), jsonb_build_object('y', repeat('é', 7000))
          from generate_series(1, 100) n;
        insert into chat_messages (conversation_id, sender, message_text)
          select (select id from conversations where customer_name = 'Fat 1'), 'customer', repeat('好', 960) from generate_series(1, 1000);
        insert into chat_messages (conversation_id, sender, message_text)
          select (select id from conversations where customer_name = 'Fat 2'), 'customer',
            (select string_agg(left(encode(sha256((n * 1000 + m)::text::bytea), 'hex'), 20) || '@好' || m || '.example', ' ') from generate_series(1, 100) m)
          from generate_series(1, 100) n""")
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY) as instance:
        admin = AdminClient(instance)
        assert len(admin.get("/api/admin/conversations?limit=100")["data"]) == 100
        one = database.value("select id from conversations where customer_name = 'Fat 1'")
        assert 100 < len(admin.get(f"/api/admin/conversations/{one}")["messages"]) < 1000
        assert len(admin.get(f"/api/admin/conversations/{one}/messages?limit=200")["data"]) == 200
        until(lambda: "unindexed" not in admin.get("/api/admin/search?query=fat&limit=100"), 20, "the words")
        assert admin.get("/api/admin/search?query=fat&limit=100")["total"] == 100
        # A word that is not stored anywhere yet, searched for immediately.
        database.run("insert into conversations (customer_name) values ('Fatal'), ('Fat')")
        assert admin.get("/api/admin/search?query=fat&limit=100")["total"] == 102
    cluster.drop(database)
