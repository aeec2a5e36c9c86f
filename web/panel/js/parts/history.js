// The other tabs of a lead: timeline, deliveries, and why score and deadline are as they are.
import { api, isAbort } from '../lib/api.js';
import { fill, h, icon, once, render } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { dateTime } from '../lib/time.js';
import { obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading } from './chips.js';
import { channelName, reasonNode } from './reasons.js';
import { toast } from './toast.js';

// A list that is read by pages into `body`, with "more" at its end. Returns {update()}, which reads its start again.
function paged(body, path, { item, empty, name }) {
  const list = h('ul', { class: 'entries', 'aria-label': name });
  const more = h('button', { type: 'button', class: 'button center', hidden: true, onClick: () => load(cursor) },
    t('more'));
  const box = h('div', { class: 'pane', tabindex: '0', role: 'region', 'aria-label': name }, list, more);
  let rows = [];
  let cursor = null;
  const patch = (node, row) => once(node, row, () => {
    const { className, childNodes } = item(row);
    node.className = className;
    node.replaceChildren(...childNodes);
  });
  async function load(from = null) {
    const end = loading(list);
    try {
      const { data } = await api('GET', `${path}?limit=50${from ? `&cursor=${encodeURIComponent(from)}` : ''}`,
        { kind: path });
      end();
      // A newer beginning keeps the older pages, and where one reads.
      const isFirst = rows.length === 0;
      const found = new Set(data.data.map(row => row.id));
      const others = rows.filter(row => !found.has(row.id));
      rows = from ? [...others, ...data.data] : [...data.data, ...others];
      render(list, rows, item, patch);
      if (from || isFirst) cursor = data.nextCursor;
      more.hidden = cursor === null;
      if (!rows.length) fill(body, emptyState(empty)); else if (box.parentNode !== body) fill(body, box);
    } catch (problem) {
      end();
      if (isAbort(problem)) return;
      if (rows.length) report(problem); else fill(body, errorState(problem, () => { fill(body, box); load(); }));
    }
  }
  fill(body, box);
  load();
  return { update: () => load() };
}

export const timelineTab = (body, id) => paged(body, `/api/admin/conversations/${id}/timeline`, {
  name: t('leadTab.timeline'), empty: t('timeline.empty'),
  item: entry => h('li', { class: 'entry' }, icon({ agent: 'person', customer: 'chat',
    bot: 'chat' }[entry.actorType] ?? 'settings'),
    h('div', null, h('p', null, h('strong', { dir: 'auto' }, entry.title)), entry.description
      && h('p', { class: 'text', dir: 'auto' }, entry.description),
      h('p', { class: 'secondary' }, h('bdi', null, entry.actorName ?? label('actor', entry.actorType)), ' · ',
        h('time', { datetime: entry.at }, dateTime(entry.at))))),
});

const DELIVERY_ICONS = { sent: 'check', delivered: 'check', 'given-up': 'alert', parked: 'alert' };

/** Sends a notification again. Returns whether the server took it. */
export async function retry(delivery) {
  const reason = obstacle();
  if (reason) { toast(reason, { isError: true }); return false; }
  try {
    await api('POST', `/api/admin/notifications/${delivery.id}/retry`, { body: {} });
    toast(t('delivery.retried'));
    return true;
  } catch (problem) { report(problem); return false; }
}

/** Reports whether a retry makes sense. */
export const canRetry = delivery => ['given-up', 'parked'].includes(delivery.state);

/** The state of a delivery in words: "waiting until 18:20". */
export function deliveryText(delivery) {
  const state = label('delivery', delivery.state);
  return delivery.nextAttemptAt && !['sent', 'delivered', 'given-up'].includes(delivery.state)
    ? t('delivery.next', { state, time: dateTime(delivery.nextAttemptAt) }) : state;
}

export function deliveriesTab(body, id) {
  const pane = paged(body, `/api/admin/conversations/${id}/notifications`, {
    name: t('leadTab.deliveries'), empty: t('deliveries.emptyLead'),
    item: delivery => h('li', { class: `entry delivery ${delivery.state}` },
      icon(DELIVERY_ICONS[delivery.state] ?? 'clock'),
      h('div', null, h('p', null, h('strong', null, channelName(delivery.channel)), ' · ', deliveryText(delivery)),
        h('p', { dir: 'auto' }, delivery.subject ?? label('event', delivery.eventType)),
        delivery.reason && h('p', { class: 'text' }, reasonNode(delivery)),
        h('p', { class: 'secondary' }, h('bdi', { dir: 'ltr' }, delivery.recipient), ' · ',
          t('delivery.tries', { count: delivery.tries }), ' · ',
          h('time', { datetime: delivery.sentAt ?? delivery.createdAt },
          dateTime(delivery.sentAt ?? delivery.createdAt)))),
      canRetry(delivery) && h('button', { type: 'button', class: 'button small', 'aria-disabled': obstacle() ? 'true'
        : null, title: obstacle(), onClick: async () => { if (await retry(delivery)) pane.update(); } },
        icon('refresh'), t('delivery.again'))),
  });
  return pane;
}

export function whyTab(body, id) {
  async function load() {
    const end = loading(body);
    try {
      const { data } = await api('GET', `/api/admin/conversations/${id}/explain`, { kind: 'explain' });
      end();
      const { score, sla, sentences } = data;
      fill(body, h('div', { class: 'pane why', tabindex: '0', role: 'region', 'aria-label': t('leadTab.why') },
        h('h2', null, t('why.score', { score: score.total })),
        h('table', { class: 'plain' }, h('caption', { class: 'sr' }, t('why.caption')),
          h('thead', null, h('tr', null, ['why.part', 'why.points', 'why.reason'].map(key =>
          h('th', { scope: 'col' }, t(key))))),
          h('tbody', null, score.parts.map(part => h('tr', null, h('th', { scope: 'row' }, label('part', part.name)),
            h('td', { class: 'tabular' }, part.of ? `${part.points} / ${part.of}` : part.points),
              h('td', { dir: 'auto' }, part.why))))),
        h('h2', null, t('why.deadline')), h('p', { dir: 'auto', lang: 'en' }, sla.sentence),
        h('h2', null, t('why.all')), h('ul', { class: 'sentences', lang: 'en' },
          sentences.map(sentence => h('li', { dir: 'auto' }, sentence)))));
    } catch (problem) {
      end();
      if (!isAbort(problem)) fill(body, errorState(problem, load));
    }
  }
  load();
  return { update: load };
}
