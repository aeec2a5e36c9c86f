"""A chat that is sent again as it goes on, and becomes hotter: it is announced once for each quality, in every channel."""

import json
import uuid

from common import TEST_USER, until
from instance import Instance
from sink import Sink

CHANNELS = ("slack", "telegram", "email")
NEW, HOT, WARM = "🤖 New Chatbot", "🔥 Lead Is Now Hot", "📈 Lead Is Now Warm"


class Chat:
    """A conversation that its browser submits again and again."""

    def __init__(self, instance, **lead):
        self.instance, self.lead, self.id, self.texts = instance, {**TEST_USER, **lead}, str(uuid.uuid4()), []

    def says(self, text, score, quality, **more):
        self.texts.append(text)
        messages = [{"id": f"m{n}", "sender": "user", "messageText": each} for n, each in enumerate(self.texts)]
        assert self.instance.capture(
            {**self.lead, "conversationId": self.id, "leadScore": score, "leadQuality": quality, "messages": messages, **more}) == self.id


def told(sink, header):
    """How many messages each channel got with this header."""
    texts = [(message["channel"], json.dumps(message, ensure_ascii=False)) for message in sink.messages]
    return tuple(sum(channel == name and header in text for channel, text in texts) for name in CHANNELS)


def test_a_chat_that_turns_hot_is_announced_once(database, tmp_path):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, FRONTEND_URL="https://app.example", **sink.settings) as instance:
        chat = Chat(instance)
        chat.says("Hello", 30, "cold")
        chat.says("I want to buy", 60, "warm")
        chat.says("A stranger writes", 99, "hot", customerPhone="+971507654321", customerEmail="x@y.example")
        chat.says("I can pay <cash> tomorrow", 95, "hot")
        chat.says("When can we meet?", 97, "hot")
        until(lambda: told(sink, HOT) == (1, 1, 1), 10, "the announcements")
        until(lambda: database.count("lead_events", "not processed") == 0, 10, "the rest")
        assert (told(sink, NEW), told(sink, HOT), told(sink, WARM)) == ((1, 1, 1), (1, 1, 1), (0, 0, 0))
        text = json.dumps([message for message in sink.messages if HOT in json.dumps(message, ensure_ascii=False)], ensure_ascii=False)
        for word in ("Test User", "95/100 (hot)", "60/100 (warm)", chat.id, f"https://app.example/admin/conversations/{chat.id}", "tomorrow"):
            assert text.count(word) >= 3, (word, text)
        assert "stranger" not in text and "<cash>" not in json.dumps([m for m in sink.messages if m["channel"] == "telegram"])
        assert database.text("select string_agg(payload ->> 'quality', ' ' order by seq) from lead_events where event_type = 'lead.qualified'") == "warm hot"


def test_a_setting_announces_warm_leads_too(database, tmp_path):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, NOTIFY_QUALIFIED="warm", **sink.settings) as instance:
        chat = Chat(instance)
        chat.says("Hello", 30, "cold")
        chat.says("I want to buy", 60, "warm")
        chat.says("Today", 90, "hot")
        until(lambda: told(sink, HOT) == told(sink, WARM) == (1, 1, 1), 10, "the announcements")


def test_new_contact_details_of_an_answered_lead_are_announced_once(database, tmp_path):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, **sink.settings) as instance:
        chat = Chat(instance)
        chat.says("Hello", 30, "cold")
        chat.says("Or here", 30, "cold", customerEmail="early@example.com")
        database.run("update conversations set first_response_at = now()")
        chat.says("Mail me at home", 30, "cold", customerEmail="home@example.com")
        chat.says("Please", 30, "cold", customerEmail="home@example.com")
        until(lambda: told(sink, "📇 New Contact Details") == (1, 1, 1), 10, "the announcements")
        until(lambda: database.count("lead_events", "not processed") == 0, 10, "the rest")
        assert (told(sink, NEW), told(sink, "📇 New Contact Details")) == ((1, 1, 1), (1, 1, 1))
        text = json.dumps([message for message in sink.messages if "📇" in json.dumps(message, ensure_ascii=False)], ensure_ascii=False)
        for word in ("home@example.com", "early@example.com", "Mail me at home", chat.id):
            assert text.count(word) >= 3, (word, text)
