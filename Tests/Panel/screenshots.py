"""Writes the pictures of the panel to docs/images/, with the same leads each time: `make screenshots`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST = 150_000
LEADS = [
    ("Sara Ahmed", 92, "Apartment", "JVC", "AED 2M", "buy",
     ("I want two bedrooms in JVC, ready to move.", "Around 2 million, cash. When can I see something?")),
    ("عبد الرحمن المنصوري", 88, "فيلا", "المرابع العربية", "٥ مليون درهم", "buy",
     ("أبحث عن فيلا في المرابع العربية، الميزانية ٥ مليون درهم", "متى يمكنني زيارتها؟ غدًا إن أمكن")),
    ("Chen Wei", 82, "Villa", "Palm Jumeirah", "3.5M", "sell", ("I would like a valuation of my villa.",)),
    ("James O’Connor", 74, "Studio", "Business Bay", "$400k", "invest", ("What yield can I expect?",)),
    ("Nora Al Mutawa", 61, "Apartment", "Marina", "90k a year", "rent", ("One bedroom in the Marina from January.",)),
    ("Fatima Zahra", 55, "Townhouse", "Dubai Hills", "2.5M", "buy", ("Is the price negotiable?",)),
    ("Ivan Petrov", 34, "Apartment", "JLT", "70k a year", "rent", ("Just looking around.",)),
]


@pytest.fixture(scope="module")
def made(leads, database):
    agents = [leads.agent(name) for name in ("Omar Khalid", "Layla Haddad")]
    ids = [leads.make(name, score, messages, propertyType=kind, preferredArea=area, budget=budget, intent=intent, tags=["viewing"] if score > 85 else [])
           for name, score, kind, area, budget, intent, messages in LEADS]
    for lead, agent in zip(ids, [*agents, *agents], strict=False):
        leads.admin.post(f"/api/admin/conversations/{lead}/assign", {"agentId": agent})
    leads.admin.post(f"/api/admin/conversations/{ids[5]}/respond", {"channel": "call"})
    leads.overdue(ids[2])
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT06:00:00Z")
    leads.admin.post(f"/api/admin/conversations/{ids[0]}/follow-ups", {"followUpDate": tomorrow, "reminderType": "call"}, 201)
    return ids


@pytest.mark.parametrize(("name", "lead", "look"), [
    ("inbox", None, {}), ("inbox-arabic", None, {"arabic": True, "dark": True}), ("inbox-phone", None, {"phone": True}),
    ("lead", 0, {}), ("lead-arabic", 1, {"arabic": True, "dark": True}), ("lead-phone", 0, {"phone": True}), ("overview", "overview?span=7d", {})])
def test_picture(opened, made, name, lead, look):
    path = "inbox" if lead is None else lead if isinstance(lead, str) else f"conversations/{made[lead]}"
    page = opened(f"/admin/{path}", **look)
    expect(page.locator("[aria-busy]")).to_have_count(0)
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator("main").locator("tr.lead, .message, .chart").first).to_be_visible()
    page.wait_for_load_state("load")
    page.evaluate("() => document.fonts.ready")
    IMAGES.mkdir(parents=True, exist_ok=True)
    picture = IMAGES / f"panel-{name}.png"
    page.screenshot(path=picture, animations="disabled", caret="hide")
    assert picture.stat().st_size <= MOST, picture
