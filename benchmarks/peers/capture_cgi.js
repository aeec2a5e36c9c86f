#!/usr/bin/env node
// POST /api/chatbot/leads as a CGI script in node.
const { readFileSync } = require('fs');
const { Client } = require('pg');
const argument = require('./argument');

(async () => {
  const body = JSON.parse(readFileSync(0, 'utf8'));
  const url = new URL(process.env.DATABASE_URL.replace('@/', '@localhost/'));
  const client = new Client({ user: url.username, database: url.pathname.slice(1), host: url.searchParams.get('host') });
  await client.connect();
  const { rows: [{ reply }] } = await client.query('select public.capture_lead($1::jsonb) as reply', [argument(body)]);
  const { id, status, created, createdAt, updatedAt } = reply;
  const { messages, idempotencyKey, ...lead } = body;
  const answer = JSON.stringify({ id, conversation: { id, status, createdAt, updatedAt, ...lead } });
  process.stdout.write(`Status: ${created ? 201 : 200}\r\nContent-Type: application/json\r\n\r\n${answer}`);
  await client.end();
})();
