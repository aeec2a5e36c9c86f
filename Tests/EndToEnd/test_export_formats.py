"""Exports as XLSX and PDF, opened by openpyxl, zipfile and pdftotext; and what happens where they cannot be made."""

import datetime
import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
import threading
import time
import zipfile

import openpyxl
import pytest
from test_export import ask, begin, by_hand, filled, handler_of, listed, read

from admin import KEY
from common import HANDLERS, clean_environment, until
from instance import Instance

LONG = "x" * 32_767 + "😀"
NAMES = [
    "سارة أحمد", "=HYPERLINK(\"http://evil.example\")", "Anna \"the\nbuyer\"", "+971501234567", "-5", "@cmd", "\tTab",
    "Smile 😀 _x000D_", "c\u0007r\rlf"]
NOTES = [
    "javascript:alert(1)", "https://example.com/villa?a=1&b=2", "https://x.example/" + "[" * 700, "HTTPS://EXAMPLE.COM", "file:///etc/passwd", LONG,
    "x" * 32_767,
    "see https://example.com", "mailto:a@b.example"]
MAILS = ["plain@example.com", "a?bcc=evil@example.com", "=cmd@example.com", "o'neill@example.com"]
FOLDER = f"/var/tmp/leadpipe-export-{os.geteuid()}"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    database.run(filled(450))
    for index, name in enumerate(NAMES):
        mail = quoted(MAILS[index]) if index < len(MAILS) else "null"
        database.run(
            "insert into conversations (customer_name, notes, customer_email, conversion_value, created_at, lead_quality) values "
            f"({quoted(name)}, {quoted(NOTES[index])}, {mail}, 1234.5, '2026-02-01 20:30:15Z', 'hot')")
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance


def exported(port, **body):
    response, content = ask(port, body)
    assert response.status == 200, content
    return response, content


def workbook(content):
    """The sheets as lists of rows of cells. Every part of the file is read, and its checksum compared."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert parts.testzip() is None
        assert not [name for name in parts.namelist() if re.search(rb"<f[ >]", parts.read(name))], "a formula"
    return openpyxl.load_workbook(io.BytesIO(content))


def sheet_rows(sheet):
    header, *rows = sheet.iter_rows()
    names = [cell.value for cell in header]
    return names, [dict(zip(names, row, strict=True)) for row in rows]


def as_csv(cell):
    """The text that the CSV has for a cell."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        return str((value + datetime.timedelta(milliseconds=500)).replace(microsecond=0))
    return str(value)


@pytest.mark.parametrize("filters", [
    {}, {"sort": "hot", "status": ["new", "lost"]}, {"sort": "lowest-budget"}, {"query": "person", "sort": "oldest"}, {"query": "!!! & |"}])
def test_a_workbook_has_the_rows_of_the_list_and_of_the_csv(instance, filters):
    response, content = exported(instance.port, format="xlsx", **filters)
    assert response.headers["content-type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert re.fullmatch(r'attachment; filename="conversations-\d{13}\.xlsx"', response.headers["content-disposition"])
    book = workbook(content)
    assert book.sheetnames == ["Leads"]
    names, rows = sheet_rows(book["Leads"])
    assert [row["id"].value for row in rows] == [row["id"] for row in listed(instance, **filters)]
    header, lines = read(exported(instance.port, format="csv", **filters)[1])
    assert names == header
    for row, line in zip(rows, lines, strict=True):
        for name in names:
            written = line[name].removeprefix("'")
            if name in ("leadScore", "conversionValue", "durationMinutes", "unreadCount") and written:
                assert row[name].data_type == "n" and float(written) == row[name].value, name
            elif name == "notes" and len(written) > 100 or name in ("notes", "customerName") and ("_x" in written or "\r" in written or "\a" in written):
                continue  # Compared below.
            else:
                assert as_csv(row[name]) == written, name


def test_cells_have_types_and_the_sheet_is_ready_to_use(instance):
    sheet = workbook(exported(instance.port, format="xlsx", timeZone="America/New_York")[1])["Leads"]
    names, rows = sheet_rows(sheet)
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref == f"A1:{sheet.cell(1, len(names)).column_letter}{len(rows) + 1}"
    assert sheet.column_dimensions["A"].width > 15 and sheet["A1"].font.bold
    row = next(row for row in rows if row["customerName"].value == "سارة أحمد")
    created = row["createdAt (America/New_York)"]
    assert created.is_date and created.value == datetime.datetime(2026, 2, 1, 15, 30, 15) and created.number_format == "yyyy-mm-dd hh:mm:ss"
    assert row["conversionValue"].value == 1234.5 and row["slaBreached"].data_type == "b" and row["slaBreached"].value is False
    assert {cell.data_type for row in rows for cell in row.values()} <= {"s", "inlineStr", "n", "b", "d"}


def test_text_is_text_whatever_it_says(instance):
    content = exported(instance.port, format="xlsx", dateFrom="2026-02-01", dateTo="2026-02-03")[1]
    sheet = workbook(content)["Leads"]
    _, rows = sheet_rows(sheet)
    found = {row["customerName"].value: row for row in rows}
    for name in NAMES[:7]:
        row = found[name]
        assert row["customerName"].data_type in ("s", "inlineStr"), name
        assert (row["customerName"].number_format == "@") == (name[0] in "=+-@\t"), name
    notes = {row["notes"].value: row["notes"] for row in rows}
    # 32,767 UTF-16 code units fit.
    assert "x" * 32_767 in notes and "x" * 32_766 + "…" in notes
    links = {cell.value: cell.hyperlink.target for row in rows for cell in row.values() if cell.hyperlink}
    assert links == {
        "https://example.com/villa?a=1&b=2": "https://example.com/villa?a=1&b=2", "plain@example.com": "mailto:plain@example.com"}
    # What XML cannot hold, and what a reader would take for such a character.
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        text = parts.read("xl/worksheets/sheet1.xml").decode()
    assert "Smile 😀 _x005F_x000D_" in text and "c\ufffdr\nlf" in text


def test_messages_are_a_sheet(instance):
    book = workbook(exported(instance.port, format="xlsx", query="person", sort="oldest", **{"with": ["messages"]})[1])
    assert book.sheetnames == ["Leads", "Messages"]
    names, leads = sheet_rows(book["Leads"])
    assert "messages" not in names
    names, rows = sheet_rows(book["Messages"])
    assert names == ["conversationId", "timestamp (Asia/Dubai)", "sender", "messageText"]
    assert len(leads) >= 450 and [row["conversationId"].value for row in rows] == [row["id"].value for row in leads for _ in range(2)]
    assert [row["messageText"].value for row in rows[:2]] == ["said by bot", "said by customer"]
    assert rows[0]["timestamp (Asia/Dubai)"].is_date and book["Messages"].freeze_panes == "A2"


def pdf_text(content, *options):
    done = subprocess.run(["pdftotext", "-layout", *options, "-", "-"], input=content, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


def test_a_pdf_has_the_rows_titles_totals_and_numbers_of_pages(instance, base):
    response, content = exported(instance.port, format="pdf", sort="oldest")
    assert response.headers["content-type"] == "application/pdf" and content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    pages = pdf_text(content).split("\f")[:-1]
    total = base.count("conversations")
    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page and "Created" in page and "Quality" in page
    assert "Filters: sort: oldest" in pages[0] and "Times are in Asia/Dubai" in pages[0] and "Filters" not in pages[1]
    text = "".join(pages)
    for row in listed(instance):
        if row["customerName"].startswith("Person"):
            assert len(re.findall(rf"\b{row['customerName']}\b", text)) == 1, row["customerName"]
    hot = base.count("conversations", "lead_quality = 'hot'")
    assert f"Leads: {total} (hot {hot}, warm" in pages[-1]
    assert "Sum of conversion values: 11,110.50" in pages[-1]
    size = subprocess.run(["pdfinfo", "-"], input=content, capture_output=True, timeout=60, check=True, text=False).stdout.decode()
    assert "A4" in size and re.search(r"Page size: +841\.\d+ x 595\.\d+", size)


def test_a_pdf_shapes_arabic_and_runs_nothing(instance):
    content = exported(instance.port, format="pdf", dateFrom="2026-02-01", dateTo="2026-02-03")[1]
    text = pdf_text(content)
    # Shaped letters are mapped back to the stored ones. pdftotext puts spaces between some of them.
    assert "سارةأحمد" in re.sub(r"[\s\u200e-\u202e]", "", text)
    assert "=HYPERLINK" in text and "Anna \"the buyer\"" in text
    assert not re.search(rb"/(JavaScript|JS|URI|Launch|OpenAction|AA)\b", content)
    # Arabic stands at the right edge of its column: the column begins with the other names.
    words = subprocess.run(["pdftotext", "-bbox", "-", "-"], input=content, capture_output=True, timeout=60, check=True).stdout.decode()
    left = {word: float(x) for x, word in re.findall(r'<word xMin="([\d.]+)"[^>]*>([^<]+)</word>', words)}
    arabic = [x for word, x in left.items() if re.search("[\u0600-\u06ff]", word)]
    assert arabic and min(arabic) > left["Anna"] + 20


def test_a_pdf_without_rows(instance):
    text = pdf_text(exported(instance.port, format="pdf", query="!!! & |")[1])
    assert "Page 1 of 1" in text and "Leads: 0 (hot 0, warm 0, cold 0)" in text and "Sum of conversion values: 0.00" in text


def test_a_pdf_cannot_have_messages(instance):
    response, body = ask(instance.port, {"format": "pdf", "with": ["messages"]})
    assert response.status == 400 and json.loads(body)["details"][0]["code"] == "not_in_this_format"


# ── By hand ──

def login(cluster, base):
    return cluster.url(base.name, "leadpipe_admin")


def test_by_hand_into_a_file_and_not_to_a_terminal(instance, base, cluster, tmp_path):
    url = login(cluster, base)
    done = by_hand(url, "--format", "xlsx", document=b'{"status": ["new"]}')
    assert done.returncode == 0, done.stderr
    assert len(sheet_rows(workbook(done.stdout)["Leads"])[1]) == len(listed(instance, status=["new"]))
    # Into a file: its size is not what the limit of a handler's files is about.
    with open(tmp_path / "leads.pdf", "wb") as file:
        subprocess.run([HANDLERS / "conversation-export", "--format", "pdf"], stdin=subprocess.DEVNULL, stdout=file, timeout=60, check=True,
            env=clean_environment(DATABASE_URL=url, ADMIN_API_KEY=KEY))
    assert "Page 1 of" in pdf_text((tmp_path / "leads.pdf").read_bytes())
    for word in ("xlsx", "pdf"):
        ours, theirs = pty.openpty()
        done = subprocess.run([HANDLERS / "conversation-export", "--format", word], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=60,
            env=clean_environment(DATABASE_URL=url, ADMIN_API_KEY=KEY))
        os.close(theirs)
        assert done.returncode == 65 and b"reply_is_binary" in os.read(ours, 10_000)
        os.close(ours)


def by_hand_limited(url, limit=None, **settings):
    """An export as XLSX whose files may have `limit` bytes, as on a disk that is full."""
    def prepare():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [HANDLERS / "conversation-export", "--format", "xlsx"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, preexec_fn=prepare,
        env=clean_environment(DATABASE_URL=url, ADMIN_API_KEY=KEY, **settings))


@pytest.mark.parametrize("limit", [0, 4096, 100_000, 400_000])
def test_a_full_disk_is_an_error_before_the_body(base, cluster, limit):
    done = by_hand_limited(login(cluster, base), limit)
    problem = json.loads(done.stdout)["problem"]
    assert done.returncode == 75 and problem["code"] == "file_not_stored" and problem["status"] == 503, done
    assert b"A file of an export cannot be made" in done.stderr
    assert os.listdir(FOLDER) == []


def test_a_folder_that_cannot_be_used_is_an_error(base, cluster, tmp_path):
    url = login(cluster, base)
    done = by_hand_limited(url, EXPORT_FOLDER=str(tmp_path / "absent"))
    assert done.returncode == 75 and json.loads(done.stdout)["problem"]["code"] == "file_not_stored"
    assert str(tmp_path).encode() not in done.stdout and b"cannot be made: No such file" in done.stderr
    # Another user could have made it, to read what is written there.
    private = tmp_path / os.path.basename(FOLDER)
    private.mkdir(mode=0o755)
    private.chmod(0o755)
    done = by_hand_limited(url, EXPORT_FOLDER=str(tmp_path))
    assert done.returncode == 75 and b"only this user can enter" in done.stderr
    private.chmod(0o700)
    done = by_hand_limited(url, EXPORT_FOLDER=str(tmp_path))
    assert done.returncode == 0 and os.listdir(private) == []
    assert by_hand_limited(url, EXPORT_FOLDER="tmp").returncode == 78


@pytest.mark.parametrize(("word", "library"), [("xlsx", "libxlsxwriter.so.4"), ("pdf", "libpangocairo-1.0.so.0")])
def test_csv_goes_on_where_a_library_is_missing(base, cluster, tmp_path, word, library):
    """In a mount namespace in which the library is an empty file."""
    path = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, check=True, text=True, timeout=20).stdout
    path = os.path.realpath(re.search(rf"{re.escape(library)} .*=> (\S+)", path)[1])
    script = f'mount --bind /dev/null "{path}" || exit 99; exec "$@"'
    for chosen in (word, "csv"):
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", HANDLERS / "conversation-export", "--format", chosen],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=clean_environment(DATABASE_URL=login(cluster, base), ADMIN_API_KEY=KEY))
        if done.returncode in (1, 99) and b"ermitted" in done.stderr:
            pytest.skip("mounting needs root")
        if chosen == "csv":
            assert done.returncode == 0 and done.stdout.startswith(b"\xef\xbb\xbf")
        else:
            problem = json.loads(done.stdout)["problem"]
            assert done.returncode == 65 and problem["details"][0]["code"] == "format_unavailable" and library in problem["detail"], done
            assert "csv" in problem["detail"]


def test_a_missing_font_is_an_error_and_no_boxes(base, cluster):
    folders = "/usr/share/fonts /usr/local/share/fonts /var/cache/fontconfig"
    script = f'for f in {folders}; do [ ! -d $f ] || mount -t tmpfs none $f || exit 99; done; exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", HANDLERS / "conversation-export", "--format", "pdf"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=clean_environment(DATABASE_URL=login(cluster, base), ADMIN_API_KEY=KEY))
    if b"ermitted" in done.stderr and done.returncode in (1, 99):
        pytest.skip("mounting needs root")
    problem = json.loads(done.stdout)["problem"]
    assert problem["details"][0]["code"] == "format_unavailable" and "font" in problem["detail"], done


def test_admin_handlers_do_not_load_the_libraries():
    """They start thousands of times."""
    for name in ("conversation-list", "conversation-export"):
        needed = subprocess.run(["readelf", "-d", HANDLERS / name], capture_output=True, check=True, text=True, timeout=20).stdout
        assert "NEEDED" in needed and not re.search("xlsx|pango|cairo|glib-|gobject", needed), needed


# ── Many rows ──

@pytest.fixture(scope="module")
def large(cluster):
    database = cluster.migrated()
    database.run(filled(100_000) + "analyze;")
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance, database
    cluster.drop(database)


def pss(pid):
    """The proportional set size in kB; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf8") as rollup:
            return int(re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)[1])
    except (FileNotFoundError, ProcessLookupError, PermissionError, TypeError):
        return 0


@pytest.mark.seconds(240)
def test_memory_does_not_grow_with_the_rows_of_a_workbook(large):
    instance, _ = large
    result, peak, start = [], 0, time.monotonic()
    client = threading.Thread(target=lambda: result.append(ask(instance.port, {"format": "xlsx"}, seconds=150)))
    client.start()
    handler = handler_of(instance)
    while client.is_alive():
        peak = max(peak, pss(handler))
        time.sleep(0.05)
    client.join()
    response, content = result[0]
    seconds = time.monotonic() - start
    print(f"100,000 rows: {seconds:.1f} s, {len(content)} bytes, peak of PSS {peak} kB")
    assert response.status == 200 and 0 < peak < 40_000, peak
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert parts.testzip() is None
        sheet = parts.read("xl/worksheets/sheet1.xml")
    assert sheet.count(b"<row ") == 100_001
    # Excel's limit is 65,530; each needs memory.
    assert sheet.count(b"<hyperlink ") == 5_000


def test_a_pdf_has_a_limit_that_names_the_other_formats(large):
    instance, _ = large
    response, body = ask(instance.port, {"format": "pdf"})
    problem = json.loads(body)
    assert response.status == 400 and problem["code"] == "too_many_rows" and "csv or xlsx" in problem["detail"]


@pytest.mark.seconds(240)
def test_a_pdf_of_the_most_rows_needs_little_memory(large):
    instance, database = large
    database.run("""
      update conversations set lead_score = 4 where lead_score = 3;
      update conversations set lead_score = 3 where id in (select id from conversations order by id limit 10000)""")
    result, peak = [], 0
    client = threading.Thread(target=lambda: result.append(ask(instance.port, {"format": "pdf", "scoreRange": "3:3"}, seconds=120)))
    client.start()
    handler = handler_of(instance)
    while client.is_alive():
        peak = max(peak, pss(handler))
        time.sleep(0.05)
    client.join()
    response, content = result[0]
    assert response.status == 200 and peak < 40_000, peak
    print(f"10,000 rows: {len(content)} bytes, peak of PSS {peak} kB")
    assert "Leads: 10000 (" in pdf_text(content)[-2000:]


@pytest.mark.parametrize("how", ["client leaves", "killed"])
def test_nothing_remains_of_a_workbook_that_is_not_wanted(large, how):
    instance, _ = large
    client = begin(instance, {"format": "xlsx"})
    handler = handler_of(instance)
    folder = f"/proc/{handler}/fd"
    until(lambda: any("leadpipe-export" in os.readlink(f"{folder}/{each}") for each in os.listdir(folder)), 20, "its files")
    assert os.stat(FOLDER).st_mode & 0o777 == 0o700 and os.listdir(FOLDER) == []
    if how == "killed":
        os.kill(handler, signal.SIGKILL)
        assert b"HTTP/1.1 502" in client.recv(1000)
    client.close()
    until(lambda: not instance.processes("conversation-export"), 5, "the end of the handler")
    assert os.listdir(FOLDER) == []
