// Changes of many leads at once, and their undo.
import { api } from './api.js';
import { describe, done, mayPass, same } from './actions.js';
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

// A row as it is now: a colleague may have changed it while a dialog was open.
const current = row => {
  const other = told.get(row.id);
  return other && other.updatedAt > row.updatedAt ? { ...row, ...other } : row;
};

/**
 * Applies changes to many rows: [{rows, fields}], one call for each. Returns the ids that failed. The undo takes back
 * all of them, with one call for each old value, and restores only rows that nobody has changed since.
 */
export async function changeMany(parts, text) {
  const failed = new Map();
  const made = [];
  let count = 0;
  let isAnySent = false;
  for (const { rows, fields } of parts) {
    const before = rows.map(current);
    try {
      const results = await send(rows, fields);
      isAnySent = true;
      for (const result of results) if (result.status !== 200) failed.set(result.id, result.error ?? '');
      const changed = new Set(results.filter(result => result.changed).map(result => result.id));
      // What was told before is older than this change, and no sign that somebody else has changed the row since.
      for (const id of changed) told.delete(id);
      made.push(...groups(before.filter(row => changed.has(row.id)), fields));
    } catch (problem) {
      // What was changed before can be undone; without any change, the problem itself is the message.
      if (!isAnySent && rows === parts.at(-1).rows) throw problem;
      for (const row of rows) failed.set(row.id, describe(problem));
    }
    count += rows.length;
  }
  done(partly(text, count - failed.size, [...failed.values()]), made.length ? undoOf(made) : null);
  return failed;
}

const partly = (text, count, failures) => failures.length
  ? t('bulk.partly', { done: text(count), count: failures.length, reason: failures[0] }) : text(count);

// Rows that had the same values before a change of `fields`: [{rows, fields, old}].
function groups(rows, fields) {
  const found = new Map();
  for (const row of rows) {
    const old = {};
    for (const field of Object.keys(fields)) {
      if (field === 'addTags') old.removeTags = fields.addTags.filter(tag => !row.tags.includes(tag));
      else if (field === 'removeTags') old.addTags = fields.removeTags.filter(tag => row.tags.includes(tag));
      else old[field] = row[STORED[field] ?? field] ?? null;
    }
    const key = JSON.stringify(old);
    if (!found.has(key)) found.set(key, { old, fields, rows: [] });
    found.get(key).rows.push(row);
  }
  return [...found.values()];
}

const isStill = (row, fields) => !told.has(row.id) || Object.keys(fields).every(field =>
  field === 'addTags' || field === 'removeTags'
    || same(told.get(row.id)[STORED[field] ?? field], fields[field]));

// What is taken back leaves `made`, so that after a lost connection the same undo goes on with the rest.
function undoOf(made) {
  const failures = [];
  let restored = 0;
  return async () => {
    while (made.length) {
      const [{ rows, fields, old }] = made;
      const some = rows.filter(row => isStill(row, fields));
      try {
        const results = some.length ? await send(some, { ...old, ...old.agentId ? { force: true } : {} }) : [];
        const refused = results.filter(result => result.status !== 200);
        restored += results.length - refused.length;
        failures.push(...refused.map(result => result.error ?? ''));
      } catch (problem) {
        if (mayPass(problem)) throw problem;
        // For instance, the agent of before has been removed.
        failures.push(...some.map(() => describe(problem)));
      }
      made.shift();
    }
    return partly(count => t('undo.many', { count }), restored, failures);
  };
}
