// Changes of leads: shown at once, rolled back if they fail, undone by Z, and merged if another agent was quicker.
import { api, connection, isAbort } from './api.js';
import { label, list, number, t } from './i18n.js';
import { agents, may, session } from './store.js';
import { dateTime, now } from './time.js';
import { choose, confirm } from '../parts/dialogs.js';
import { toast } from '../parts/toast.js';

const MOST = 50;
const stack = [];
const observers = new Set();
const path = id => `/api/admin/conversations/${id}`;

/** Calls `observer(row, isPending)` for each lead that this page has changed or is changing. Returns what ends it. */
export function onChange(observer) {
  observers.add(observer);
  return () => observers.delete(observer);
}

function tell(row, isPending = false) {
  for (const observer of [...observers]) observer(row, isPending);
}

/** Returns why a change is not possible now, as a text, or null. */
export function obstacle(right = 'write') {
  if (!connection.get().isOnline) return t('obstacle.offline');
  if (!may(right)) return t(session.get()?.rights === 'read' ? 'obstacle.read' : 'obstacle.owner');
  return null;
}

/** Shows a problem: what is wrong, its fields, and the id of the request for the operator. */
export function report(problem) {
  if (isAbort(problem)) return;
  if (!('status' in problem)) { console.error(problem); toast(t('error.unexpected'), { isError: true }); return; }
  toast(describe(problem), { isError: true, more: problem.requestId ? t('error.request', { id: problem.requestId })
    : null });
}

export function describe(problem) {
  if (problem.status === 0) return t('error.offline');
  if (problem.details?.length) return problem.details.map(fault => fault.message).join('; ');
  const known = { conversation_not_found: 'error.noLead', insufficient_rights: 'error.rights',
    rate_limited: 'error.limit' };
  return known[problem.code] ? t(known[problem.code]) : problem.message;
}

/** Puts what undoes a change on the stack and says what was done. Z undoes it also after the message has gone. */
export function done(text, undo) {
  if (!undo) { toast(text); return; }
  stack.push(undo);
  if (stack.length > MOST) stack.shift();
  toast(text, { action: { label: t('undo'), key: 'Z', run: undoLast } });
}

/** Reports whether a request that failed may succeed later: without a connection, or when the server is busy. */
export const mayPass = problem => !problem.status || problem.status >= 429;

/** Undoes the last change that can be undone. */
export async function undoLast() {
  const reason = obstacle();
  if (reason) { toast(reason, { isError: true }); return; }
  const undo = stack.pop();
  if (!undo) { toast(t('undo.nothing')); return; }
  try {
    const text = await undo();
    toast(text ?? t('undo.done'));
  } catch (problem) {
    // What the server could not do now can be undone later.
    if (mayPass(problem)) stack.push(undo);
    report(problem);
  }
}

export const forget = () => { stack.length = 0; };

/** Compares two values: lists by their members. */
export const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

async function latest(id) {
  const { data, etag } = await api('GET', path(id));
  return { row: data, etag };
}

/**
 * Sends a request that may answer 412 with the ETag of `lead` ({row, etag}). If another agent changed one of `fields`
 * meanwhile, a dialog shows both values; otherwise the request is repeated. Returns the reply, or null if theirs stays.
 */
async function guarded(lead, fields, wanted, request) {
  let { row, etag } = lead;
  for (let round = 0; round < 4; round += 1) {
    try { return await request(etag); } catch (problem) {
      if (problem.status !== 412) throw problem;
      const theirs = await latest(row.id);
      const changed = fields.filter(field => !same(row[field], theirs.row[field])
        && !same(theirs.row[field], wanted[field]));
      if (changed.length && !await keepsMine(row, theirs.row, wanted, changed)) {
        lead.row = theirs.row;
        lead.etag = theirs.etag;
        tell(theirs.row);
        return null;
      }
      ({ row, etag } = theirs);
      lead.row = row;
      lead.etag = etag;
    }
  }
  throw new Error('the lead changes faster than it can be saved');
}

/** Asks which value of `fields` to keep: `mine`, or `theirs`, saved since `before`. Resolves to whether it is mine. */
export async function keepsMine(before, theirs, mine, fields) {
  const { data } = await api('GET', `${path(before.id)}/timeline?limit=1`).catch(() => ({ data: { data: [] } }));
  const [last] = data.data;
  return choose({
    title: t('conflict.title'),
    text: t('conflict.text', { name: last?.actorName ?? t('conflict.someone') }),
    at: last?.at ?? theirs.updatedAt,
    rows: fields.map(field => ({ label: label('field', field), before: shown(field, before),
      theirs: shown(field, theirs), mine: shown(field, mine) })),
  });
}

const TIMES = new Set(['firstResponseAt', 'followUpDate', 'slaResponseDeadline']);

/** A value of a lead in words, for the dialog: the name of an agent, a time of the office, an amount. */
function shown(field, row) {
  const value = row[field];
  if (field === 'assignedAgentId') {
    return value ? row.assignedAgentName ?? agents.get().find(agent => agent.id === value)?.name ?? t('agent.unknown')
      : t('agent.nobody');
  }
  if (value === null || value === undefined || value === '') return '–';
  if (Array.isArray(value)) return list(value);
  if (field === 'status' || field === 'leadQuality') return label(field === 'status' ? 'status' : 'quality', value);
  if (TIMES.has(field)) return dateTime(value);
  return typeof value === 'number' ? number(value) : String(value);
}

/**
 * Changes fields of a lead with If-Match. `lead` is {row, etag} and is updated. Shows the change at once, and the old
 * values again if it fails. Returns whether it was saved. A change that adds to what is stored says what it `shows`,
 * and which fields `reverse` it, given the row before; it cannot conflict with that of another agent.
 */
export async function change(lead, fields, { text, undoes = true, shows = fields, reverse = null } = {}) {
  const reason = obstacle();
  if (reason) { toast(reason, { isError: true }); return false; }
  const { id } = lead.row;
  tell({ ...lead.row, ...shows }, true);
  try {
    const guards = reverse ? [] : Object.keys(fields);
    const reply = await guarded(lead, guards, fields, etag => api('PATCH', path(id), { body: fields, etag }));
    if (!reply) return false;
    // The values that were saved over: after a conflict, those of the other agent. A score decides the quality.
    const names = [...Object.keys(fields), ...'leadScore' in fields ? ['leadQuality'] : []];
    const old = reverse?.(lead.row) ?? Object.fromEntries(names.map(field => [field, lead.row[field] ?? null]));
    const made = Object.fromEntries(Object.keys(old).filter(field => field in reply.data)
      .map(field => [field, reply.data[field]]));
    adopt(lead, reply.data, reply.etag);
    if (text) done(text, undoes ? () => undoChange(id, made, old) : null);
    return true;
  } catch (problem) {
    tell(lead.row);
    report(problem);
    return false;
  }
}

// An undo is a new change, and only of what still has the value that this page gave it.
async function undoChange(id, made, old) {
  const lead = await latest(id);
  if (!Object.keys(made).every(field => same(lead.row[field], made[field]))) return t('undo.changed');
  const { data, etag } = await api('PATCH', path(id), { body: old, etag: lead.etag });
  adopt(lead, data, etag);
  return t('undo.done');
}

function adopt(lead, row, etag) {
  lead.row = { ...lead.row, ...row };
  lead.etag = etag ?? null;
  tell(lead.row);
}

/** Records an answer. It fixes the SLA result and cannot be undone. */
export async function respond(lead, body) {
  const reply = await guarded(lead, ['firstResponseAt'], { firstResponseAt: new Date(now()).toISOString() },
    etag => api('POST', `${path(lead.row.id)}/respond`, { body, etag }));
  if (!reply) return false;
  adopt(lead, reply.data.conversation, reply.etag);
  toast(reply.data.isFirst ? t('answer.first') : t('answer.logged'));
  return true;
}

/** Assigns one lead; null removes its agent. Asks before it overloads an agent. */
export async function assign(lead, agent) {
  const before = lead.row;
  if (before.assignedAgentId === (agent?.id ?? null)) return true;
  const wanted = { assignedAgentId: agent?.id ?? null, assignedAgentName: agent?.name ?? null };
  tell({ ...before, ...wanted }, true);
  const send = isForced => guarded(lead, ['assignedAgentId'], wanted, etag => agent
    ? api('POST', `${path(before.id)}/assign`, { body: { agentId: agent.id, ...isForced ? { force: true } : {} },
      etag })
    : api('DELETE', `${path(before.id)}/assign`, { etag }));
  try {
    let reply;
    try { reply = await send(false); } catch (problem) {
      if (problem.status !== 409 || !agent) throw problem;
      if (!await confirm({ title: t('assign.full', { name: agent.name }), text: t('assign.fullText'),
        yes: t('assign.anyway') })) {
        tell(lead.row);
        return false;
      }
      reply = await send(true);
    }
    if (!reply) return false;
    const over = lead.row;
    adopt(lead, reply.data.conversation, reply.etag);
    done(agent ? t('assign.done', { name: agent.name }) : t('assign.removed'), () =>
      undoAssign(over, wanted.assignedAgentId));
    return true;
  } catch (problem) {
    tell(lead.row);
    report(problem);
    return false;
  }
}

async function undoAssign(before, given) {
  const lead = await latest(before.id);
  if (lead.row.assignedAgentId !== given) return t('undo.changed');
  const { data, etag } = before.assignedAgentId
    ? await api('POST', `${path(before.id)}/assign`, { body: { agentId: before.assignedAgentId, force: true },
      etag: lead.etag })
    : await api('DELETE', `${path(before.id)}/assign`, { etag: lead.etag });
  adopt(lead, data.conversation, etag);
  return t('undo.done');
}
