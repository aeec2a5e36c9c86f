"""POST /api/chatbot/leads as a CGI script in Python."""

import json
import os
import sys

import psycopg
from argument import answer, argument

body = json.load(sys.stdin.buffer)
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    reply, = connection.execute("select public.capture_lead(%s::jsonb)", [argument(body)]).fetchone()
sys.stdout.write(f"Status: {201 if reply['created'] else 200}\r\nContent-Type: application/json\r\n\r\n{answer(body, reply)}")
