// The inbox's filters: from and to the address, to the API's parameters, and as a test of live rows. All pure.

/** The filters that take several values, with what is offered. `null`: the offer comes from elsewhere. */
export const CHOICES = {
  status: ['new', 'in-progress', 'completed', 'lost', 'converted', 'spam'],
  leadQuality: ['hot', 'warm', 'cold'],
  slaState: ['breached', 'warning', 'ok', 'met'],
  intent: ['buy', 'rent', 'sell', 'invest', 'browse'],
  source: ['chatbot', 'contact_form', 'property_inquiry', 'sell_submission'],
  followUpStatus: ['overdue', 'due-today', 'scheduled'],
  assignedAgentIds: null,
  tags: null,
  areas: null,
};
export const SORTS = ['sla', 'recent', 'oldest', 'hot', 'highest-budget', 'lowest-budget', 'follow-up'];
export const TABS = ['mine', 'unassigned', 'all'];
const OPEN = ['new', 'in-progress'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Returns the filters of an address. Unknown parts are dropped, because the API would refuse them. */
export function read(query, standardTab = 'all') {
  const filters = { tab: standardTab, sort: 'sla', q: '', status: OPEN };
  if (TABS.includes(query.get('tab'))) filters.tab = query.get('tab');
  if (SORTS.includes(query.get('sort'))) filters.sort = query.get('sort');
  filters.q = (query.get('q') ?? '').slice(0, 200);
  for (const [name, offered] of Object.entries(CHOICES)) {
    if (!query.has(name)) continue;
    const values = query.getAll(name).flatMap(value => name === 'areas' ? [value] : value.split(',')).filter(value =>
      name === 'assignedAgentIds' ? value === 'none' || UUID.test(value) : offered ? offered.includes(value)
        : value.length > 0 && value.length <= 100);
    if (values.length) filters[name] = values;
  }
  if (query.get('status') === 'any') filters.status = [];
  for (const name of ['dateFrom', 'dateTo']) if (DAY.test(query.get(name) ?? '')) filters[name] = query.get(name);
  return filters;
}

/** Returns the query string of filters; what has its standard value is left out. */
export function write(filters, standardTab = 'all') {
  const query = new URLSearchParams();
  if (filters.tab !== standardTab) query.set('tab', filters.tab);
  for (const name of Object.keys(CHOICES)) {
    const values = filters[name] ?? [];
    if (name === 'status') {
      if (values.join() !== OPEN.join()) query.set('status', values.length ? values.join() : 'any');
    } else if (name === 'areas') values.forEach(value => query.append(name, value));
    else if (values.length) query.set(name, values.join());
  }
  for (const name of ['dateFrom', 'dateTo']) if (filters[name]) query.set(name, filters[name]);
  if (filters.sort !== 'sla') query.set('sort', filters.sort);
  if (filters.q) query.set('q', filters.q);
  return query.toString();
}

/** Returns the parameters of the API for filters. `me` is the agent of the tab Mine. */
export function parameters(filters, me) {
  const result = {};
  for (const name of Object.keys(CHOICES)) if (filters[name]?.length) result[name] = filters[name];
  // Whoever is no agent has no leads.
  if (filters.tab === 'mine') result.assignedAgentIds = [me ?? '00000000-0000-0000-0000-000000000000'];
  if (filters.tab === 'unassigned') result.assignedAgentIds = ['none'];
  for (const name of ['dateFrom', 'dateTo']) if (filters[name]) result[name] = filters[name];
  if (filters.q.trim()) result.query = filters.q.trim();
  result.sort = filters.sort;
  return result;
}

/** Returns parameters as a query string; a list is repeated or joined. */
export function queryString(given) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (name === 'areas') value.forEach(one => query.append(name, one));
    else query.set(name, Array.isArray(value) ? value.join() : value);
  }
  return query.toString();
}

/**
 * Reports whether a row from the live feed belongs to the list. Returns null if only the server can tell: a search, a
 * period, and follow-ups of today depend on what a page does not have.
 */
export function matches(filters, row, me) {
  const has = (name, value) => !filters[name]?.length || filters[name].includes(value);
  if (filters.tab === 'mine' && row.assignedAgentId !== me) return false;
  // Without a filter for it, the server leaves out spam.
  if (row.status === 'spam' && !filters.status?.includes('spam')) return false;
  if (filters.tab === 'unassigned' && row.assignedAgentId !== null) return false;
  if (filters.tab === 'all' && !has('assignedAgentIds', row.assignedAgentId ?? 'none')) return false;
  for (const [name, member] of [['status', 'status'], ['leadQuality', 'leadQuality'], ['slaState', 'slaState'],
    ['intent', 'intent'], ['source', 'source'], ['areas', 'preferredArea']]) if (!has(name, row[member])) return false;
  if (filters.tags?.some(tag => !row.tags.includes(tag))) return false;
  if (filters.q.trim() || filters.dateFrom || filters.dateTo || filters.followUpStatus?.length) return null;
  return true;
}

/** The number of filters that are set, besides tab, sort and search. */
export const count = filters => Object.keys(CHOICES).filter(name => name === 'status'
  ? (filters.status ?? []).join() !== OPEN.join() : filters[name]?.length).length + (filters.dateFrom
    || filters.dateTo ? 1 : 0);

/** The filters without any but the tab, with all statuses. */
export const cleared = filters => ({ tab: filters.tab, sort: filters.sort, q: '', status: OPEN });

/** Reports whether nothing but the tab and the sort is set. */
export const isPlain = filters => count(filters) === 0 && !filters.q.trim();

// A value that sorts rows without one last.
const LAST = '\uffff';
const KEYS = {
  sla: row => row.firstResponseAt || row.status !== 'new' && row.status !== 'in-progress' ? LAST
    : row.slaResponseDeadline ?? LAST,
  oldest: row => row.createdAt,
  'follow-up': row => row.followUpDate ?? LAST,
};

/**
 * Returns a comparison of rows as the server sorts them, or null for orders that only the server knows (by budget). It
 * serves to place live rows; the next load has the server's order.
 */
export function comparison(sort) {
  if (sort === 'recent') return (a, b) => b.createdAt.localeCompare(a.createdAt);
  if (sort === 'hot') return (a, b) => b.leadScore - a.leadScore || b.createdAt.localeCompare(a.createdAt);
  const key = KEYS[sort];
  if (!key) return null;
  return (a, b) => {
    const [x, y] = [key(a), key(b)];
    return x < y ? -1 : x > y ? 1 : b.createdAt.localeCompare(a.createdAt);
  };
}
