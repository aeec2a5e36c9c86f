"""Splits the files of schemas/ into statements, and finds the order in which the files can run."""

import re
from dataclasses import dataclass
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"

# A comment, a string, a quoted identifier, a dollar-quoted body, the end of a statement.
TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|(\$[a-z_]*\$).*?\1|;", re.S)
FUNCTION = re.compile(r"create or replace function ([\w.]+)\s*\(")
DEFINED = re.compile(r"create (?:or replace |unlogged )?(?:table|type|function|sequence|schema)(?: if not exists)? ([\w.]+)")
TARGET = re.compile(r"(?:\b(?:table|function|sequence|type|column|on|from)\s+|protect_table\(')((?:public|leadpipe)\.\w+)")
# The type of a variable, which PostgreSQL looks up when the function is created.
DECLARED = re.compile(r"^  \w+ ((?:public|leadpipe)\.\w+)(?:\[\])?(?: :=.*)?;$", re.M)
PLPGSQL_BODY = re.compile(r"language plpgsql.*?\$\$.*?\$\$", re.S)


@dataclass
class Statement:
    """A statement with the comment above it; `text` ends with its semicolon."""

    comment: str
    text: str

    @property
    def function(self):
        """The name of the function that the statement defines, or None."""
        found = FUNCTION.match(self.text)
        return found and found[1]

    @property
    def whole(self):
        return (self.comment + "\n" if self.comment else "") + self.text

    @property
    def target(self):
        """The name of the object that the statement creates, changes or grants privileges on, or None."""
        found = TARGET.search(self.text)
        return found and found[1]


def split(text):
    """Returns the statements of a script."""
    found, start = [], 0
    for token in TOKEN.finditer(text):
        if token[0] == ";":
            found.append(_statement(text[start:token.end()]))
            start = token.end()
    return found


def _statement(text):
    lines = text.strip("\n").split("\n")
    begin = next(n for n, line in enumerate(lines) if line.strip() and not line.startswith("--"))
    comment = begin
    while comment and lines[comment - 1].startswith("--"):
        comment -= 1
    return Statement("\n".join(lines[comment:begin]), "\n".join(lines[begin:]))


def ordered(folder=SCHEMAS):
    """Returns the files of schemas/, each after those that define what it refers to. Of the bodies of
    PL/pgSQL functions only the types of variables are examined, because PostgreSQL reads the rest at the first call."""
    texts = {path: path.read_text() for path in sorted(folder.rglob("*.sql"))}
    # roles.sql comes first: grants refer to roles, which have no schema.
    needed = {path: re.sub(r"--[^\n]*", "", PLPGSQL_BODY.sub(lambda body: " ".join(DECLARED.findall(body[0])), text)) for path, text in texts.items()}
    home = {name: path for path, text in texts.items() for name in DEFINED.findall(text) if "." in name}
    done = [folder / "roles.sql"] if folder / "roles.sql" in texts else []

    def visit(path, above=()):
        if path in above:
            raise SystemExit(f"{' and '.join(p.name for p in above[above.index(path):])} depend on each other")
        if path not in done:
            for name in re.findall(r"\b(?:public|leadpipe)\.\w+", needed[path]):
                if home.get(name, path) != path:
                    visit(home[name], (*above, path))
            done.append(path)

    for path in texts:
        visit(path)
    return done
