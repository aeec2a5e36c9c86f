// Changes of many leads at once, and their undo.
import { api } from './api.js';
import { describe, done, same } from './actions.js';
import { onEvent } from './live.js';
import { t } from './i18n.js';

const PATH = '/api/admin/conversations/bulk';
const STORED = { agentId: 'assignedAgentId' };

// The latest rows that the feed told, so that the undo of a bulk change leaves alone what others have changed since.
const told = new Map();
onEvent(({ data }) => {
  const row = data?.conversation;
  if (!row) return;
  told.delete(row.id);
  told.set(row.id, row);
  if (told.size > 1000) told.delete(told.keys().next().value);
});

export const forget = () => told.clear();

async function send(rows, change) {
  const { data } = await api('POST', PATH, { body: { ids: rows.map(row => row.id), change } });
  return data.results;
}

/**
 * Applies changes to many rows: [{rows, fields}], one call for each. Returns the ids that failed. The undo takes back
 * all of them, with one call for each old value, and restores only rows that nobody has changed since.
 */
export async function changeMany(parts, text) {
  const failed = new Map();
  const made = [];
  let count = 0;
  for (const { rows, fields } of parts) {
    try {
      const results = await send(rows, fields);
      for (const result of results) if (result.status !== 200) failed.set(result.id, result.error ?? '');
      const changed = new Set(results.filter(result => result.changed).map(result => result.id));
      made.push({ rows: rows.filter(row => changed.has(row.id)), fields });
    } catch (problem) {
      // What was changed before can be undone; without any change, the problem itself is the message.
      if (!made.length && rows === parts.at(-1).rows) throw problem;
      for (const row of rows) failed.set(row.id, describe(problem));
    }
    count += rows.length;
  }
  const [reason] = failed.values();
  done(failed.size ? t('bulk.partly', { done: text(count - failed.size), count: failed.size, reason })
    : text(count), made.some(part => part.rows.length) ? () => undoAll(made) : null);
  return failed;
}

async function undoAll(made) {
  let restored = 0;
  for (const { rows, fields } of made) restored += await restore(rows, fields);
  return t('undo.many', { count: restored });
}

// Returns how many rows have their old values again.
async function restore(rows, fields) {
  const groups = new Map();
  const isStill = row => !told.has(row.id) || Object.keys(fields).every(field =>
    field === 'addTags' || field === 'removeTags'
      || same(told.get(row.id)[STORED[field] ?? field], fields[field]));
  for (const row of rows.filter(isStill)) {
    const old = {};
    for (const field of Object.keys(fields)) {
      if (field === 'addTags') old.removeTags = fields.addTags.filter(tag => !row.tags.includes(tag));
      else if (field === 'removeTags') old.addTags = fields.removeTags.filter(tag => row.tags.includes(tag));
      else old[field] = row[STORED[field] ?? field] ?? null;
    }
    const key = JSON.stringify(old);
    if (!groups.has(key)) groups.set(key, { old, rows: [] });
    groups.get(key).rows.push(row);
  }
  let restored = 0;
  for (const { old, rows: some } of groups.values()) {
    const results = await send(some, { ...old, ...old.agentId ? { force: true } : {} });
    restored += results.filter(result => result.status === 200).length;
  }
  return restored;
}
