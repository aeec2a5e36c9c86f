// The outbox: what the visitor sent, until the server has it. What the server could not get in 30 days is given up.
import { Store } from './store.js';
import { FormToken } from './work.js';

const KEEPALIVE_LIMIT = 60_000;
const WAITS = [1, 3, 8, 20, 40, 60, 120, 300];
const DAY = 86_400_000;
const LONGEST_WAIT = 3_600_000;

/** Returns a new UUID of version 4. crypto.randomUUID is missing on http. */
export function newID() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 15 | 64;
  bytes[8] = bytes[8] & 63 | 128;
  const text = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/**
 * Calls `work` in one tab at a time. Without locks (http, or a browser that refuses them together with its storage), the
 * idempotency key alone prevents a second lead.
 */
async function alone(name, work) {
  let hasBegun = false;
  try {
    return await navigator.locks.request(`leadpipe:${name}`, () => { hasBegun = true; return work(); });
  } catch (error) {
    if (hasBegun) throw error;
    return work();
  }
}

function fitsKeepalive(body) { return new TextEncoder().encode(body).length < KEEPALIVE_LIMIT; }

/** True if nothing is to be sent: the server has it, or the visitor must change it first. */
export function isOver(record) { return !record || record.sentKey === record.key || record.state === 'refused'; }

/** True if its time has come. A time beyond the longest wait comes from a clock that was set back. */
function isDue({ nextAt }) {
  const wait = nextAt - Date.now();
  return wait <= 0 || wait > LONGEST_WAIT;
}

/**
 * A record: {id, type, path, body, key, token, sentKey, tries, nextAt, state, status, details, madeAt}. Its states:
 * waiting, sending, sent, offline, busy (429 or 503), unreachable, refused (400: `details`), failed (another 4xx).
 * `key` belongs to one content: new content gets a new key.
 *
 * Dispatches `change` with the record as `detail`.
 */
export class Outbox extends EventTarget {
  #records = new Map();
  #flying = new Set();
  #tokens = new Map();
  #timer = null;
  #channel = null;

  /** @param api the server's address without a slash at its end */
  constructor(store, api) {
    super();
    this.store = store;
    this.api = api;
    const flush = () => this.flush();
    addEventListener('online', () => this.retry());
    addEventListener('pageshow', flush);
    addEventListener('pagehide', () => this.#leave());
    document.addEventListener('visibilitychange', flush);
    try {
      this.#channel = new BroadcastChannel('leadpipe-outbox');
      this.#channel.onmessage = ({ data }) => { this.#tell({ ...data, isOfOtherTab: true }, false); };
    } catch { /* Then a tab learns of the others when it looks again. */ }
  }

  /** The form token of the next submission of a type. */
  token(type) {
    if (!this.#tokens.has(type)) this.#tokens.set(type, new FormToken(this.api));
    return this.#tokens.get(type);
  }

  /** Keeps a submission, or the new content of one that has its id, and begins to send it. Resolves once it is kept. */
  async put(id, { type, path, body }) {
    const token = this.token(type).fields;
    const record = await this.store.change(id, old => {
      if (old && JSON.stringify(old.body) === JSON.stringify(body) && !['refused', 'failed'].includes(old.state)) return undefined;
      return {
        ...old, id, type, path, api: this.api, body, key: newID(), token: old?.token ?? token, tries: 0,
        nextAt: old?.state === 'busy' ? old.nextAt : 0, state: old?.state === 'busy' ? 'busy' : 'waiting', status: old?.status ?? 0, details: [], madeAt: old?.madeAt ?? Date.now(),
      };
    });
    this.#tell(record);
    this.flush();
    return record;
  }

  get(id) { return this.store.get(id); }

  /** The records of a type that were not sent, or that the server refused. */
  async waiting(type) {
    const found = await this.#all();
    return found.filter(record => record.type === type && record.sentKey !== record.key);
  }

  async forget(id) {
    this.#records.delete(id);
    await this.store.change(id, () => null);
  }

  /** Sends everything again now, as when the visitor asks for it. A time that the server named is kept. */
  async retry() {
    for (const { id } of await this.#all()) {
      await this.store.change(id, now => now?.state === 'busy' || !now?.key ? undefined
        : { ...now, nextAt: 0, state: ['failed', 'refused'].includes(now.state) ? 'waiting' : now.state });
    }
    return this.flush();
  }

  async #all() {
    const all = await this.store.all();
    return all.filter(record => record.key && record.api === this.api);
  }

  /** Sends what is due, and sets the timer for what is not. */
  async flush() {
    let next = Infinity;
    for (const record of await this.#all()) {
      this.#records.set(record.id, record);
      // What the server has need not stay on the device, except that of a chat that may go on: its memory forgets it.
      const isStored = record.sentKey === record.key && record.type !== 'chat';
      if (Date.now() > (isStored ? record.sentAt + DAY : record.madeAt + 30 * DAY)) { await this.forget(record.id); continue; }
      if (isOver(record)) continue;
      if (!isDue(record)) next = Math.min(next, record.nextAt);
      else if (!this.#flying.has(record.id)) this.#send(record.id);
    }
    this.#wake(next);
  }

  #wake(at) {
    clearTimeout(this.#timer);
    if (at < Infinity) this.#timer = setTimeout(() => this.flush(), Math.max(at - Date.now(), 50));
  }

  async #send(id) {
    this.#flying.add(id);
    try {
      await alone(id, () => this.#attempt(id));
    } finally { this.#flying.delete(id); }
    this.flush();
  }

  async #attempt(id) {
    // Read again: another tab may have sent it while this one waited for its turn.
    let record = await this.store.get(id);
    const mustWait = record => isOver(record) || !isDue(record);
    if (mustWait(record)) { if (record) this.#tell(record, false); return; }
    this.#tell({ ...record, state: 'sending' }, false);
    let outcome;
    try {
      const token = this.token(record.type);
      // A token of an earlier page is old enough.
      const { fields, usableAt } = record.token && !token.fields ? { usableAt: 0 } : await token.get(record.tries);
      await new Promise(resolve => setTimeout(resolve, Math.max(0, usableAt - Date.now())));
      // The token is part of the content, so it stays the same for every try.
      record = await this.store.change(id, now => now && !now.token ? { ...now, token: fields } : undefined);
      if (mustWait(record)) return;
      outcome = await this.#post(record);
    } catch {
      outcome = { state: navigator.onLine === false ? 'offline' : 'unreachable', status: 0 };
    }
    const { key } = record;
    const told = await this.store.change(id, now => now && this.#after(now, key, outcome));
    if (told) this.#tell(told);
  }

  /** Returns the record after a try with `key`. */
  #after(now, key, { state, status, wait = 0, details = [] }) {
    // The visitor went on meanwhile: what is new is sent next, whatever came of the old content.
    const isNewer = now.key !== key;
    if (state === 'sent') {
      return { ...now, sentKey: key, isStored: true, tries: 0, nextAt: 0, status, state: isNewer ? 'waiting' : 'sent', sentAt: Date.now() };
    }
    const backoff = WAITS[Math.min(now.tries, WAITS.length - 1)] * (0.8 + Math.random() * 0.4);
    if (status === 422 && !isNewer) {
      return { ...now, key: newID(), state: now.tries ? 'unreachable' : 'waiting', status, tries: now.tries + 1, nextAt: now.tries ? Date.now() + backoff * 1000 : 0 };
    }
    if (isNewer && !wait) return { ...now, state: 'waiting' };
    if (state === 'refused') return { ...now, state, status, details };
    // A fault of the installation, such as a wrong address: it may have been mended in an hour.
    if (state === 'failed') wait = 3600;
    return { ...now, state, status, tries: now.tries + 1, details, nextAt: Date.now() + (wait || backoff) * 1000 };
  }

  /** Every try of one content is the same, whether the browser can set its header (fetch) or not (sendBeacon). */
  static #body(record) {
    return JSON.stringify({ website2: '', ...record.body, ...record.token, idempotencyKey: record.key });
  }

  async #post(record) {
    const body = Outbox.#body(record);
    const reply = await fetch(record.api + record.path, {
      method: 'POST', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': record.key }, body,
      // It goes on when the page is closed.
      keepalive: fitsKeepalive(body), credentials: 'omit', signal: AbortSignal.timeout(20_000),
    });
    let document = null;
    try { document = await reply.json(); } catch { /* No reply of ours. */ }
    const { status } = reply;
    // The log-in page of a hotel's network also answers 200.
    if (reply.ok) return document?.id || document?.success === true ? { state: 'sent', status } : { state: 'unreachable', status };
    if (status === 400 && document?.details?.length) return { state: 'refused', status, details: document.details };
    if (status === 429 || status === 503) {
      const wait = Number(reply.headers.get('retry-after')) || Number(document?.retryAfterSeconds) || 0;
      return { state: 'busy', status, wait: Math.min(wait, 3600) };
    }
    if (status >= 500 || [408, 422, 425].includes(status)) return { state: 'unreachable', status };
    return { state: 'failed', status, details: document?.details ?? [] };
  }

  /** Last chance of a page that is being closed: what is not on its way is sent by the browser. Nothing is deleted. */
  #leave() {
    for (const record of this.#records.values()) {
      // Without its token the content could differ from that of a later try.
      // A time that the server named is kept.
      if (isOver(record) || !record.token || this.#flying.has(record.id) || record.state === 'busy') continue;
      const body = Outbox.#body(record);
      if (fitsKeepalive(body)) Outbox.#sendLast(record, body);
    }
  }

  /** Hands a request to the browser, which sends it without the page. */
  static #sendLast({ api, path, key }, body) {
    // sendBeacon always sends cookies, which the public routes allow to no other origin; so it is for the same origin, and
    // for browsers without keepalive, which may do without it.
    if (new URL(api).origin === location.origin || !('keepalive' in Request.prototype)) {
      navigator.sendBeacon?.(api + path, new Blob([body], { type: 'application/json' }));
    } else {
      fetch(api + path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key }, body, keepalive: true, credentials: 'omit' }).catch(() => {});
    }
  }

  #tell(record, isNews = true) {
    this.#records.set(record.id, record);
    this.dispatchEvent(new CustomEvent('change', { detail: record }));
    if (isNews) this.#channel?.postMessage(record);
  }
}

const shared = new Map();

/** The outbox for an API. The chatbot and the forms of a page share it. */
export function outbox(api) {
  if (!shared.has(api)) {
    const made = new Outbox(new Store(), api);
    shared.set(api, made);
    made.flush();
  }
  return shared.get(api);
}
