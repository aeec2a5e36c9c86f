"""10,000 submissions of people and as many of robots over HTTP, as JSON and as plain forms, from a seed: no person is kept
aside as spam, and every robot that shows a sign is."""

import hashlib
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from urllib.parse import urlencode

import pytest

from common import REPO
from instance import Instance

sys.path.insert(0, str(REPO / "Tests" / "EndToEnd"))
import test_plain_forms  # noqa: E402

COUNT = 10_000
ORIGIN = "https://www.example.com"
NAMES = ["Sara Ahmed", "محمد الكناري", "Zoë O'Brien", "Li", "Ana-María de la Cruz", "Владимир", "J. R. Smith"]
PHONES = ["050 {:07d}", "+97155{:07d}", "0097152{:07d}", "+44 20 7946 {:04d}", "(056) {:07d}"]
TEXTS = ["Hello", "I saw the villa at https://example.com/villa-7 and like it", "أرغب في شراء شقة في دبي مارينا", "Please call me!!! It is URGENT",
         "FREE parking? Best price? Click the link you sent me", "3 bedrooms, 2M AED\nnear the beach", "casino hotel, crypto payment possible?"]
PATHS = ["/api/contact", "/api/property-inquiry", "/api/sell-submission", "/api/chatbot/leads"]


def token(instance):
    """A token with its work, as the scripts send it."""
    found = instance.http("/api/form-token")[2]
    assert found["work"] == {"bits": 4}
    work = next(n for n in count() if hashlib.sha256(f"{found['token']}:{n}".encode()).digest()[0] < 16)
    return {"formToken": found["token"], "formWork": str(work)}


def person(dice, number):
    """The path and the fields of one person's form, without signs."""
    path = dice.choice(PATHS)
    phone = dice.choice(PHONES).format(number % 10_000 if dice.random() < 0.1 else number)
    fields = {"customerName": f"{dice.choice(NAMES)} {number}", "customerPhone": phone if "7946" not in phone else "+971501234567"}
    if dice.random() < 0.7:
        fields["customerEmail"] = f"visitor{number}@example.com"
    fields["notes" if path == "/api/chatbot/leads" else "propertyDescription" if "sell" in path else "message"] = f"{dice.choice(TEXTS)} {number}"
    return path, fields


def send(instance, dice, path, fields):
    """Sends it as a script or as a browser without one would."""
    kind = dice.choice(["json", test_plain_forms.URLENCODED, "multipart"]) if path != "/api/chatbot/leads" else "json"
    if kind == "json":
        status, _, document = instance.http(path, fields)
        assert status in (200, 201), document
    else:
        body = test_plain_forms.multipart(fields) if kind == "multipart" else (kind, urlencode(fields).encode())
        status, _, text = test_plain_forms.post(instance, path, kind=body[0], body=body[1])
        assert status == 201, text


@pytest.mark.seconds(1800)
def test_no_person_is_caught_and_every_robot_with_a_sign_is():
    dice = random.Random(2121)
    with Instance(FORM_WORK_BITS="4", FRONTEND_URL=ORIGIN, ENABLE_NOTIFICATION_WORKER="false") as instance:
        tokens = [token(instance) for _ in range(50)]
        time.sleep(2.1)
        good = lambda: dice.choice([*tokens[:40], {}, {"website2": ""}, {"website2": "", "formToken": "", "formWork": ""}])  # noqa: E731
        signs = {
            "honeypot": lambda: {**good(), "website2": dice.choice(["x", "https://casino.example", " buy "])},
            "forged_token": lambda: {"formToken": dice.choice(["1.2.3.4.5", "x", tokens[0]["formToken"][:-1] + "!"])},
            "missing_work": lambda: {"formToken": dice.choice(tokens)["formToken"], "formWork": dice.choice(["", "x", "-1"])},
            "too_fast": lambda: token(instance)}

        def submissions(first):
            for number in range(first, first + COUNT):
                yield number, random.Random(number), *person(dice, number)
        people = [(own, path, {**fields, **good()}) for _, own, path, fields in submissions(1_000_000)]
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: send(instance, *one), people))
            took = time.monotonic() - began
            robots = [(own, path, fields, list(signs)[number % len(signs)]) for number, own, path, fields in submissions(2_000_000)]
            list(pool.map(lambda one: send(instance, one[0], one[1], {**one[2], **signs[one[3]]()}), robots))
        rows = json.loads(instance.database.text(
            "select json_agg(json_build_array(right(customer_name, 7)::int, status, metadata -> 'spam' -> 'reasons')) from conversations"))
    stored = {number: (status, reasons) for number, status, reasons in rows}
    caught = [number for number in range(1_000_000, 1_000_000 + COUNT) if stored[number][0] != "new"]
    missed = [number for number in range(2_000_000, 2_000_000 + COUNT) if stored[number][0] != "spam"]
    wrong = [number for number in range(2_000_000, 2_000_000 + COUNT) if list(signs)[number % len(signs)] not in (stored[number][1] or [])]
    print(f"{COUNT} people: {len(caught)} kept aside; {COUNT} robots: {len(missed)} missed; people sent {COUNT / took:.0f} forms a second")
    assert (caught, missed, wrong) == ([], [], []), (caught[:5], missed[:5], wrong[:5])
