"""deploy/vercel: the panel's files with the gateway's headers, /api passed on, and a build that refuses secrets.
Vercel's schema and Vercel itself cannot be had here: a stand-in routes as its documentation says."""

import base64
import http.client
import json
import re
import shutil
import subprocess

import pytest

from common import REPO, clean_environment
from instance import Instance
from vercel import expression, vercel

KEY = "vercel-key-0123456789abcdef"
API = "https://api.agency.example"
# vercel.com/docs/project-configuration, 2026-11.
FIELDS = {"$schema", "framework", "installCommand", "buildCommand", "outputDirectory", "trailingSlash", "redirects", "rewrites", "headers"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout in which the example's address is replaced."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("deploy/vercel", "tools/panel", "web"):
        shutil.copytree(REPO / name, root / name)
    file = root / "deploy/vercel/vercel.json"
    file.write_text(file.read_text().replace("https://your-api.onrender.com", API))
    return root / "deploy" / "vercel"


def build(project, **variables):
    command = json.loads((project / "vercel.json").read_text())["buildCommand"]
    return subprocess.run(["bash", "-c", command], cwd=project, env=clean_environment(**variables), capture_output=True, text=True, timeout=50)


def jwt(role):
    parts = [{"alg": "HS256"}, {"iss": "supabase", "role": role, "ref": "x" * 20}]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])


@pytest.fixture(scope="module")
def site(project):
    done = build(project, VITE_API_BASE_URL=API + "/", VITE_SUPABASE_URL="https://x.supabase.co", VITE_SUPABASE_ANON_KEY=jwt("anon"))
    assert done.returncode == 0, done.stderr
    assert "VITE" not in done.stdout
    return project / "public"


@pytest.fixture(scope="module")
def instance():
    with Instance(ADMIN_API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1") as instance:
        yield instance


@pytest.fixture(scope="module")
def get(project, site, instance):
    with vercel(project / "vercel.json", site, instance.port) as port:
        def get(path, method="GET", body=None, to=port, **headers):
            connection = http.client.HTTPConnection("127.0.0.1", to, timeout=10)
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body and json.dumps(body), {**({"Content-Type": "application/json"} if body else {}), **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
        yield get


def test_the_file_has_fields_that_vercel_documents(project):
    assert set(json.loads((project / "vercel.json").read_text())) == FIELDS


@pytest.mark.parametrize("path", ["/admin", "/admin/inbox", "/admin/conversations/00000000-0000-4000-8000-0000000000c1", "/admin/v1.2"])
def test_views_have_the_gateways_page_and_headers(get, instance, path):
    status, headers, text = get(path)
    own_status, own, own_text = get(path, to=instance.port)
    assert (status, text) == (own_status, own_text) == (200, text)
    for name in ("content-security-policy", "cache-control", "cross-origin-opener-policy", "cross-origin-resource-policy", "permissions-policy",
                 "referrer-policy", "x-content-type-options"):
        assert headers[name] == own[name], name


def test_assets_are_kept_for_ever_and_missing_ones_are_404(get, instance):
    asset = re.search(r'"(/admin/assets/[^"]+/main\.js)"', get("/admin")[2])[1]
    status, headers, text = get(asset)
    own = get(asset, to=instance.port)
    assert (status, text) == (200, own[2]) and headers["cache-control"] == own[1]["cache-control"] and "immutable" in headers["cache-control"]
    for path in ("/admin/assets/0123456789abcdef/js/main.js", "/admin/js/main.js", "/admin/nothing.css", "/etc/passwd"):
        assert get(path)[0] == 404, path


def test_the_root_leads_to_the_panel(get):
    status, headers, _ = get("/")
    assert (status, headers["location"]) == (307, "/admin")


def test_the_panel_logs_in_through_the_rewrite(get):
    status, headers, text = get("/api/admin/session", "POST", {"key": KEY})
    assert status == 201, text
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-leadpipe_session=") and "Secure" in cookie and "Domain" not in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    status, headers, text = get("/api/admin/conversations?limit=1", **session)
    assert status == 200 and "no-store" in headers["cache-control"], "Vercel's cache obeys this header"
    assert get("/api/admin/conversations")[0] == 401
    token = json.loads(get("/api/admin/session", **session)[2])["csrfToken"]
    assert get("/api/admin/session", "DELETE", **session)[0] == 403
    assert get("/api/admin/session", "DELETE", **session, X_CSRF_Token=token)[0] == 204


def test_a_lead_and_health_pass(get, instance):
    status, headers, text = get("/api/chatbot/leads", "POST", {"customerName": "Test User", "customerPhone": "+971501234567", "intent": "buy"})
    assert status == 201, text
    status, headers, text = get("/health")
    assert json.loads(text)["database"] == "ok" and "no-store" in headers["cache-control"]


def test_every_view_is_matched_by_one_rewrite_and_no_asset_is(project):
    views = [expression(rule["source"]) for rule in json.loads((project / "vercel.json").read_text())["rewrites"] if rule["destination"].startswith("/admin")]
    for path, count in [("/admin", 1), ("/admin/a/b", 1), ("/admin/x.js", 0), ("/admin/assets/x", 0), ("/api/admin/session", 0), ("/administrator", 0)]:
        assert sum(bool(view.fullmatch(path)) for view in views) == count, path


# ── What the build refuses ──

@pytest.mark.parametrize(("variables", "reason"), [
    ({"VITE_SUPABASE_ANON_KEY": jwt("service_role")}, "VITE_SUPABASE_ANON_KEY is the service_role key"),
    ({"VITE_SUPABASE_ANON_KEY": "sb_secret_abc"}, "VITE_SUPABASE_ANON_KEY is a secret key"),
    ({"VITE_OTHER": jwt("service_role")}, "VITE_OTHER is the service_role key"),
    ({"VITE_DATABASE": "postgresql://leadpipe:secret@db/x"}, "VITE_DATABASE has a database login"),
    ({"VITE_API_BASE_URL": "https://other.example"}, "VITE_API_BASE_URL is https://other.example, but vercel.json passes /api on to https://api.agency.example"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_build_refuses(project, variables, reason):
    done = build(project, **variables)
    assert done.returncode == 78 and reason in done.stderr
    assert all(value not in done.stderr or name == "VITE_API_BASE_URL" for name, value in variables.items()), "no secret in the log"


def test_the_build_refuses_the_example(tmp_path):
    for name in ("deploy/vercel", "tools/panel", "web"):
        shutil.copytree(REPO / name, tmp_path / name)
    done = build(tmp_path / "deploy/vercel")
    assert done.returncode == 78 and "still passes /api on to the example" in done.stderr


def test_no_file_of_the_site_has_a_key_or_an_address(site):
    for file in site.rglob("*"):
        assert not file.is_file() or not re.search(rb"supabase\.co|eyJ|agency\.example|onrender", file.read_bytes()), file
