// The client of the admin interface (docs/reference/admin.md): CSRF, problems, ETags, and the waits after 401 and 429.
import { session, topic } from './store.js';
import { noteServerTime } from './time.js';

/** A failed request. `status` is 0 if there was no reply. `details` lists faults of fields: {path, code, message}. */
export class Problem extends Error {
  constructor(status, document = {}, headers = new Headers()) {
    super(document.detail ?? document.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = document.code ?? (status === 0 ? 'offline' : `http_${status}`);
    this.title = document.title ?? document.error ?? `HTTP ${status}`;
    this.details = document.details ?? [];
    this.requestId = headers.get('x-request-id') ?? document.requestId ?? null;
    this.retryAfter = Math.min(Number(headers.get('retry-after')) || 0, 120);
  }
}

/** {isOnline, since, waitsUntil}: whether the server replies, since when not, until when requests wait (429, 503). */
export const connection = topic({ isOnline: true, since: null, waitsUntil: null });

/** Calls `back` each time the server replies again after it did not. Returns what ends it. */
export function onReconnect(back) {
  let wasOnline = connection.get().isOnline;
  return connection.subscribe(({ isOnline }) => {
    if (isOnline && !wasOnline) back();
    wasOnline = isOnline;
  });
}

const newest = new Map();
let logIn = null;

/** Sets the function that asks for a key over the page. It resolves to whether it succeeded. */
export function onUnauthorized(ask) { logIn = ask; }

function reportReply(isOnline) {
  if (connection.get().isOnline === isOnline) return;
  connection.set(now => ({ ...now, isOnline, since: isOnline ? null : Date.now() }));
}

async function wait(seconds) {
  const until = Date.now() + seconds * 1000;
  connection.set(now => ({ ...now, waitsUntil: until }));
  await new Promise(resolve => setTimeout(resolve, seconds * 1000));
  if (connection.get().waitsUntil === until) connection.set(now => ({ ...now, waitsUntil: null }));
}

async function send(method, path, { body, etag, signal, isRaw, asked }) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && session.get()?.csrfToken) headers['X-CSRF-Token'] = session.get().csrfToken;
  if (etag) headers['If-Match'] = etag;
  let reply;
  try {
    reply = await (asked ?? fetch(path, {
      method, headers, credentials: 'same-origin', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.any([AbortSignal.timeout(isRaw ? 150_000 : 30_000), ...signal ? [signal] : []]),
    }));
  } catch (error) {
    if (signal?.aborted) throw error;
    reportReply(false);
    throw new Problem(0);
  }
  reportReply(true);
  // One that was asked for early has waited for the modules.
  if (!asked) noteServerTime(reply.headers.get('date'));
  return reply;
}

async function problem(reply) {
  let document = {};
  try { document = await reply.json(); } catch { /* A proxy's error page is no JSON; the status says enough. */ }
  return new Problem(reply.status, document, reply.headers);
}

/**
 * Sends a request and returns {data, etag, reply}, or throws a Problem.
 *
 * After 401 it asks for a key over the page and repeats the request, as after 429, once its time has come: both were
 * refused before they changed anything. After 503 only a GET is repeated. A newer request of a `kind` aborts the older.
 * `isRaw` leaves the body unread. `asks: false` throws the 401. `asked` is the reply to the same request, if that has
 * been sent already.
 */
export async function api(method, path, { body, etag, signal, kind, isRaw = false, asks = true, asked } = {}) {
  if (kind) {
    newest.get(kind)?.abort();
    const controller = new AbortController();
    newest.set(kind, controller);
    signal = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
  }
  for (let attempt = 1; ; attempt += 1) {
    const reply = await send(method, path, { body, etag, signal, isRaw, asked: attempt === 1 ? asked : null });
    signal?.throwIfAborted();
    if (reply.ok) {
      const hasText = !isRaw && reply.status !== 204;
      return { data: hasText ? await reply.json() : null, etag: reply.headers.get('etag'), reply };
    }
    const failure = await problem(reply);
    if (failure.status === 401 && asks && attempt < 4 && await logIn?.()) continue;
    if (failure.code === 'csrf_token_required' && attempt < 3) { await refreshSession(); continue; }
    const mayRepeat = failure.status === 429 || failure.status === 503 && method === 'GET';
    if (!mayRepeat || attempt > 3 || path.startsWith('/api/admin/session') || isRaw) throw failure;
    await wait(failure.retryAfter || attempt * 2);
    signal?.throwIfAborted();
  }
}

const LIMITS = { page: { default: 25, max: 100 }, bulk: 500, requests: null, exports: null };

/** Completes the reply of the session route, so that the rest of the page need not check for members. */
export function sessionOf(data) {
  return { agent: null, timeZone: 'Asia/Dubai', exports: ['csv'], channels: [], ...data,
    limits: { ...LIMITS, ...data.limits } };
}

/** Reads the session again, for instance after another tab has logged in. */
export async function refreshSession() {
  const { data } = await api('GET', '/api/admin/session', { asks: false });
  session.set(sessionOf(data));
}

/** Opens a session with {key} or {loginToken}. */
export async function openSession(credentials) {
  const { data } = await api('POST', '/api/admin/session', { body: credentials, asks: false });
  session.set(sessionOf(data));
}

/** True if an error only says that the request was superseded or its view was left. */
export const isAbort = error => error?.name === 'AbortError';
