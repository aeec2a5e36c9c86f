// The search field, the chips of filters, the sort, and the dialog with all filters.
import { agents, preference, setPreference } from '../lib/store.js';
import { CHOICES, SORTS, cleared, count, read, write } from '../lib/filters.js';
import { fill, h, icon, setAttribute, setText } from '../lib/dom.js';
import { day } from '../lib/time.js';
import { label, list, number, t } from '../lib/i18n.js';
import { buttons, modal } from './dialogs.js';

const GROUPS = { status: 'status', leadQuality: 'quality', slaState: 'slaState', intent: 'intent', source: 'source',
  followUpStatus: 'followUpStatus' };
const OPEN = 'new,in-progress';

/** The words of a value of a filter. */
export function valueText(name, value) {
  if (name === 'assignedAgentIds') return value === 'none' ? t('agent.nobody')
    : agents.get().find(agent => agent.id === value)?.name ?? '…';
  return GROUPS[name] ? label(GROUPS[name], value) : value;
}

/** The filters as words: "Status: Open", for chips and for the export. */
export function words(filters) {
  const result = [];
  for (const name of Object.keys(CHOICES)) {
    if (!filters[name]?.length || name === 'assignedAgentIds' && filters.tab !== 'all') continue;
    const text = name === 'status' && filters.status.join() === OPEN ? t('status.open')
      : list(filters[name].map(value => valueText(name, value)));
    result.push({ name, text: `${t(`filter.${name}`)}: ${text}` });
  }
  if (filters.dateFrom || filters.dateTo) {
    const shown = value => value ? day(`${value}T12:00:00Z`) : '…';
    const span = `${shown(filters.dateFrom)} – ${shown(filters.dateTo)}`;
    result.push({ name: 'dates', text: `${t('filter.dates')}: ${span}` });
  }
  return result;
}

/** Returns {node, update(filters), search}. `change(filters, isTyping)` is called with the new filters. */
export function filterBar({ change, onEnter, onExport }) {
  let filters = null;
  let timer = null;
  const search = h('input', { type: 'search', name: 'q', placeholder: t('search.placeholder'),
    'aria-label': t('search.label'), autocomplete: 'off',
    spellcheck: 'false', maxlength: '200', dir: 'auto', enterkeyhint: 'search', 'aria-keyshortcuts': '/' });
  const apply = () => {
    clearTimeout(timer);
    timer = null;
    if (filters.q !== search.value) change({ ...filters, q: search.value }, true);
  };
  search.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(apply, 250); });
  search.addEventListener('keydown', event => {
    if (event.key === 'Enter' && !event.isComposing) { event.preventDefault(); apply(); onEnter(); }
    if (event.key === 'Escape') {
      event.preventDefault();
      if (search.value) { search.value = ''; apply(); } else search.blur();
    }
  });
  const chips = h('ul', { class: 'chips', 'aria-label': t('filter.active') });
  const toggle = (name, value, symbol) => h('button', { type: 'button', class: 'chip-toggle', data: { name, value },
    onClick: () => {
    const has = filters[name]?.includes(value);
    change({ ...filters, [name]: has ? filters[name].filter(one => one !== value) : [...filters[name] ?? [], value] });
  } }, icon(symbol), label(GROUPS[name], value));
  const toggles = [toggle('leadQuality', 'hot', 'flame'), toggle('slaState', 'breached', 'alert')];
  const number_ = h('span');
  const more = h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', onClick: () =>
    editFilters(filters, change) },
    icon('filter'), h('span', null, t('filter.button')), number_);
  const sort = h('select', { 'aria-label': t('sort.label'), onChange: () => change({ ...filters, sort: sort.value }) },
    SORTS.map(value => h('option', { value }, label('sort', value))));
  const node = h('div', { class: 'filterbar' },
    h('div', { class: 'searchbox', role: 'search' }, icon('search'), search, h('kbd', { 'aria-hidden': 'true' }, '/')),
    h('div', { class: 'quick' }, toggles, more),
    h('label', { class: 'sort' }, h('span', { class: 'secondary' }, t('sort.label')), sort),
    h('button', { type: 'button', class: 'button export', onClick: onExport, 'aria-keyshortcuts': 'e' },
      icon('download'), h('span', null, t('export.button'))));
  return { node, chips, search, update(next) {
    filters = next;
    if (timer === null && search.value !== filters.q) search.value = filters.q;
    sort.value = filters.sort;
    for (const button of toggles) setAttribute(button, 'aria-pressed',
      String(filters[button.dataset.name]?.includes(button.dataset.value) ?? false));
    setText(number_, count(filters) ? ` ${number(count(filters))}` : '');
    fill(chips, words(filters).map(({ name, text }) => h('li', null,
      h('button', { type: 'button', class: 'chip', 'aria-label': t('filter.remove', { name: text }),
      onClick: () => change(name === 'dates' ? { ...filters, dateFrom: null, dateTo: null }
        : { ...filters, [name]: [] }) },
    h('span', null, text), icon('close')))), count(filters) > 0 && h('li', null,
      h('button', { type: 'button', class: 'link', onClick: () => change(cleared(filters)) }, t('filter.clear'))));
  } };
}

const views = () => preference('views', []);

function editFilters(start, change) {
  let filters = start;
  const apply = next => { filters = next; change(next); };
  const group = (name, values) => h('fieldset', { class: 'checks' }, h('legend', null, t(`filter.${name}`)),
    values.map(value =>
    h('label', null, h('input', { type: 'checkbox', checked: filters[name]?.includes(value) ?? false,
      onChange: event => {
      const rest = (filters[name] ?? []).filter(one => one !== value);
      apply({ ...filters, [name]: event.target.checked ? [...rest, value] : rest });
    } }), h('bdi', null, valueText(name, value)))));
  const text = (name, split) => h('label', { class: 'field' }, h('span', null, t(`filter.${name}`)),
    h('input', { type: 'text', value: (filters[name] ?? []).join(', '), dir: 'auto', onChange: event => {
      const values = split ? event.target.value.split(',').map(one => one.trim()).filter(Boolean)
        : [event.target.value.trim()].filter(Boolean);
      apply({ ...filters, [name]: values });
    } }));
  const date = name => h('label', { class: 'field' }, h('span', null, t(`filter.${name}`)),
    h('input', { type: 'date', value: filters[name] ?? '', onChange: event =>
      apply({ ...filters, [name]: event.target.value || null }) }));
  const saved = h('div', { class: 'chips' });
  const drawSaved = () => fill(saved, views().map((view, index) => [
    h('button', { type: 'button', class: 'chip',
      onClick: () => { box.close(); change(read(new URLSearchParams(view.search), start.tab)); } },
      h('bdi', null, view.name)),
    h('button', { type: 'button', class: 'icon-button', 'aria-label': t('views.remove', { name: view.name }),
      onClick: () => { setPreference('views', views().toSpliced(index, 1)); drawSaved(); } }, icon('close'))]));
  const name = h('input', { type: 'text', maxlength: '40', 'aria-label': t('views.name'),
    placeholder: t('views.name'), dir: 'auto' });
  const save = () => {
    if (!name.value.trim()) { name.focus(); return; }
    setPreference('views', [...views().filter(view => view.name !== name.value.trim()),
      { name: name.value.trim(), search: `tab=${filters.tab}&${write(filters, filters.tab)}` }].slice(-20));
    name.value = '';
    drawSaved();
  };
  drawSaved();
  const people = ['none', ...agents.get().map(agent => agent.id)];
  const form = h('form', { class: 'stack', method: 'dialog' },
    h('div', { class: 'filter-grid' }, Object.keys(GROUPS).map(key => group(key, CHOICES[key])), filters.tab === 'all'
      && group('assignedAgentIds', people),
      h('div', { class: 'stack' }, text('tags', true), text('areas', false), date('dateFrom'), date('dateTo'))),
    h('section', { class: 'stack' }, h('h3', null, t('views.title')), saved,
      h('div', { class: 'pair' }, name, h('button', { type: 'button', class: 'button', onClick: save },
        t('views.save')))),
    buttons(t('done'), { cancel: t('filter.clear'),
      onCancel: event => { change(cleared(filters)); event.target.closest('dialog').close(); } }));
  const box = modal({ title: t('filter.title'), body: form, size: 'wide sheet' });
}
