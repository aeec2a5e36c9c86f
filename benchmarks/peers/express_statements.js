// POST /api/chatbot/leads with Express and node-pg: stores the same rows as capture_lead with statements of its own, in
// a transaction. Settings: PORT, OWNER_URL (the login of the tables' owner) and POOL.
const express = require('express');
const { Pool } = require('pg');
const { randomUUID } = require('crypto');

const url = new URL(process.env.OWNER_URL.replace('@/', '@localhost/'));
const pool = new Pool({
  user: url.username, database: url.pathname.slice(1), host: url.searchParams.get('host'), max: Number(process.env.POOL),
});
const app = express();
app.use(express.json());

const statements = {
  key: 'select conversation_id from idempotency_keys where route = $1 and key = $2',
  customer: "select customer_id from customer_identities where kind = 'phone' and value = $1 or kind = 'email' and value = $2 order by kind desc limit 1",
  insertKey: "insert into idempotency_keys (route, key, body_sha256, conversation_id) values ($1, $2, sha256(convert_to($3, 'UTF8')), $4)",
  conversation: `insert into conversations (id, customer_id, customer_name, customer_phone, customer_email, intent, budget, property_type,
    preferred_area, lead_score, lead_quality, lead_score_breakdown, metadata, source, sla_response_deadline, idempotency_key, start_time)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, now()) returning status, created_at, updated_at`,
  identity: 'insert into customer_identities (kind, value, customer_id) values ($1, $2, $3) on conflict do nothing',
  message: `insert into chat_messages (id, conversation_id, client_id, sender, message_text, "timestamp", metadata)
    values ($1, $2, $3, $4, $5, $6, '{}')`,
  event: "insert into lead_events (id, event_type, conversation_id, payload) values ($1, 'lead.created', $2, $3)",
  timeline: "insert into conversation_timeline (id, conversation_id, event_type, title, description) values ($1, $2, 'created', $3, $4)",
};

app.post('/api/chatbot/leads', async (request, response, next) => {
  const { messages, idempotencyKey, ...lead } = request.body;
  if (!lead.customerName) return response.status(400).json({ error: 'customerName is missing' });
  const client = await pool.connect();
  const run = async (name, values) => (await client.query({ name, text: statements[name], values })).rows;
  try {
    await client.query('begin');
    const id = randomUUID();
    if ((await run('key', ['lead-capture', idempotencyKey])).length) throw new Error('a repeat');
    const known = await run('customer', [lead.customerPhone, lead.customerEmail]);
    const customer = known.length ? known[0].customer_id : randomUUID();
    await run('insertKey', ['lead-capture', idempotencyKey, JSON.stringify(request.body), id]);
    const [row] = await run('conversation', [
      id, customer, lead.customerName, lead.customerPhone, lead.customerEmail, lead.intent, lead.budget, lead.propertyType, lead.preferredArea,
      42, 'cold', { source: 'server' }, lead.metadata, 'chatbot', '2027-01-01T00:00:00.000Z', `lead-capture:${idempotencyKey}`]);
    await run('identity', ['phone', lead.customerPhone, customer]);
    await run('identity', ['email', lead.customerEmail, customer]);
    for (const { id: message, sender, messageText, timestamp } of messages) {
      await run('message', [message, id, message, sender === 'user' ? 'customer' : sender, messageText, timestamp]);
    }
    await run('event', [randomUUID(), id, { ...lead, source: 'chatbot', leadScore: 42 }]);
    await run('timeline', [randomUUID(), id, 'Lead Created', 'Captured from chatbot']);
    await client.query('commit');
    response.status(201).json({ id, conversation: { id, status: row.status, createdAt: row.created_at, updatedAt: row.updated_at, ...lead } });
  } catch (error) {
    await client.query('rollback').catch(() => {});
    next(error);
  } finally {
    client.release();
  }
});

app.listen(Number(process.env.PORT), '127.0.0.1');
