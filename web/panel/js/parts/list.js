// The table of leads: one row for each, patched in place, with a checkbox, a menu and a single link.
import { fill, h, icon, once, render, setAttribute, setText } from '../lib/dom.js';
import { label, number, t } from '../lib/i18n.js';
import { brief, dateTime, now } from '../lib/time.js';
import { contacts, nameOf, qualityChip, slaChip, wants } from './chips.js';
import { openMenu } from './menu.js';

const COLUMNS = ['select', 'name', 'quality', 'sla', 'wants', 'agent', 'waiting', 'time', 'menu'];
const parts = new WeakMap();

/**
 * Returns {node, body, update(rows, marks)}. `marks`: {selected, stale, fresh, pending}, sets of ids. `onSelect(id,
 * isRange)` is called for a checkbox, `actions(row)` returns more items of the row's menu.
 */
export function leadTable({ onSelect, onSelectAll, actions }) {
  const body = h('tbody', { role: 'rowgroup' });
  const all = h('input', { type: 'checkbox', 'aria-label': t('select.loaded'), onClick: () =>
    onSelectAll(all.checked) });
  const head = name => h('th', { scope: 'col', role: 'columnheader', class: `c-${name}` },
    name === 'select' ? h('label', { class: 'check' }, all) : h('span', { class: name === 'menu' ? 'sr' : null },
      t(`column.${name}`)));
  const node = h('table', { class: 'leads', role: 'table' }, h('caption', { class: 'sr' }, t('inbox.caption')),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, COLUMNS.map(head))), body);

  body.addEventListener('click', event => {
    const row = event.target.closest('tr');
    if (!row || event.target.closest('a, button, input, label') || String(getSelection())) return;
    row.querySelector('a').click();
  });

  function make(first) {
    const box = h('input', { type: 'checkbox' });
    const link = h('a', { class: 'lead-name', dir: 'auto' });
    const snippet = h('p', { class: 'snippet', dir: 'auto' });
    const [quality, sla] = [qualityChip(), slaChip()];
    const wish = h('span', { class: 'wants' });
    const agent = h('bdi');
    const waiting = h('span', { class: 'waiting' });
    const time = h('time');
    const more = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu',
      'aria-expanded': 'false' }, icon('more'));
    const cell = (name, ...inside) => h('td', { class: `c-${name}`, role: 'cell' }, inside);
    const row = h('tr', { role: 'row', data: { id: first.id } },
      cell('select', h('label', { class: 'check' }, box)), cell('name', link, snippet), cell('quality', quality.node),
      cell('sla', sla.node), cell('wants', wish), cell('agent', agent), cell('waiting', waiting), cell('time', time),
        cell('menu', more));
    box.addEventListener('click', event => onSelect(first.id, event.shiftKey));
    more.addEventListener('click', () => {
      const current = parts.get(row).shown;
      openMenu(more, [...contacts(current).map(({ href, label: text, icon: symbol }) =>
        ({ href, label: text, icon: symbol })), ...actions(current)],
        t('row.menu', { name: nameOf(current) }));
    });
    parts.set(row, { box, link, snippet, quality, sla, wish, agent, waiting, time, more });
    return row;
  }

  function patch(row, lead, marks) {
    const part = parts.get(row);
    const name = nameOf(lead);
    const isSelected = marks.selected.has(lead.id);
    part.box.checked = isSelected;
    setAttribute(row, 'class', ['lead', isSelected && 'is-selected', marks.stale.has(lead.id) && 'is-stale',
      marks.fresh.has(lead.id) && 'is-fresh',
      marks.pending.has(lead.id) && 'is-pending', lead.unreadCount > 0 && 'is-waiting'].filter(Boolean).join(' '));
    if (part.shown === lead && part.moment === marks.moment) return;
    part.moment = marks.moment;
    part.sla.update(lead);
    setText(part.time, brief(lead.lastMessageAt ?? lead.createdAt));
    if (part.shown === lead) return;
    part.shown = lead;
    setAttribute(part.box, 'aria-label', t('select.one', { name }));
    setAttribute(part.more, 'aria-label', t('row.menu', { name }));
    setAttribute(part.link, 'href', `/admin/conversations/${lead.id}`);
    setText(part.link, name);
    setText(part.snippet, lead.lastMessageSnippet ?? '');
    part.quality.update(lead);
    const wish = wants(lead);
    once(part.wish, wish, () => fill(part.wish, wish.map((text, index) => [
      index > 0 && h('span', { 'aria-hidden': 'true' }, ' · '), h('bdi', null, text)])));
    setText(part.agent, lead.assignedAgentName ?? '–');
    setAttribute(part.agent, 'class', lead.assignedAgentName ? null : 'secondary');
    setText(part.waiting, lead.unreadCount > 0 ? t('lead.waiting', { count: lead.unreadCount })
      : lead.status === 'new' || lead.status === 'in-progress' ? '' : label('status', lead.status));
    setAttribute(part.waiting, 'data-status', lead.status === 'spam' ? 'spam' : null);
    setAttribute(part.time, 'datetime', lead.lastMessageAt ?? lead.createdAt);
    setAttribute(part.time, 'title', dateTime(lead.lastMessageAt ?? lead.createdAt));
  }

  return {
    node, body,
    update(rows, marks) {
      // What depends on the time is written every five seconds only: formatting it is most of the work.
      const moment = Math.floor(now() / 5000);
      render(body, rows, make, (row, lead) => patch(row, lead, { ...marks, moment }));
      const chosen = rows.filter(row => marks.selected.has(row.id)).length;
      all.checked = rows.length > 0 && chosen === rows.length;
      all.indeterminate = chosen > 0 && chosen < rows.length;
    },
  };
}

/** The bar for selected rows: actions, the second step that selects all matches, and which of them changed. */
export function selectionBar({ onAction, onAll, onClear }) {
  const text = h('strong', { role: 'status' });
  const changed = h('span', { class: 'secondary' });
  const every = h('button', { type: 'button', class: 'link', onClick: onAll });
  const action = (name, symbol, key) => h('button', { type: 'button', class: 'button small', data: { action: name },
    onClick: () => onAction(name) },
    icon(symbol), t(`bulk.${name}`), key && h('kbd', null, key));
  const node = h('div', { class: 'selection', role: 'region', 'aria-label': t('bulk.label'), hidden: true }, text,
    action('assign', 'person', 'A'), action('status', 'flag', 'S'), action('quality', 'flame'), action('tag', 'tag'),
      changed, every,
    h('button', { type: 'button', class: 'link end', onClick: onClear }, t('clear')));
  return { node, update({ count, total, isAll, names, reason }) {
    node.hidden = count === 0;
    if (count === 0) return;
    setText(text, t('bulk.selected', { count }));
    setText(changed, names.length ? t('bulk.changed', { names: names.slice(0, 3).join(', ') }) : '');
    every.hidden = isAll || total <= count;
    setText(every, t('bulk.all', { count: Math.min(total, 500) }));
    for (const button of node.querySelectorAll('[data-action]')) {
      setAttribute(button, 'aria-disabled', reason ? 'true' : null);
      setAttribute(button, 'title', reason);
    }
  } };
}

/** "3 new: show", or without new rows "2 no longer match: update". */
export function pill(show) {
  const button = h('button', { type: 'button', class: 'pill', onClick: show });
  // Without a height of its own, so that the list stays where it is.
  const node = h('div', { class: 'pill-place', hidden: true }, button);
  return { node, update(count, stale) {
    node.hidden = count + stale === 0;
    if (!node.hidden) fill(button, icon(count ? 'up' : 'refresh'), count ? t('inbox.new', { count })
      : t('inbox.old', { count: stale }), h('kbd', null, '.'));
  } };
}

export const countText = (key, count) => count === null ? t(key) : `${t(key)} ${number(count)}`;
