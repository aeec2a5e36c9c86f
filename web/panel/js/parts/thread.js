// The messages of a lead. It opens at the first that waits for an answer, or else at the last one, and follows new ones
// only near its end.
import { fill, h, render, setText } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { clock, dateTime, day, localDay } from '../lib/time.js';
import { api, isAbort } from '../lib/api.js';
import { report } from '../lib/actions.js';

const MOST = 1000;
const NEAR = 80;

/** Shows the messages of `lead` in `body`. Returns {update(), end()}. */
export function thread(body, lead, openedAt) {
  const list = h('ol', { class: 'thread', 'aria-label': t('leadTab.messages') });
  const older = h('button', { type: 'button', class: 'button small center',
    hidden: (lead.row.messages?.length ?? 0) < MOST, onClick: loadOlder }, t('thread.older'));
  const jump = h('button', { type: 'button', class: 'pill', hidden: true, onClick: () => {
    toEnd();
    // The button is gone; the messages have the focus.
    box.focus({ preventScroll: true });
  } });
  const box = h('div', { class: 'thread-box', tabindex: '0', role: 'region', 'aria-label': t('leadTab.messages') },
    older, list);
  let earlier = [];
  let shown = 0;
  fill(body, box, jump);

  // On phones the page scrolls, not the box.
  const page = document.scrollingElement;
  const scroller = () => getComputedStyle(box).overflowY === 'visible' ? page : box;
  const isNearEnd = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller();
    return scrollHeight - scrollTop - clientHeight < NEAR;
  };
  let wasNear = true;
  function toEnd() { const one = scroller(); one.scrollTop = one.scrollHeight; jump.hidden = true; wasNear = true; }
  function toFirstWaiting() {
    toEnd();
    list.querySelector('.is-waiting')?.scrollIntoView({ block: 'start' });
    wasNear = isNearEnd();
    if (!wasNear) { jump.hidden = false; setText(jump, t('thread.last')); }
  }
  const scrolled = () => { wasNear = isNearEnd(); if (wasNear) jump.hidden = true; };
  box.addEventListener('scroll', scrolled);
  addEventListener('scroll', scrolled);
  // A composer that grows with its text must not cover the last message.
  const sizes = new ResizeObserver(() => { if (wasNear && scroller() === box) toEnd(); });
  sizes.observe(box);

  function rows() {
    const result = [];
    let date = null;
    let isNew = false;
    for (const message of [...earlier, ...lead.row.messages ?? []]) {
      const own = localDay(message.timestamp);
      if (own !== date) { result.push({ id: `day ${own}`, kind: 'day', text: day(message.timestamp) }); date = own; }
      if (!isNew && openedAt && message.timestamp > openedAt) { isNew = true; result.push({ id: 'new', kind: 'new',
        text: t('thread.new') }); }
      result.push({ ...message, kind: 'message' });
    }
    return result.length ? result : [{ id: 'none', kind: 'none', text: t('thread.none') }];
  }

  function make(row) {
    if (row.kind !== 'message') return h('li', { class: `divider ${row.kind}` }, h('span', null, row.text));
    const waits = row.sender === 'customer' && !row.isRead;
    return h('li', { class: `message ${row.sender}${waits ? ' is-waiting' : ''}` },
      h('p', { class: 'meta' }, h('strong', null, label('sender', row.sender)), ' ',
        h('time', { datetime: row.timestamp, title: dateTime(row.timestamp) }, clock(row.timestamp)),
        waits && h('span', { class: 'waiting' }, t('thread.waiting'))),
      h('p', { class: 'text', dir: 'auto' }, row.messageText));
  }

  function patch(node, row) {
    if (row.kind !== 'message') { setText(node.firstChild, row.text); return; }
    const waits = row.sender === 'customer' && !row.isRead;
    if (waits || !node.classList.contains('is-waiting')) return;
    node.classList.remove('is-waiting');
    node.querySelector('.waiting')?.remove();
  }

  function update() {
    const isNear = isNearEnd();
    const count = lead.row.messages?.length ?? 0;
    render(list, rows(), make, patch);
    if (shown && count > shown) {
      if (isNear) toEnd(); else { jump.hidden = false; setText(jump, t('thread.more', { count: count - shown })); }
    }
    if (!jump.hidden && isNear) jump.hidden = true;
    shown = count;
  }

  async function loadOlder() {
    older.disabled = true;
    try {
      // From the beginning of the chat to what is shown: the latest thousand. Only very long chats come here.
      const isShown = new Set(lead.row.messages.map(message => message.id));
      const found = [];
      let cursor = null;
      do {
        const path = `/api/admin/conversations/${lead.row.id}/messages?limit=200`;
        const { data } = await api('GET', cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path);
        found.push(...data.data.filter(message => !isShown.has(message.id)));
        cursor = data.data.some(message => isShown.has(message.id)) ? null : data.nextCursor;
      } while (cursor);
      earlier = found;
      older.hidden = true;
      const one = scroller();
      const height = one.scrollHeight;
      update();
      one.scrollTop += one.scrollHeight - height;
    } catch (problem) { if (!isAbort(problem)) report(problem); }
    older.disabled = false;
  }

  update();
  toFirstWaiting();
  return { update, end() { sizes.disconnect(); removeEventListener('scroll', scrolled); } };
}
