// POST /api/chatbot/leads with Express and node-pg. Settings: PORT, DATABASE_URL, POOL, and PROCESSES, which share the
// port.
const cluster = require('cluster');
const express = require('express');
const { Pool } = require('pg');
const argument = require('./argument');

const url = new URL(process.env.DATABASE_URL.replace('@/', '@localhost/'));
const pool = new Pool({
  user: url.username, database: url.pathname.slice(1), host: url.searchParams.get('host'), max: Number(process.env.POOL) / Number(process.env.PROCESSES),
});
const app = express();
app.use(express.json());

app.post('/api/chatbot/leads', async (request, response, next) => {
  try {
    if (!request.body.customerName) return response.status(400).json({ error: 'customerName is missing' });
    const result = await pool.query({
      name: 'capture', text: 'select public.capture_lead($1::jsonb) as reply', values: [argument(request.body)],
    });
    const { id, status, created, createdAt, updatedAt } = result.rows[0].reply;
    const { messages, idempotencyKey, ...lead } = request.body;
    response.status(created ? 201 : 200).json({ id, conversation: { id, status, createdAt, updatedAt, ...lead } });
  } catch (error) {
    next(error);
  }
});

if (cluster.isPrimary && process.env.PROCESSES > 1) {
  for (let n = 0; n < process.env.PROCESSES; n++) cluster.fork();
} else {
  app.listen(Number(process.env.PORT), '127.0.0.1');
}
