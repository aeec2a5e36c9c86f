// The live feed. One tab holds the stream and shares it with the others; a watchdog replaces a stream that is dead.
import { api, refreshSession } from './api.js';
import { session, topic } from './store.js';

const SILENCE = 70_000;        // A stream ends after 40 to 50 s, so a longer one without a new start is dead.
const GRACE = 5_000;           // Streams end all the time; only a longer gap is shown.
const LOCK = 'leadpipe-live';
const ASKS_EVERY = 5_000;      // The other tabs ask the leader this often.
const UNANSWERED = 2;          // After so many questions without a word from it, its page is frozen.
const NAMES = ['lead.created', 'lead.updated', 'sla', 'delivery', 'reset', 'hello'];

/** {isLive, checkedAt}: whether the feed works, and when the server was last heard. */
export const feed = topic({ isLive: false, checkedAt: null });

// What only the leader says.
const LEADS = new Set(['state', 'event', 'id']);

const channel = new BroadcastChannel('leadpipe');
const listeners = new Set();
const seen = new Set();
let source = null;
let lastId = null;
let isLeader = false;
let isStopped = true;
let release = null;
let queued = null;             // what ends the wait for the lead
let holder = null;             // the request that holds the lock
let asking = null;
let unanswered = 0;
let watchdog = null;
let lateness = null;
let pause = null;
let startedAt = 0;
let hasFailed = false;         // before the first stream opened, or since
let hasAsked = false;          // for a key, which the user did not enter

/** Calls `listener({name, data})` for each event of the feed. Returns what ends it. */
export function onEvent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function deliver(name, data) {
  if (data?.id) {
    if (seen.has(data.id)) return;
    seen.add(data.id);
    if (seen.size > 1000) seen.delete(seen.values().next().value);
  }
  // A listener that fails must not keep an event from the others.
  for (const listener of [...listeners]) try { listener({ name, data }); } catch (error) { console.error(error); }
}

function report(isLive) {
  const tell = () => {
    lateness = null;
    feed.set(old => ({ isLive, checkedAt: isLive ? Date.now() : old.checkedAt }));
    if (isLeader) channel.postMessage({ kind: 'state', ...feed.get() });
  };
  if (isLive) clearTimeout(lateness);
  // The first failure counts: the browser tries again every second or two.
  if (isLive || !feed.get().isLive) tell(); else lateness ??= setTimeout(tell, GRACE);
}

function open() {
  close();
  if (isStopped || !isLeader) return;
  const hadId = lastId !== null;
  source = new EventSource(`/api/admin/live${hadId ? `?lastEventId=${encodeURIComponent(lastId)}` : ''}`);
  const own = source;
  let isFirst = true;
  source.onopen = () => {
    report(true);
    guard();
    // Without an id the server cannot say what was missed since the lists were loaded.
    if (isFirst && !hadId && (hasFailed || Date.now() - startedAt > 300)) tellAll('reset', { reason: 'reopened' });
    isFirst = false;
    hasFailed = false;
  };
  for (const name of NAMES) {
    source.addEventListener(name, event => {
      if (event.lastEventId) lastId = event.lastEventId;
      report(true);
      if (name === 'hello') { channel.postMessage({ kind: 'id', id: lastId }); return; }
      tellAll(name, JSON.parse(event.data));
    });
  }
  source.onerror = () => {
    if (own !== source) return;
    hasFailed = true;
    report(false);
    if (own.readyState === EventSource.CLOSED) recover();
  };
  guard();
}

function tellAll(name, data) {
  channel.postMessage({ kind: 'event', name, data, id: lastId });
  deliver(name, data);
}

function close() {
  clearTimeout(watchdog);
  clearTimeout(pause);
  source?.close();
  source = null;
}

function guard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => { report(false); open(); }, SILENCE);
}

// The browser gives a stream up after any status but 200. The session route tells why.
async function recover() {
  close();
  let seconds = 3;
  try { await api('GET', '/api/admin/session', { asks: !hasAsked }); } catch (problem) {
    if (problem.status === 401) {
      // The dialog was closed. It does not come back by itself; a log-in goes on.
      hasAsked = true;
      return;
    }
    seconds = Math.max(problem.retryAfter ?? 0, 5);
  }
  if (!isStopped && isLeader) pause = setTimeout(open, seconds * 1000);
}
addEventListener('leadpipe-login', () => {
  hasAsked = false;
  if (isLeader && !isStopped && !source) open();
});

channel.onmessage = ({ data }) => {
  if (LEADS.has(data.kind)) unanswered = 0;
  if (data.id) lastId = data.id;
  if (data.kind === 'event' && !isStopped) deliver(data.name, data.data);
  if (data.kind === 'state' && !isLeader) feed.set({ isLive: data.isLive, checkedAt: data.checkedAt });
  if (data.kind === 'ask' && isLeader) channel.postMessage({ kind: 'state', id: lastId, ...feed.get() });
  if (data.kind === 'logout' && session.get()) dispatchEvent(new CustomEvent('leadpipe-logout'));
  if (data.kind === 'login') refreshSession().then(() => dispatchEvent(new CustomEvent('leadpipe-login')), () => {});
};

/** Tells the other tabs that this one has logged in or out. */
export const announce = kind => channel.postMessage({ kind });

/** Starts the feed in this tab, or waits until it leads. Without locks (no https) each visible tab has a stream. */
export function start() {
  if (!isStopped) return;
  isStopped = false;
  startedAt = Date.now();
  if (!navigator.locks) {
    isLeader = true;
    open();
    return;
  }
  queue();
  unanswered = 0;
  asking = setInterval(watchLeader, ASKS_EVERY);
  channel.postMessage({ kind: 'ask' });
}

function queue() {
  queued = new AbortController();
  lead({ signal: queued.signal });
}

// Leads as soon as the lock is free, or at once with `steal`. Ends with the page, at log-out, or if another tab steals.
function lead(options) {
  const own = {};
  navigator.locks.request(LOCK, options, () => new Promise(resolve => {
    if (isStopped) { resolve(); return; }
    holder = own;
    queued = null;
    release = resolve;
    isLeader = true;
    open();
  })).catch(error => {
    if (error.name !== 'AbortError') { console.error(error); return; }
    if (holder !== own || isStopped) return;
    holder = null;
    // This page was frozen, and another tab has taken over. It hands the lead back if it is closed.
    close();
    isLeader = false;
    queue();
    channel.postMessage({ kind: 'ask' });
  });
}

// A browser may freeze the page that leads, and then its lock is never free. A frozen page answers no question; timers
// are no proof of it, because browsers slow those of hidden pages down.
function watchLeader() {
  if (isLeader || isStopped) return;
  if (unanswered < UNANSWERED) {
    unanswered += 1;
    channel.postMessage({ kind: 'ask' });
    return;
  }
  unanswered = 0;
  queued?.abort();
  lead({ steal: true });
}

/** Ends the feed, at log-out. */
export function stop() {
  isStopped = true;
  close();
  isLeader = false;
  lastId = null;
  seen.clear();
  release?.();
  release = null;
  queued?.abort();
  queued = null;
  clearInterval(asking);
  feed.set({ isLive: false, checkedAt: null });
}

export const leads = () => isLeader;

addEventListener('online', () => { if (isLeader) open(); });
addEventListener('offline', () => { if (isLeader) report(false); });
addEventListener('pageshow', event => { if (event.persisted && isLeader) open(); });
document.addEventListener('visibilitychange', () => {
  if (navigator.locks || isStopped) return;
  if (document.hidden) close(); else open();
});
