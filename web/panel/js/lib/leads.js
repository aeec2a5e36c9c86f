// The rows of the inbox: loaded by cursor, changed by the live feed, never moved under the reader.
import { api, isAbort, onReconnect } from './api.js';
import { comparison, matches, parameters, queryString } from './filters.js';
import { onEvent } from './live.js';
import { onChange } from './actions.js';
import { now } from './time.js';
import { me } from './store.js';

export const MOST = 500;
const PATH = '/api/admin/conversations';
const FRESH = 4000;
let count = 0;
const newer = (a, b) => a.updatedAt >= b.updatedAt;

/**
 * Returns a list of leads for filters. `changed()` is called after each change. Members: rows, waiting (new rows that
 * are not shown yet), stale (rows that no longer match), fresh, pending, touched (changed by an event), total.
 */
export function leadList(changed) {
  const list = {
    rows: [], waiting: new Map(), stale: new Set(), fresh: new Set(), pending: new Set(), touched: new Set(),
    total: null, isEstimate: false, cursor: null, problem: null, isLoading: false, isLoaded: false, filters: null,
  };
  let early = [];
  let isOver = false;
  // Of its own, so that the list of a view that was left aborts no other.
  const kind = `leads ${count += 1}`;

  const fetchPage = (limit, cursor) => api('GET',
    `${PATH}?${queryString({ ...parameters(list.filters, me()), limit, cursor })}`,
    { kind });

  function adopt(data) {
    list.total = data.total;
    list.isEstimate = data.totalIsEstimate;
    list.cursor = data.nextCursor;
  }

  /** Loads the first page for filters. The old rows stay until it is there. */
  list.load = async filters => {
    list.filters = filters;
    list.problem = null;
    list.isLoading = true;
    early = [];
    changed();
    try {
      const { data } = await fetchPage(25);
      list.rows = data.data;
      adopt(data);
      list.isLoaded = true;
      for (const set of [list.waiting, list.stale, list.fresh, list.pending, list.touched]) set.clear();
    } catch (problem) {
      if (isAbort(problem)) return;
      list.problem = problem;
    }
    list.isLoading = false;
    replay();
    changed();
  };

  function replay() {
    for (const [row, isCreated] of early.splice(0)) take(row, isCreated);
  }

  list.more = async () => {
    if (!list.cursor || list.isLoading || list.rows.length >= MOST) return;
    list.isLoading = true;
    changed();
    try {
      const { data } = await fetchPage(25, list.cursor);
      const known = new Set(list.rows.map(row => row.id));
      list.rows = [...list.rows, ...data.data.filter(row => !known.has(row.id))];
      for (const row of data.data) list.waiting.delete(row.id);
      adopt(data);
      list.problem = null;
    } catch (problem) {
      if (isAbort(problem)) return;
      list.problem = problem;
    }
    list.isLoading = false;
    replay();
    changed();
  };

  /** Reads the loaded rows again without moving them: what changed is patched, what is new waits. */
  list.refresh = async () => {
    if (!list.filters || list.isLoading || isOver) return;
    if (!list.isLoaded) { await list.load(list.filters); return; }
    try {
      const { data } = await fetchPage(Math.min(100, list.rows.length + 25));
      const found = new Map(data.data.map(row => [row.id, row]));
      // New rows push the last ones out of the page, so only what comes before its end is known to be gone.
      const order = comparison(list.filters.sort);
      const end = data.data.at(-1);
      const covers = row => data.nextCursor === null || Boolean(order && end && order(row, end) < 0);
      list.rows = list.rows.map(row => {
        const other = found.get(row.id);
        return other && newer(other, row) ? other : row;
      });
      for (const row of list.rows) {
        if (found.has(row.id)) list.stale.delete(row.id);
        else if (covers(row)) list.stale.add(row.id);
      }
      const known = new Set(list.rows.map(row => row.id));
      for (const row of data.data) if (!known.has(row.id) && belongsHere(row)) list.waiting.set(row.id, row);
      list.total = data.total;
      list.problem = null;
      changed();
    } catch (problem) {
      if (!isAbort(problem)) { list.problem = problem; changed(); }
    }
  };

  function belongsHere(row) {
    const order = comparison(list.filters.sort);
    const last = list.rows.at(-1);
    return !list.cursor || !last || !order || order(row, last) <= 0;
  }

  // Events may come by the hundred; the rows are drawn once for each frame.
  let isPlanned = false;
  function changedSoon() {
    if (isPlanned) return;
    isPlanned = true;
    const tell = () => { isPlanned = false; if (!isOver) changed(); };
    if (document.hidden) setTimeout(tell, 50); else requestAnimationFrame(tell);
  }

  function take(row, isCreated) {
    if (!list.filters) return;
    // What is being loaded may be older than this row.
    if (list.isLoading) { early.push([row, isCreated]); return; }
    const index = list.rows.findIndex(one => one.id === row.id);
    const fits = matches(list.filters, row, me());
    if (index >= 0) {
      if (!newer(row, list.rows[index])) return;
      list.rows = list.rows.with(index, { ...list.rows[index], ...row });
      list.touched.add(row.id);
      if (fits === false) list.stale.add(row.id); else list.stale.delete(row.id);
    } else if (list.waiting.has(row.id)) {
      if (fits === false) list.waiting.delete(row.id); else list.waiting.set(row.id, row);
    } else if (fits && (isCreated || belongsHere(row))) list.waiting.set(row.id, row);
    else return;
    changedSoon();
  }

  /** Lets the waiting rows in, removes the stale ones, and sorts. */
  list.show = () => {
    const incoming = [...list.waiting.values()];
    for (const row of incoming) list.fresh.add(row.id);
    const gone = list.stale;
    if (list.total !== null) list.total += incoming.length - list.rows.filter(row => gone.has(row.id)).length;
    list.rows = [...incoming, ...list.rows.filter(row => !gone.has(row.id))].slice(0, MOST);
    const order = comparison(list.filters.sort);
    if (order) list.rows.sort(order);
    list.waiting.clear();
    list.stale.clear();
    changed();
    setTimeout(() => { for (const row of incoming) list.fresh.delete(row.id); changedSoon(); }, FRESH);
  };

  /** The ids of all matches, at most 500, for "select all". */
  list.all = async () => {
    const rows = [];
    let cursor = null;
    do {
      const { data } = await api('GET',
        `${PATH}?${queryString({ ...parameters(list.filters, me()), limit: 100, cursor })}`);
      rows.push(...data.data);
      cursor = data.nextCursor;
    } while (cursor && rows.length < MOST);
    return rows.slice(0, MOST);
  };

  /** Rows with a deadline that has passed count as late before the server says so. */
  list.tick = () => {
    const at = now();
    const isDue = row => row.slaState !== 'breached' && !row.firstResponseAt && row.slaResponseDeadline
      && Date.parse(row.slaResponseDeadline) <= at;
    if (list.rows.some(isDue) || list.rows.length) changed();
  };

  const ends = [
    () => { isOver = true; },
    onReconnect(() => list.refresh()),
    onEvent(({ name, data }) => {
      if (name === 'reset') list.refresh();
      else if (data?.conversation) take(data.conversation, name === 'lead.created');
    }),
    onChange((row, isPending) => {
      const index = list.rows.findIndex(one => one.id === row.id);
      if (index < 0) return;
      list.rows = list.rows.with(index, { ...list.rows[index], ...row });
      if (isPending) list.pending.add(row.id); else list.pending.delete(row.id);
      if (!isPending && matches(list.filters, list.rows[index], me()) === false) list.stale.add(row.id);
      changed();
    }),
  ];
  list.end = () => { for (const end of ends) end(); };
  return list;
}
