// The same insert from node with node-pg. Reads the argument of capture_lead from stdin.
const { Client } = require('pg');
const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk)).on('end', async () => {
  const url = new URL(process.env.DATABASE_URL.replace('@/', '@localhost/'));
  const client = new Client({
    user: url.username, database: url.pathname.slice(1), host: url.searchParams.get('host'),
  });
  await client.connect();
  const result = await client.query('select public.capture_lead($1::jsonb) as reply', [Buffer.concat(chunks).toString()]);
  console.log(JSON.stringify(result.rows[0].reply));
  await client.end();
});
