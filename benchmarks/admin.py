"""Measures admin requests on a year's leads: admin.py DATABASE_URL BIN

Runs the handlers as streams, one request at a time, in a database that grown.sql has filled. The list and the search get the requests of
a panel: each filter and sort order, frequent and rare words."""

import json
import random
import subprocess
import sys
import time

from measure import PLAIN, keep, row, setting, table

URL, BIN = sys.argv[1], sys.argv[2]
ROUNDS = setting("ADMIN_ROUNDS", 200)
GIVEN = ["Nusrat", "Omar", "Sara", "Ivan", "Mei", "محمد", "فاطمه", "احمد", "zoe", "Priya"]
FAMILY = ["Reddy", "Khan", "Ahmed", "Haddad", "الهاشمى", "المنصوري"]
AREAS = ["Al Furjan", "Dubai Marina", "Downtown", "JVC", "Business Bay", "Palm Jumeirah"]


def psql(statement):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", URL], input=statement, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


class Handler:
    """A handler as a stream, which gets bare requests."""

    def __init__(self, name):
        settings = PLAIN | {"DATABASE_URL": URL.replace("//leadpipe@", "//leadpipe_admin@"), "ADMIN_API_KEY": "the-key-of-the-benchmark"}
        self.process = subprocess.Popen([f"{BIN}/handlers/{name}", "--stream"], env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, **question):
        """Returns the reply and the time it took, in milliseconds."""
        before = time.perf_counter()
        self.process.stdin.write(json.dumps(question, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        taken = (time.perf_counter() - before) * 1000
        if "problem" in answer:
            sys.exit(f"{question} was rejected: {answer}")
        return answer, taken

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def questions(dice, agents):
    """Returns the kinds of requests to list and search: the name of each, and a function that creates a request."""
    lists = {"the default list": lambda: {}}
    for order in ("oldest", "hot", "warm", "cold", "highest-budget", "lowest-budget", "follow-up", "sla"):
        lists[f"sort={order}"] = lambda order=order: {"sort": order}
    lists |= {
        "status": lambda: {"status": [dice.choice(["new", "in-progress", "completed", "lost", "converted"])]},
        "leadQuality, hot first": lambda: {"leadQuality": ["hot"], "sort": "hot"},
        "a common area": lambda: {"areas": [dice.choice(AREAS)]},
        "a rare area": lambda: {"areas": [dice.choice(RARE)]},
        "an agent": lambda: {"assignedAgentIds": [dice.choice(agents)]},
        "a common tag": lambda: {"tags": ["family"]},
        "a rare tag": lambda: {"tags": ["golden visa"]},
        "a source": lambda: {"source": [dice.choice(["chatbot", "contact_form", "sell_submission"])]},
        "three filters, hot first": lambda: {"status": ["converted"], "areas": [dice.choice(AREAS)], "intent": ["buy"], "sort": "hot"},
        "scoreRange": lambda: {"scoreRange": "90:95"},
        "five days, new": lambda: {"dateFrom": f"{DAYS[0]}", "dateTo": f"{DAYS[1]}", "status": ["new"]},
        "follow-ups due today": lambda: {"followUpStatus": ["due-today"]},
        "slaState": lambda: {"slaState": [dice.choice(["ok", "warning", "breached", "met"])]},
        "query in the list": lambda: {"query": dice.choice(GIVEN), "sort": "hot"},
    }
    words = {
        "a common word": lambda: {"query": dice.choice(["villa", "marina", "apartment", "welcome", "buy"])},
        "a given name": lambda: {"query": dice.choice(GIVEN)},
        "a full name": lambda: {"query": f"{dice.choice(GIVEN)} {dice.choice(FAMILY)}"},
        "a rare name": lambda: {"query": dice.choice(NAMES)},
        "the beginning of a name": lambda: {"query": dice.choice(NAMES)[:-2]},
        "a rare word": lambda: {"query": dice.choice(WORDS)},
        "two words": lambda: {"query": f"{dice.choice(GIVEN)} {dice.choice(['villa', 'apartment', 'townhouse'])}"},
        "a phone number, in three notations": lambda: {"query": dice.choice(["+971 50 {0} {1}", "050{0}{1}", "00971-50-{0}-{1}"])
                                                .format(f"{dice.randrange(1000):03}", f"{dice.randrange(10000):04}")},
        "its last digits": lambda: {"query": f"{dice.randrange(10**6):06}"},
        "an email address": lambda: {"query": f"customer.{dice.randrange(1, COUNT)}@example.com"},
        "a name and filters": lambda: {"query": dice.choice(GIVEN), "filters": {"status": ["new"], "leadQuality": ["hot"]}},
        "a word without matches": lambda: {"query": f"xyzzy{dice.randrange(10**6)}"},
    }
    return lists, words


def measure(handler, kinds):
    """Prints a table row for each kind of request. Returns the times of all requests."""
    everything = []
    for name, make in kinds.items():
        handler.ask(**make())
        times = sorted(handler.ask(**make())[1] for _ in range(ROUNDS))
        everything += times
        row(name, *(f"{figure:.1f}" for figure in middle_and_most(times)), len(times))
    return everything


def middle_and_most(times):
    times = sorted(times)
    return times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]


COUNT = int(psql("select count(*) from conversations"))
NAMES = psql("select distinct split_part(customer_name, ' ', 2) from conversations tablesample system (0.2)"
             " where customer_name ~ ' [A-Z][a-z]{8,}$' limit 200").split()
WORDS = psql("select distinct word from known_words tablesample system (3) where length(word) > 9 limit 200").split()
RARE = psql("select distinct preferred_area from conversations tablesample system (2) where preferred_area ~ '^Al [A-Z][a-z]{6,}$' limit 100").split("\n")
DAYS = psql("select current_date - 100 || '|' || current_date - 96").split("|")
psql("select count(*) from conversations; select count(*) from conversation_words; select sum(length(words)) from conversation_words")
dice = random.Random(1)
lists, words = questions(dice, psql("select id from agents").split())
kept = {}

table(f"GET /api/admin/conversations among {COUNT:,}", "p50 ms", "p99 ms", "requests")
handler = Handler("conversation-list")
kept["list"] = middle_and_most(measure(handler, lists))
answer, _ = handler.ask()
pages = []
for _ in range(100):
    answer, taken = handler.ask(cursor=answer["nextCursor"])
    pages.append(taken)
row("a hundred pages by cursor", *(f"{figure:.1f}" for figure in middle_and_most(pages)), len(pages))
handler.end()

table("GET /api/admin/search", "p50 ms", "p99 ms", "requests")
handler = Handler("conversation-search")
kept["search"] = middle_and_most(measure(handler, words))
handler.end()

table("other views", "p50 ms", "p99 ms", "requests")
ids = psql("select id from conversations tablesample system (0.1) limit 500").split()
for name, title, make in (("conversation-show", "one conversation", lambda: {"id": dice.choice(ids)}), ("sla-list", "GET /api/admin/sla", dict)):
    handler = Handler(name)
    handler.ask(**make())
    times = [handler.ask(**make())[1] for _ in range(5 * ROUNDS)]
    kept[name] = middle_and_most(times)
    row(title, *(f"{figure:.1f}" for figure in kept[name]), len(times))
    handler.end()
handler = Handler("analytics-report")
year = {"from": psql("select current_date - 365"), "to": psql("select current_date")}
handler.ask(**year)
times = [handler.ask(**year)[1] for _ in range(7)]
kept["analytics"] = middle_and_most(times)
row("a year's analytics", *(f"{figure:.0f}" for figure in kept["analytics"]), len(times))
handler.end()
keep(admin=kept)
