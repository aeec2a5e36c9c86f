// Addresses of the panel, and the history.

const BASE = '/admin';
const VIEWS = ['inbox', 'follow-ups', 'overview', 'deliveries', 'agents', 'newsletter', 'keys', 'settings', 'login'];

/** Returns {view, params, query} for a path and a query string. `view` is null for an address that does not exist. */
export function parse(path, search = '') {
  const words = path.replace(/\/+$/, '').slice(BASE.length).split('/').filter(Boolean);
  const query = new URLSearchParams(search);
  if (!path.startsWith(BASE)) return { view: null, params: {}, query };
  if (words.length === 0) return { view: 'inbox', params: {}, query };
  if (words[0] === 'conversations' && words.length === 1) return { view: 'inbox', params: {}, query };
  if (words[0] === 'conversations' && words.length === 2) {
    try {
      return { view: 'conversation', params: { id: decodeURIComponent(words[1]) }, query };
    } catch { return { view: null, params: {}, query }; }
  }
  if (words.length === 1 && VIEWS.includes(words[0])) return { view: words[0], params: {}, query };
  return { view: null, params: {}, query };
}

/** Returns the address of a view. */
export function format({ view, params = {}, query }) {
  const path = view === 'conversation' ? `/conversations/${encodeURIComponent(params.id)}` : `/${view}`;
  const search = query ? new URLSearchParams(query).toString() : '';
  return BASE + path + (search ? `?${search}` : '');
}

const KEPT = 20;
const kept = new Map();
let show = null;
let current = null;
let entry = history.state?.entry ?? crypto.randomUUID();
// How many entries of this panel are before the present one in the history of the tab.
let depth = history.state?.depth ?? 0;

/**
 * Starts routing. `open(route, memory)` shows a view and returns {leave()}, whose result is given to `open` again when
 * the visitor comes back to the entry of the history.
 */
export function start(open) {
  show = open;
  history.scrollRestoration = 'manual';
  history.replaceState({ entry, depth }, '');
  addEventListener('popstate', event => {
    leave();
    entry = event.state?.entry ?? crypto.randomUUID();
    depth = event.state?.depth ?? 0;
    enter();
  });
  document.addEventListener('click', event => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey
      || event.altKey) return;
    const link = event.target.closest?.('a[href^="/admin"]');
    if (!link || link.target || link.hasAttribute('download')) return;
    event.preventDefault();
    navigate(link.getAttribute('href'));
  });
  enter();
}

function leave() {
  if (!current) return;
  const memory = { ...current.leave?.(), scroll: scrollY };
  kept.delete(entry);
  kept.set(entry, memory);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  current = null;
}

function enter() {
  const memory = kept.get(entry);
  current = show(parse(location.pathname, location.search), memory) ?? {};
  if (!memory) scrollTo(0, 0);
}

/** Opens an address as a new entry of the history. */
export function navigate(address) {
  leave();
  entry = crypto.randomUUID();
  depth += 1;
  history.pushState({ entry, depth }, '', address);
  enter();
}

/** Changes the address without opening a view, for filters and tabs. */
export function rewrite(address) {
  if (address !== location.pathname + location.search) history.replaceState({ entry, depth }, '', address);
}

/** Shows the current address again, for instance in another language. */
export function reopen() { leave(); enter(); }

/** Forgets all kept rows, at log-out. */
export function forget() { kept.clear(); }

/** Goes back if this page has a view to go back to; otherwise opens `address`. */
export function back(address) {
  if (depth > 0) history.back(); else navigate(address);
}
