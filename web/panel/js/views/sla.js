// The banner over every view: who is late, who is due soon; and the signs outside the page, title and notification.
import { api, connection } from '../lib/api.js';
import { bind } from '../lib/keys.js';
import { clock, isOpen, now, onTick, span } from '../lib/time.js';
import { feed, leads, onEvent } from '../lib/live.js';
import { fill, h, icon, setAttribute } from '../lib/dom.js';
import { navigate } from '../lib/router.js';
import { onChange } from '../lib/actions.js';
import { preference, urgent } from '../lib/store.js';
import { t } from '../lib/i18n.js';
import { nameOf } from '../parts/chips.js';
import { ring, showNotification, wantsNotification } from '../lib/notify.js';
import { say, toast } from '../parts/toast.js';

const EVERY = 60_000;
// The list of the view comes first; both at once would make it later.
const AFTER = 250;
// More are counted as "at least". Each lead is some 2 kB.
const MOST = 15;
const address = row => `/admin/conversations/${row.id}`;
const isLate = row => Date.parse(row.slaResponseDeadline) <= now();
let baseTitle = 'Leadpipe';

/** Sets the title of the page; the number of late leads stands before it. */
export function setTitle(title) {
  baseTitle = title;
  showTitle();
}

function showTitle() {
  const late = urgent.get().rows.filter(isLate).length;
  document.title = `${late ? `(${late}) ` : ''}${baseTitle} · Leadpipe`;
}

/** Starts the banner in `node`. Returns {end(), refresh()}. */
export function startBanner(node) {
  const told = new Set();
  let isFirst = true;
  let timer = null;
  let content = '';
  // The first load is already planned.
  let isSoon = true;

  async function load() {
    isSoon = false;
    clearTimeout(timer);
    timer = setTimeout(load, EVERY);
    if (document.hidden && !leads()) return;
    try {
      const { data } = await api('GET', `/api/admin/sla?limit=${MOST}`, { kind: 'sla' });
      urgent.set({ rows: data.data, total: data.total, at: Date.now() });
    } catch { /* The banner keeps its leads and shows the time of them; the view reports what is wrong. */ }
  }
  // Events that never pause must not put it off for ever.
  const soon = () => {
    if (isSoon) return;
    isSoon = true;
    clearTimeout(timer);
    timer = setTimeout(load, 2000);
  };

  const first = () => urgent.get().rows.find(row => !row.firstResponseAt && isOpen(row));

  function draw() {
    const rows = urgent.get().rows.filter(row => !row.firstResponseAt && isOpen(row));
    const late = rows.filter(isLate);
    const due = rows.filter(row => !isLate(row));
    showTitle();
    for (const row of late) if (!told.has(row.id)) { told.add(row.id); if (!isFirst) { say(t('banner.isLate',
      { name: nameOf(row) })); notify(row, t('banner.isLate', { name: nameOf(row) })); } }
    isFirst = isFirst && !urgent.get().at;
    // Until it is known, its place is empty.
    node.hidden = !rows.length && !urgent.get().at;
    if (node.hidden) { content = ''; return; }
    // The rows are in the order of their deadlines: what is cut off is of the last kind that is shown.
    const isCut = urgent.get().total > urgent.get().rows.length;
    const summary = [late.length && t(isCut && !due.length ? 'banner.lateMore' : 'banner.late', { count: late.length }),
      due.length && t(isCut ? 'banner.dueMore' : 'banner.due', { count: due.length,
        span: span(Date.parse(due[0].slaResponseDeadline) - now() + 59_999) })].filter(Boolean).join(' · ');
    const { isOnline } = connection.get();
    const next = JSON.stringify([summary, isOnline, rows.slice(0, 3).map(row => [row.id, nameOf(row)]), rows.length,
      urgent.get().total]);
    if (next === content || node.contains(document.activeElement)) return;
    content = next;
    if (!rows.length) {
      setAttribute(node, 'class', 'banner');
      fill(node, icon('check'), h('span', null, t('banner.none')));
      return;
    }
    setAttribute(node, 'class', `banner ${late.length ? 'is-late' : 'is-due'}`);
    fill(node, icon(late.length ? 'alert' : 'clock'), h('strong', null, summary),
      h('ul', null, rows.slice(0, 3).map(row => h('li', null,
        h('a', { href: address(row) }, h('bdi', { dir: 'auto' }, nameOf(row)))))),
      rows.length > 3 && h('span', { class: 'rest' }, t('banner.more',
        { count: Math.max(rows.length, urgent.get().total) - 3 })),
      !isOnline && urgent.get().at && h('span', null, t('banner.asOf', { time: clock(urgent.get().at) })),
      h('a', { class: 'end', href: '/admin/inbox?tab=all&slaState=breached,warning' }, t('banner.view')));
  }

  const ends = [
    urgent.subscribe(draw), connection.subscribe(draw), onTick(draw),
    onEvent(({ name, data }) => {
      if (name === 'reset' || name === 'sla') { soon(); return; }
      const row = data?.conversation;
      if (!row) return;
      const has = urgent.get().rows.some(one => one.id === row.id);
      if (has) urgent.set(old => ({ ...old, rows: old.rows.map(one => one.id === row.id ? { ...one, ...row } : one) }));
      if (name === 'lead.created' && row.leadQuality === 'hot') notify(row, t('notify.hot', { name: nameOf(row) }));
      if (!has && row.slaState === 'warning') soon();
    }),
    onChange(row => urgent.set(old => ({ ...old, rows: old.rows.map(one => one.id === row.id ? { ...one, ...row }
      : one) }))),
    bind('banner', [{ key: 'g l', label: t('banner.go'), isAllowed: () => Boolean(first()), run: () =>
      navigate(address(first())) }]),
  ];
  draw();
  timer = setTimeout(load, AFTER);
  return { refresh: load, end() { clearTimeout(timer); for (const end of ends) end(); node.hidden = true; } };
}

// Only the tab that has the stream rings, so that a lead is announced once.
function notify(row, text) {
  if (!leads() || feed.get().checkedAt === null) return;
  if (preference('sound') === true) ring();
  if (wantsNotification() && !showNotification(text, { tag: row.id, opened: () => navigate(address(row)) })) {
    toast(t('notify.unsupported'), { isError: true });
  }
}
