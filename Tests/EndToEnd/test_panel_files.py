"""The panel's static files, as the gateway serves them: types, headers, caching, compression, paths that are no files."""

import gzip
import re
import subprocess

import pytest

from common import BIN, REPO, clean_environment
from gateway import Gateway, parse
from nginx import panel

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
       "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
INDEX = """<!doctype html><html lang="en"><title>Panel</title><link rel="stylesheet" href="/admin/css/panel.css">
<script type="module" src="/admin/js/main.js"></script><a href="/admin/inbox">Inbox</a></html>
"""
FILES = {
    "index.html": INDEX, "js/main.js": "import './lib/dom.js'\n" * 60, "js/lib/dom.js": "export const a = 1\n", "css/panel.css": "body { margin: 0 }\n" * 40,
    "i18n/ar.json": '{"inbox": "الوارد"}', "img/flame.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>", "img/icon.png": "\x89PNG", ".hidden": "secret",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "panel"
    for _ in range(2):
        subprocess.run([REPO / "tools" / "panel" / "build", source, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def gateway(built, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("gateway"), PANEL_DIR=str(built), ALLOWED_ORIGINS="https://agency.example") as gateway:
        yield gateway


def get(gateway, path, *headers, method="GET"):
    answer = gateway.answer(method, path, headers)
    head, _, body = answer.partition(b"\r\n\r\n")
    return *parse(head + b"\r\n\r\n"), body


def asset(gateway, name):
    """The address that index.html has for a file."""
    return re.search(rf'"(/admin/assets/[0-9a-f]{{16}}/{re.escape(name)})"', get(gateway, "/admin")[2].decode())[1]


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/inbox", "/admin/conversations/00000000-0000-4000-8000-0000000000c1", "/admin/index.html",
                                  "/admin/inbox?status=new&q=a.js", "/admin/a/b/c/d/e/f/g/h", "/admin/%2561ssets", "/admin/v1.2"])
def test_every_view_is_the_same_page(gateway, path):
    status, headers, body = get(gateway, path)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-cache")
    assert headers["content-security-policy"] == CSP
    assert (headers["x-content-type-options"], headers["referrer-policy"], headers["cross-origin-opener-policy"]) == ("nosniff", "no-referrer", "same-origin")
    assert "camera=()" in headers["permissions-policy"] and "location" not in headers and "set-cookie" not in headers
    assert body == get(gateway, "/admin")[2] and b'href="/admin/inbox"' in body and b'"/admin/js/main.js"' not in body
    assert "ratelimit" not in headers


@pytest.mark.parametrize("name, kind", [
    ("js/main.js", "text/javascript; charset=utf-8"), ("css/panel.css", "text/css; charset=utf-8"), ("i18n/ar.json", "application/json"),
    ("img/flame.svg", "image/svg+xml"), ("img/icon.png", "image/png")])
def test_assets_are_kept_for_ever(gateway, name, kind):
    path = asset(gateway, "js/main.js").removesuffix("js/main.js") + name
    status, headers, body = get(gateway, path)
    assert (status, headers["content-type"], headers["x-content-type-options"]) == (200, kind, "nosniff")
    assert headers["cache-control"] == "public, max-age=31536000, immutable" and headers["content-security-policy"] == CSP
    assert body == FILES[name].encode()


def test_texts_are_compressed_for_clients_that_take_it(gateway):
    path = asset(gateway, "js/main.js")
    plain = get(gateway, path)
    for accepted in ("gzip", "br, gzip;q=0.5", "GZIP", "*", "deflate, *;q=0.1"):
        status, headers, body = get(gateway, path, f"Accept-Encoding: {accepted}")
        assert (status, headers["content-encoding"], headers["content-length"]) == (200, "gzip", str(len(body))), accepted
        assert len(body) < len(plain[2]) and gzip.decompress(body) == plain[2] and headers["etag"] != plain[1]["etag"]
    for refused in ("", "br", "gzip;q=0", "gzip; q=0.000, *", "identity", "*;q=0"):
        status, headers, body = get(gateway, path, f"Accept-Encoding: {refused}")
        assert "content-encoding" not in headers and body == plain[2] and headers["etag"] == plain[1]["etag"], refused
    assert "Accept-Encoding" in plain[1]["vary"]
    status, headers, body = get(gateway, "/admin/inbox", "Accept-Encoding: gzip")
    assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == get(gateway, "/admin")[2]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_unchanged_files_are_304(gateway, encoding):
    for path in ("/admin/inbox", asset(gateway, "css/panel.css")):
        own = f"Accept-Encoding: {encoding}"
        tag = get(gateway, path, own)[1]["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            status, headers, body = get(gateway, path, own, f"If-None-Match: {known}")
            assert (status, body, headers["etag"]) == (304, b"", tag) and "content-length" not in headers and "content-type" not in headers
            assert headers["content-security-policy"] == CSP and "cache-control" in headers
        for other in ('"other"', tag[:-1], tag.strip('"')):
            assert get(gateway, path, own, f"If-None-Match: {other}")[0] == 200


def test_head_has_the_headers_of_get_and_no_body(gateway):
    for path in ("/admin", asset(gateway, "js/main.js")):
        for own in ("Accept-Encoding: gzip", "Accept-Encoding: identity"):
            one, two = get(gateway, path, own), get(gateway, path, own, method="HEAD")
            changing = {"date", "x-request-id"}
            assert two[2] == b"" and {k: v for k, v in one[1].items() if k not in changing} == {k: v for k, v in two[1].items() if k not in changing}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(gateway, method):
    status, headers, _ = get(gateway, "/admin", method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", [
    "/admin/js/missing.js", "/admin/assets/0123456789abcdef/js/main.js", "/admin/assets/", "/admin/.hidden.json", "/admin/css/x.css"])
def test_a_missing_file_is_404(gateway, path):
    assert get(gateway, path)[0] == 404


@pytest.mark.parametrize("path", [
    "/admin/../etc/passwd", "/admin/%2e%2e/%2e%2e/etc/passwd", "/admin/..%2f..%2fetc%2fpasswd", "/admin/assets/..", "/admin/%5c..%5cetc", "/admin/%00",
    "/admin/./index.html"])
def test_no_path_leads_out(gateway, path):
    status, _, body = get(gateway, path)
    assert status == 400 and b"root:" not in body


@pytest.mark.parametrize("path", ["//admin", "/Admin", "/administrator", "/admin.html", "/"])
def test_other_paths_are_not_the_panels(gateway, path):
    assert get(gateway, path)[0] == 404


def test_pages_of_other_origins_cannot_read_it(gateway):
    headers = get(gateway, "/admin", "Origin: https://agency.example")[1]
    assert "access-control-allow-origin" not in headers and headers["cross-origin-resource-policy"] == "same-origin"


def test_a_client_has_a_limit_of_its_own_for_files(built, tmp_path):
    with Gateway(tmp_path, PANEL_DIR=str(built), RATE_LIMIT_DEFAULT="2/60") as gateway:
        statuses = []
        with gateway.connect() as connection:
            reader = connection.makefile("rb")
            # 1000 within ten seconds; a slow machine needs some more requests until then.
            for _ in range(3000):
                connection.sendall(b"HEAD /admin HTTP/1.1\r\nHost: localhost\r\n\r\n")
                statuses.append(int(reader.readline().split()[1]))
                while reader.readline() != b"\r\n":
                    pass
                if statuses[-1] == 429:
                    break
        assert statuses[:1000] == [200] * 1000 and statuses[-1] == 429
        # Requests to handlers are counted apart.
        assert [gateway.request()[0] for _ in range(3)] == [200, 200, 429]


def test_a_handlers_route_comes_before_the_panel(built, tmp_path):
    with Gateway(tmp_path, path="/admin/own", PANEL_DIR=str(built)) as gateway:
        assert get(gateway, "/admin/own")[2] == b"ok" and b"<title>Panel" in get(gateway, "/admin/other")[2]


def test_can_be_switched_off(built, tmp_path):
    with Gateway(tmp_path, PANEL="off", PANEL_DIR=str(built)) as gateway:
        assert {get(gateway, path)[0] for path in ("/admin", "/admin/inbox", "/admin/assets/x.js")} == {404}


def test_unbuilt_files_are_served_without_being_kept(source, tmp_path):
    """For development, and as a plain web server does it."""
    with Gateway(tmp_path, PANEL_DIR=str(source)) as gateway:
        status, headers, body = get(gateway, "/admin/js/main.js", "Accept-Encoding: gzip")
        assert (status, headers["cache-control"], body) == (200, "no-cache", FILES["js/main.js"].encode()) and "content-encoding" not in headers
        assert get(gateway, "/admin/inbox")[2] == INDEX.encode()


def check(folder, **settings):
    return subprocess.run([BIN / "gateway", "--check"], env=clean_environment(PANEL_DIR=str(folder), **settings), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name, text, reason", [
    ("index.html~", "x", "is no file of a web page"), ("run.php", "x", "is no file of a web page"), ("ü.js", "x", "is no file of a web page"),
    ("big.txt", "x" * 2_097_152, "has more than 2 MiB of files"),
    ("index.html.gz", "x", "is not index.html compressed"), ("d/d/d/d/d/d/d/x.js", "x", "too many folders")])
def test_a_folder_that_cannot_be_served_stops_the_start(tmp_path, name, text, reason):
    (tmp_path / "index.html").write_text(INDEX)
    assert check(tmp_path).returncode == 0
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    done = check(tmp_path)
    assert done.returncode == 78 and reason in done.stderr and str(tmp_path) in done.stderr, done
    assert check(tmp_path, PANEL="off").returncode == 0


def test_wrong_settings_stop_the_start(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 78 and "has no index.html" in done.stderr
    done = check(tmp_path / "none", PANEL="yes")
    assert done.returncode == 78 and "PANEL_DIR must be a folder that can be read" in done.stderr and "PANEL must be one of on, off" in done.stderr


def test_a_compressed_copy_of_another_version_stops_the_start(built, tmp_path):
    subprocess.run(["cp", "-r", built, tmp_path / "panel"], check=True)
    (tmp_path / "panel" / "index.html").write_text(INDEX + "\n")
    done = check(tmp_path / "panel")
    assert done.returncode == 78 and "index.html.gz, which is not index.html compressed" in done.stderr


def test_the_same_files_make_the_same_folder(source, built, tmp_path):
    subprocess.run([REPO / "tools" / "panel" / "build", source, tmp_path / "again"], check=True)
    subprocess.run(["diff", "-r", built, tmp_path / "again"], check=True)
    subprocess.run(["cp", "-r", source, tmp_path / "changed"], check=True)
    (tmp_path / "changed" / "js" / "lib" / "dom.js").write_text("export const a = 2\n")
    subprocess.run([REPO / "tools" / "panel" / "build", tmp_path / "changed", tmp_path / "other"], check=True)
    assert {path.name for path in (tmp_path / "other" / "assets").iterdir()}.isdisjoint(path.name for path in (built / "assets").iterdir())


def test_nginx_serves_the_same_folder(built, gateway, tmp_path):
    with panel(tmp_path / "nginx", built) as port:
        for path in ("/admin", "/admin/inbox", "/admin/conversations/1", asset(gateway, "js/main.js"), asset(gateway, "css/panel.css")):
            for own in ("Accept-Encoding: gzip", "Accept-Encoding: identity"):
                head, _, body = gateway.answer("GET", path, [own], port=port).partition(b"\r\n\r\n")
                status, headers = parse(head + b"\r\n\r\n")
                want = get(gateway, path, own)
                assert (status, body) == (want[0], want[2]), (path, own, head)
                for name in ("cache-control", "x-content-type-options", "content-encoding"):
                    assert headers.get(name) == want[1].get(name), (path, name)
                if "assets" not in path:
                    assert headers["content-security-policy"] == CSP and headers["referrer-policy"] == "no-referrer"
        for path in ("/admin/assets/0123456789abcdef/js/main.js", "/admin/js/other.js", "/administrator", "/admin/../conf"):
            assert parse(gateway.answer("GET", path, port=port))[0] in (400, 404)


def test_folder_and_settings_of_the_chatbot_are_checked(built, tmp_path):
    folder = tmp_path / "chatbot"
    folder.mkdir()
    (folder / "index.html").write_text("no script")
    done = check(built, CHATBOT_DIR=str(folder))
    assert done.returncode == 78 and f"the chatbot's folder {folder} has no chatbot.js" in done.stderr
    assert check(built, CHATBOT_DIR=str(folder), CHATBOT="off").returncode == 0
    done = check(built, CHATBOT_DIR=str(tmp_path / "none"), DEMO="yes")
    assert done.returncode == 78 and "CHATBOT_DIR must be a folder that can be read" in done.stderr and "DEMO must be one of on, off" in done.stderr


def test_demo_is_served_only_if_it_is_asked_for(built, tmp_path):
    folder = tmp_path / "chatbot"
    subprocess.run([REPO / "tools" / "chatbot" / "build", REPO / "web" / "chatbot", REPO / "web" / "demo", folder], check=True)
    with Gateway(tmp_path, CHATBOT_DIR=str(folder)) as gateway:
        assert get(gateway, "/demo")[0] == 404 and get(gateway, "/demo/demo.js")[0] == 404
        assert get(gateway, "/chatbot.js")[0] == 200
        assert get(gateway, "/chatbot.js", method="POST")[0] == 405


def test_the_page_preloads_every_module_of_the_first_view():
    """A module that the page does not name is loaded only when one that imports it has come."""
    panel_folder = REPO / "web" / "panel"

    def imported(file, seen):
        for name in re.findall(r"^(?:import|export)\b[^;]*?\bfrom '([^']+)'|^import '([^']+)'", file.read_text(), re.MULTILINE):
            other = (file.parent / "".join(name)).resolve()
            if other not in seen:
                seen.add(other)
                imported(other, seen)
        return seen

    first = panel_folder / "js" / "main.js"
    wanted = {f"/admin/{file.relative_to(panel_folder)}" for file in imported(first.resolve(), set())}
    links = re.findall(r'<link rel="modulepreload" href="([^"]+)">', (panel_folder / "index.html").read_text())
    assert len(links) > 20 and sorted(links) == sorted(wanted)
