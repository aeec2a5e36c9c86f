// What was sent to the team, and what was not: channels with the reason of a pause, and every notification.
import { api, isAbort } from '../lib/api.js';
import { bind } from '../lib/keys.js';
import { canRetry, deliveryText, retry } from '../parts/history.js';
import { dateTime } from '../lib/time.js';
import { done, obstacle, report } from '../lib/actions.js';
import { emptyState, errorState, loading, press, switches } from '../parts/chips.js';
import { fill, h } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { onEvent } from '../lib/live.js';
import { plainTable, rowButton, step } from '../parts/table.js';
import { queryString } from '../lib/filters.js';
import { rewrite } from '../lib/router.js';
import { scope } from '../lib/store.js';
import { openMenu } from '../parts/menu.js';
import { channelName, reasonNode } from '../parts/reasons.js';

const TABS = { all: null, givenUp: 'failed', waiting: 'waiting' };
const LOOKS = { sent: 'good', delivered: 'good', 'given-up': 'bad', parked: 'bad', waiting: 'wait' };

// A lead without a name, for instance one whose data was erased, is known by the beginning of its id.
const reference = row => t('deliveries.reference', { id: row.conversationId.slice(0, 8) });

export function open({ query, outlet }) {
  const life = scope();
  let tab = query.get('tab') in TABS ? query.get('tab') : 'all';
  let channel = query.get('channel') ?? '';
  let rows = [];
  let cursor = null;
  const heading = h('h1', { tabindex: '-1' }, t('nav.deliveries'));
  const cards = h('div', { class: 'cards' });
  const tabs = switches(t('nav.deliveries'), Object.keys(TABS).map(id => ({ id, text: t(`deliveries.${id}`) })), tab,
    choose);
  const channels = h('select', { 'aria-label': t('deliveries.channel'),
    onChange: () => { channel = channels.value; load(); } });
  const region = h('div');
  const more = h('button', { type: 'button', class: 'button', hidden: true, onClick: () => load(cursor) });
  const table = plainTable(t('deliveries.caption'), [
    { key: 'time', text: t('deliveries.time'), cell: row => h('time', { datetime: row.sentAt ?? row.createdAt },
      dateTime(row.sentAt ?? row.createdAt)) },
    { key: 'lead', text: t('deliveries.lead'), cell: row => row.conversationId
      ? h('a', { href: `/admin/conversations/${row.conversationId}` },
        row.customerName ? h('bdi', { dir: 'auto' }, row.customerName) : reference(row))
      : h('span', { class: 'secondary' }, t('deliveries.nobody')) },
    { key: 'channel', text: t('deliveries.channel'), cell: row =>
      h('span', { class: 'nowrap' }, channelName(row.channel)) },
    { key: 'what', text: t('deliveries.what'), cell: row =>
      h('bdi', { dir: 'auto' }, row.subject ?? label('event', row.eventType)) },
    { key: 'state', text: t('deliveries.state'), cell: row =>
      h('span', { class: `state-word ${LOOKS[row.state] ?? ''}` }, deliveryText(row)) },
    { key: 'reason', text: t('deliveries.reason'), cell: row => reasonNode(row) ?? '–' },
    { key: 'actions', cell: row => canRetry(row) && [rowButton(t('delivery.again'), obstacle(), () => again(row), 't'),
      rowButton('…', obstacle('owner'), button => openMenu(button,
        [{ label: t('deliveries.replay'), icon: 'refresh', run: () => replay(row) }],
        t('row.menu', { name: row.customerName ?? channelName(row.channel) })))] },
  ]);
  fill(outlet, h('div', { class: 'view-head' }, heading), cards, h('div', { class: 'view-head' }, tabs, channels),
    region, more);

  function choose(id) { tab = id; load(); }

  async function loadChannels() {
    try {
      const { data } = await api('GET', '/api/admin/channels', { kind: 'channels' });
      if (life.isOver) return;
      const sorted = data.data.toSorted((a, b) => (a.state === 'open') - (b.state === 'open') || b.givenUp - a.givenUp);
      if (!cards.contains(document.activeElement)) fill(cards, sorted.length ? sorted.map(card)
        : h('p', { class: 'secondary' }, t('deliveries.noChannels')));
      if (channels.childElementCount !== sorted.length + 1) fill(channels,
        h('option', { value: '' }, t('deliveries.anyChannel')), data.data.map(one =>
        h('option', { value: one.name }, channelName(one.name))));
      channels.value = channel;
    } catch (problem) { if (!isAbort(problem)) fill(cards, errorState(problem, loadChannels)); }
  }

  function card(one) {
    const state = one.state === 'paused' ? (one.pausedUntil ? t('deliveries.pausedUntil',
      { time: dateTime(one.pausedUntil) }) : t('deliveries.paused')) : label('channelState', one.state);
    const reason = obstacle('owner');
    return h('section', { class: 'card channel' },
      h('header', null, h('h2', null, channelName(one.name)), one.isConfigured
        ? h('span', { class: `state-word ${one.state === 'open' ? 'good' : 'bad'}` }, state)
        : h('span', { class: 'state-word' }, t('deliveries.notConfigured'))),
      reasonNode({ ...one, channel: one.name }),
      h('p', { class: 'secondary' }, t('deliveries.counts', { waiting: one.waiting + one.sending,
        givenUp: one.givenUp })),
      h('div', { class: 'chips' }, one.isConfigured && rowButton(t('deliveries.test'), reason, () =>
        post(`/api/admin/channels/${one.name}/test`, t('deliveries.tested'))),
        one.state !== 'open' && rowButton(t('deliveries.resume'), reason, () =>
          post(`/api/admin/channels/${one.name}/resume`, t('deliveries.resumed')))));
  }

  async function post(path, text) {
    try {
      await api('POST', path);
      done(text);
      document.getElementById('main').focus({ preventScroll: true });
      loadChannels();
      load();
    } catch (problem) { report(problem); }
  }

  async function load(from = null) {
    press(tabs, tab);
    rewrite(`/admin/deliveries?${queryString({ tab, channel: channel || null })}`);
    const end = loading(region);
    try {
      const wanted = queryString({ status: TABS[tab], channel: channel || null, limit: 50, cursor: from });
      const { data } = await api('GET', `/api/admin/notifications?${wanted}`, { kind: 'deliveries' });
      if (life.isOver) return;
      end();
      rows = from ? [...rows, ...data.data].slice(-1000) : data.data;
      cursor = data.nextCursor;
      more.hidden = cursor === null;
      // A page may be empty although more follow: then say how far the search went.
      fill(more, data.data.length || !rows.length ? t('more')
        : t('deliveries.goOn', { time: dateTime(rows.at(-1).createdAt) }));
      if (!rows.length) fill(region, emptyState(t('deliveries.empty'), tab !== 'all'
        && h('button', { type: 'button', class: 'button', onClick: () => choose('all') }, t('deliveries.all'))));
      else { table.update(rows); if (table.node.parentNode !== region) fill(region, table.node); }
    } catch (problem) {
      end();
      if (!isAbort(problem) && !life.isOver) fill(region, errorState(problem, () => load()));
    }
  }

  async function again(row) {
    if (!await retry(row)) return;
    document.getElementById('main').focus({ preventScroll: true });
    load();
    loadChannels();
  }
  const replay = row => post(`/api/admin/events/${row.eventId}/replay`, t('delivery.retried'));

  const focused = () => rows.find(row =>
    row.id === document.activeElement?.closest('tr')?.dataset.id) ?? rows.find(canRetry);
  life.add(bind('view', [
    { key: 'j', label: t('keys.down'), run: () => step(table.body, 1) },
      { key: 'k', label: t('keys.up'), run: () => step(table.body, -1) },
    // 1 is the tab that an operator comes for.
    ...['givenUp', 'waiting', 'all'].map((id, index) => ({ key: String(index + 1), label: t(`deliveries.${id}`),
      run: () => choose(id) })),
    { key: 'Enter', label: t('keys.open'), run: () => table.body.querySelector('a, button')?.focus(), isAllowed: () =>
      rows.length > 0 },
    { key: 't', label: t('delivery.again'), run: () => { const row = focused(); if (row
      && canRetry(row)) again(row); } },
  ]));
  let timer = null;
  life.add(onEvent(({ name }) => {
    if (name !== 'delivery' && name !== 'reset') return;
    clearTimeout(timer);
    timer = setTimeout(() => { load(); loadChannels(); }, 2000);
  }));
  life.add(() => { clearTimeout(timer); life.isOver = true; });
  loadChannels();
  load();
  return { title: t('nav.deliveries'), heading, leave() { life.end(); } };
}
