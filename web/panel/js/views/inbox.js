// The inbox: which lead to answer first.
import { agents, me, scope, trail } from '../lib/store.js';
import { api, connection, onReconnect } from '../lib/api.js';
import { bind } from '../lib/keys.js';
import { changeMany } from '../lib/bulk.js';
import { obstacle, report } from '../lib/actions.js';
import { feed, onEvent } from '../lib/live.js';
import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { format, navigate, rewrite } from '../lib/router.js';
import { isPlain, parameters, queryString, read, write } from '../lib/filters.js';
import { clock, onTick } from '../lib/time.js';
import { label, number, t } from '../lib/i18n.js';
import { leadList, MOST } from '../lib/leads.js';
import { emptyState, errorState, loading, nameOf } from '../parts/chips.js';
import { filterBar, words } from '../parts/filterbar.js';
import { leadTable, pill, selectionBar } from '../parts/list.js';
import { step } from '../parts/table.js';
import { askChange } from '../parts/changes.js';
import { exportList } from '../parts/forms.js';
import { say, toast } from '../parts/toast.js';

const TABS = ['mine', 'unassigned', 'all'];
const standardTab = () => me() ? 'mine' : 'all';

export function open({ query, outlet, memory }) {
  const life = scope();
  const region = h('div', { class: 'list-region' });
  const list = leadList(() => draw());
  const selected = new Map();
  let filters = read(query, standardTab());
  let [anchor, endLoading, isAll, toldProblem] = [null, null, false, null];
  let counts = memory?.counts ?? {};
  let isAsking = false;

  const heading = h('h1', { tabindex: '-1', class: 'sr' }, t('nav.inbox'));
  const tabs = h('div', { class: 'switches tabs', role: 'group', 'aria-label': t('tabs.label') },
    TABS.map((tab, index) =>
    h('button', { type: 'button', data: { tab }, 'aria-keyshortcuts': String(index + 1), onClick: () => show(tab) },
      h('span', null, t(`tab.${tab}`)), h('span', { class: 'count' }))));
  const bar = filterBar({ change, onEnter: openOnly, onExport: offerExport });
  const table = leadTable({ onSelect: select, onSelectAll: isOn => selectRows(list.rows, isOn), actions: row =>
    rowActions(row) });
  const news = pill(() => showNews());
  const selection = selectionBar({ onAction: bulk, onAll: selectAll, onClear: clearSelection });
  const more = h('button', { type: 'button', class: 'button', onClick: () => list.more() });
  const position = h('span', { class: 'secondary' });
  const state = h('span', { class: 'feed-state secondary' });
  const footer = h('footer', { class: 'list-foot' }, more, position, state);
  const choose = h('button', { type: 'button', class: 'button phone-only', 'aria-pressed': 'false', onClick: () =>
    setSelecting(!outlet.classList.contains('is-selecting')) }, t('select.button'));
  fill(outlet, heading, h('div', { class: 'inbox-head' }, bar.node,
    h('div', { class: 'tabs-row' }, tabs, bar.chips, choose)), news.node, region, footer, selection.node);

  const show = tab => change({ ...filters, tab, assignedAgentIds: [] });

  function keepAddress() {
    const search = write(filters, standardTab());
    rewrite(`/admin/inbox${search ? `?${search}` : ''}`);
  }

  function change(next, isTyping = false) {
    filters = next;
    keepAddress();
    if (!isTyping) clearSelection();
    bar.update(filters);
    const sayFound = () => { if (isTyping && list.total !== null) say(t('inbox.found', { count: list.total })); };
    list.load(filters).then(sayFound);
  }

  function draw() {
    // Before anything is written: reading the scroll position afterwards would lay the page out once more.
    if (list.waiting.size && isAtRest()) { list.show(); return; }
    const { rows, problem, isLoading, isLoaded } = list;
    if (isLoading && !endLoading) endLoading = loading(region);
    if (!isLoading && endLoading) { endLoading(); endLoading = null; }
    if (problem && !rows.length) {
      if (!region.querySelector('[role=alert]')) fill(region, errorState(problem, () => list.load(filters)));
    } else if (isLoaded && !rows.length && !isLoading) fill(region, empty());
    else if (rows.length) {
      if (table.node.parentNode !== region) fill(region, table.node);
      table.update(rows, { selected, stale: list.stale, fresh: list.fresh, pending: list.pending });
    }
    news.update(list.waiting.size, list.stale.size);
    for (const button of tabs.children) {
      const { tab } = button.dataset;
      setAttribute(button, 'aria-pressed', String(tab === filters.tab));
      const count = tab === filters.tab && list.total !== null && isPlain(filters) ? list.total : counts[tab];
      setText(button.lastChild, count === undefined ? '' : number(count));
    }
    more.hidden = !list.cursor || rows.length >= MOST;
    more.disabled = isLoading;
    setText(more, t('inbox.more', { count: 25 }));
    setText(position, rows.length >= MOST && list.cursor ? t('inbox.narrow') : rows.length
      ? t(list.isEstimate ? 'inbox.about' : 'inbox.position', { shown: rows.length, count: list.total ?? 0 }) : '');
    const marked = [...selected.values()].filter(row => list.touched.has(row.id)).map(nameOf);
    selection.update({ count: selected.size, total: list.total ?? 0, isAll, names: marked, reason: obstacle() });
    outlet.classList.toggle('has-selection', selected.size > 0);
    if (problem && rows.length && problem !== toldProblem) toast(t('inbox.stale'), { isError: true });
    toldProblem = problem;
  }

  // New rows enter at once only if nobody would notice that the list moves.
  const isAtRest = () => scrollY < 8 && selected.size === 0 && !region.contains(document.activeElement)
    && !region.matches(':hover') && !document.querySelector('dialog[open]');

  function empty() {
    if (filters.tab === 'mine' && !me()) return emptyState(t('empty.noAgent'),
      h('a', { class: 'button', href: '/admin/settings' }, t('empty.whoAmI')));
    const way = (text, next, words) => emptyState(text,
      h('button', { type: 'button', class: 'button', onClick: () => change(next) }, words));
    // Most searches for a known lead end here because it is closed or another agent's.
    if (filters.q.trim() && (filters.status.length || filters.tab !== 'all')) return way(t('empty.noHit'),
      { ...read(new URLSearchParams()), q: filters.q, status: [] }, t('empty.searchAll'));
    if (!isPlain(filters)) return way(t('empty.noMatch'), read(new URLSearchParams(), filters.tab), t('filter.clear'));
    if (filters.tab === 'mine') {
      return way(t('empty.mine'), { ...filters, tab: 'unassigned' },
        t('empty.toUnassigned', { count: counts.unassigned ?? 0 }));
    }
    if (filters.tab === 'unassigned') return way(t('empty.unassigned'), { ...filters, tab: 'all' }, t('tab.all'));
    return way(t('empty.none'), { ...filters, status: [] }, t('empty.closed'));
  }

  let countTimer = null;
  let laterTimer = null;
  async function loadCounts() {
    clearTimeout(countTimer);
    countTimer = setTimeout(async () => {
      const wanted = TABS.filter(tab => tab !== 'mine' || me());
      const totals = await Promise.allSettled(wanted.map(tab => api('GET', `/api/admin/conversations?${queryString({
        ...parameters({ tab, sort: 'recent', q: '', status: ['new', 'in-progress'] }, me()), limit: 1 })}`)));
      // Without its number a tab works too; the list itself reports what is wrong.
      counts = Object.fromEntries(wanted.map((tab, index) => [tab, totals[index].value?.data.total]));
      if (!life.isOver) draw();
    }, 400);
  }

  function showNews() {
    const count = list.waiting.size;
    list.show();
    scrollTo({ top: 0 });
    say(t('inbox.shown', { count }));
  }

  function select(id, isRange) {
    const ids = list.rows.map(row => row.id);
    const [a, b] = [ids.indexOf(anchor), ids.indexOf(id)];
    const isOn = !selected.has(id);
    const range = isRange && a >= 0 ? list.rows.slice(Math.min(a, b), Math.max(a, b) + 1) : [list.rows[b]];
    anchor = id;
    selectRows(range, isRange ? true : isOn);
  }

  function selectRows(rows, isOn) {
    for (const row of rows) if (isOn) selected.set(row.id, row); else selected.delete(row.id);
    isAll = false;
    list.touched.clear();
    draw();
  }

  async function selectAll() {
    try {
      for (const row of await list.all()) selected.set(row.id, row);
      isAll = true;
      draw();
    } catch (problem) { report(problem); }
  }

  function clearSelection() {
    selected.clear();
    isAll = false;
    setSelecting(false);
    draw();
  }

  function setSelecting(isOn) {
    outlet.classList.toggle('is-selecting', isOn);
    setAttribute(choose, 'aria-pressed', String(isOn));
  }

  const rowActions = row => [{ label: t('bulk.assign'), icon: 'person', reason: obstacle(), run: () =>
    bulk('assign', [row]) },
    { label: t('assign.me'), icon: 'person', reason: obstacle(), run: () => bulk('me', [row]) },
    { label: t('bulk.status'), icon: 'flag', reason: obstacle(), run: () => bulk('status', [row]) }];

  const focusedRow = () => list.rows.find(row => row.id === document.activeElement?.closest('tr')?.dataset.id);

  async function bulk(name, only = null) {
    const rows = only ?? (selected.size ? [...selected.values()].map(row =>
      list.rows.find(one => one.id === row.id) ?? row) : [focusedRow()].filter(Boolean));
    if (!rows.length) { toast(t('select.first')); return; }
    const reason = obstacle();
    if (reason) { toast(reason, { isError: true }); return; }
    // One dialog at a time, also while it is on its way.
    if (isAsking) return;
    try {
      // In the order of the list, also if they were selected in another.
      const places = new Map(list.rows.map((row, index) => [row.id, index]));
      rows.sort((a, b) => (places.get(a.id) ?? MOST) - (places.get(b.id) ?? MOST));
      isAsking = true;
      const wanted = await askChange(name, rows, [...new Set(list.rows.flatMap(row => row.tags))].sort())
        .finally(() => { isAsking = false; });
      // The answer to who one is decides which tab an address without one means.
      if (!life.isOver) keepAddress();
      if (!wanted) return;
      const failed = await changeMany(wanted.parts, wanted.text);
      const sent = new Set(wanted.parts.flatMap(part => part.rows.map(row => row.id)));
      if (!only) for (const id of sent) if (!failed.has(id)) selected.delete(id);
      if (!selected.size) setSelecting(false);
      isAll = false;
      await list.refresh();
      loadCounts();
    } catch (problem) { report(problem); }
  }

  function openOnly() {
    const go = () => { if (list.rows.length === 1) navigate(format({ view: 'conversation',
      params: { id: list.rows[0].id } })); else table.body.querySelector('a')?.focus(); };
    if (list.isLoading) setTimeout(() => { if (!list.isLoading) go(); else setTimeout(go, 600); }, 300); else go();
  }

  function offerExport() {
    const tab = filters.tab === 'all' ? [] : [t(`tab.${filters.tab}`)];
    exportList({ filters: parameters(filters, me()), total: list.total ?? 0, order: label('sort', filters.sort),
      names: [...tab, ...words(filters).map(word => word.text), ...filters.q ? [`“${filters.q}”`] : []] });
  }

  const hasRow = () => list.rows.length > 0;
  life.add(bind('view', [
    ...TABS.map((tab, index) => ({ key: String(index + 1), label: `${t('tabs.label')}: ${t(`tab.${tab}`)}`,
      run: () => show(tab) })),
    ...[['j', 1], ['ArrowDown', 1], ['k', -1], ['ArrowUp', -1]].map(([key, by]) => ({ key, isHidden: key.length > 1,
      label: t(by > 0 ? 'keys.down' : 'keys.up'), run: () => step(table.body, by), isAllowed: hasRow })),
    { key: 'Enter', label: t('keys.open'), run: () =>
      (document.activeElement?.closest('tr') ?? table.body).querySelector('a.lead-name')?.click(),
      isAllowed: hasRow },
    { key: 'x', label: t('keys.select'),
      run: () => {
        const row = focusedRow() ?? list.rows[0];
        table.body.querySelector(`[data-id="${row?.id}"] a.lead-name`)?.focus();
        if (row) select(row.id, false);
      } },
    { key: 'X', label: t('keys.selectAll'), run: () => selectRows(list.rows, selected.size < list.rows.length) },
    { key: 'a', label: t('bulk.assign'), run: () => bulk('assign') },
      { key: 'i', label: t('assign.me'), run: () => bulk('me') },
      { key: 'A', label: t('share.button'), run: () => bulk('share'), isAllowed: () => selected.size > 1 },
      { key: 's', label: t('bulk.status'), run: () => bulk('status') },
    { key: '/', label: t('search.label'), run: () => { bar.search.focus(); bar.search.select(); } },
    { key: '.', label: t('keys.showNew'), run: showNews, isAllowed: () => list.waiting.size + list.stale.size > 0 },
    { key: 'e', label: t('export.button'), run: offerExport },
      { key: 'f', label: t('filter.button'), run: () => bar.node.querySelector('[aria-haspopup]').click() },
    { key: 'Escape', isHidden: true, run: () => clearSelection() },
  ]));
  const showFeed = () => {
    const { isLive, checkedAt } = feed.get();
    setAttribute(state, 'class', `feed-state secondary ${isLive ? 'is-live' : ''}`);
    setText(state, isLive ? t('feed.live', { time: clock(checkedAt, true) }) : checkedAt
      ? t('feed.paused', { time: clock(checkedAt, true) }) : t('feed.connecting'));
  };
  life.add(feed.subscribe(showFeed));
  life.add(connection.subscribe(() => draw()));
  life.add(onReconnect(loadCounts));
  life.add(agents.subscribe(() => bar.update(filters)));
  life.add(onTick(() => { list.tick(); showFeed(); }));
  const countLater = () => { laterTimer = null; loadCounts(); };
  life.add(onEvent(({ name, data }) => {
    if (name !== 'delivery' && !document.hidden) laterTimer ??= setTimeout(countLater, 15_000);
    const row = data?.conversation;
    // The old values of an undo, also of rows that "Select all" has added.
    if (selected.has(row?.id)) selected.set(row.id, { ...selected.get(row.id), ...row });
  }));
  life.add(() => { clearTimeout(countTimer); clearTimeout(laterTimer); list.end(); life.isOver = true; });

  bar.update(filters);
  showFeed();
  if (memory?.isLoaded && memory.search === write(filters, standardTab())) {
    Object.assign(list, { rows: memory.rows, total: memory.total, cursor: memory.cursor, isLoaded: true, filters });
    for (const row of memory.selected) selected.set(row.id, row);
    draw();
    scrollTo(0, memory.scroll ?? 0);
    table.body.querySelector(`[data-id="${memory.focus}"] a.lead-name`)?.focus({ preventScroll: true });
    list.refresh();
  } else change(filters);
  // The tabs' numbers count open leads whatever the filters are, so that only changes of leads change them.
  loadCounts();

  return { title: t('nav.inbox'), heading, keepsFocus: Boolean(memory?.focus), leave() {
    const search = write(filters, standardTab());
    trail.set({ ids: list.rows.map(row => row.id), address: `/admin/inbox${search ? `?${search}` : ''}` });
    const focus = document.activeElement?.closest('tr')?.dataset.id ?? null;
    life.end();
    outlet.classList.remove('is-selecting', 'has-selection');
    return { rows: list.rows, isLoaded: list.isLoaded, total: list.total, cursor: list.cursor, search, focus, counts,
      selected: [...selected.values()] };
  } };
}

