// The facts of a lead beside its messages. Each field saves alone; a field that is being edited is never overwritten.
import { change, keepsMine, obstacle, report } from '../lib/actions.js';
import { scope } from '../lib/store.js';
import { api, connection } from '../lib/api.js';
import { draftBase, follow, keep } from '../lib/drafts.js';
import { fill, h, icon, once, setAttribute, setText } from '../lib/dom.js';
import { amount, label, nodes, t } from '../lib/i18n.js';
import { dateTime, now } from '../lib/time.js';
import { nameOf, phone } from './chips.js';
import { toast } from './toast.js';

/**
 * Returns {node, update(row, isPending), end()}. `assign()` and `status()` open their dialogs, `note()` the field for a
 * new note.
 */
export function factsPanel({ lead, assign, status, note }) {
  const life = scope();
  const line = (name, ...inside) => h('div', { class: `fact fact-${name}` }, h('dt', null, t(`field.${name}`)),
    h('dd', null, inside));
  const button = (run, key) => h('button', { type: 'button', class: 'fact-button', 'aria-keyshortcuts': key,
    onClick: run }, h('bdi', { dir: 'auto' }), icon('chevron'));
  const [statusButton, agentButton] = [button(status, 's'), button(assign, 'a')];
  const notSpam = h('button', { type: 'button', class: 'button', hidden: true,
    onClick: () => change(lead, { status: 'new' },
      { text: t('bulk.statusDone', { count: 1, status: label('status', 'new') }) }) }, t('status.notSpam'));
  const quality = h('select', { 'aria-label': t('field.leadQuality'), onChange: () => saveQuality() },
    ['hot', 'warm', 'cold'].map(value => h('option', { value }, label('quality', value))));
  const score = h('input', { type: 'number', min: '0', max: '100', 'aria-label': t('field.leadScore'), class: 'short',
    onChange: () => saveScore() });
  const next = h('div', { class: 'next-follow-up' });
  const tags = h('ul', { class: 'tags' });
  const addTag = h('input', { type: 'text', class: 'tag-input', maxlength: '100', placeholder: t('tag.add'),
    'aria-label': t('tag.add'), dir: 'auto',
    onKeydown: event => { if (event.key === 'Enter' || event.key === ',') { event.preventDefault(); saveTag(); } } });
  const value = textField('conversionValue', h('input', { type: 'text', inputmode: 'decimal', autocomplete: 'off',
    'aria-label': t('field.conversionValue'), dir: 'ltr' }));
  const notes = notesField();
  const known = h('dl', { class: 'facts-list' });
  const others = h('section', { class: 'others', hidden: true });
  const node = h('div', { class: 'facts-inside' },
    h('dl', { class: 'facts-list' }, line('status', h('span', null, statusButton, notSpam)),
      line('assignedAgentId', agentButton),
      line('leadQuality', h('div', { class: 'pair' }, quality, score)), line('followUpDate', next),
        line('tags', tags, addTag),
      line('conversionValue', value.node), line('notes', notes.node)),
    h('h2', { class: 'small-title' }, t('lead.known')), known, others);

  // New notes are written below the messages only. Here they are read, and corrected after a click.
  function notesField() {
    const text = h('p', { class: 'text', dir: 'auto' });
    const [add, edit] = [['note.add', note, 'n'], ['note.edit', () => show(true)]].map(([key, run, keys]) =>
      h('button', { type: 'button', class: 'button small', 'aria-keyshortcuts': keys, onClick: run }, t(key)));
    const area = h('textarea', { rows: '4', maxlength: '20000', 'aria-label': t('field.notes'), dir: 'auto' });
    const inside = textField('notes', area, () => show(false));
    const calm = h('div', { class: 'stack' }, text, h('div', { class: 'chips' }, add, edit));
    inside.node.hidden = true;
    function show(isEdited) {
      if (inside.node.hidden !== isEdited) return;
      const hadFocus = inside.node.contains(document.activeElement);
      inside.node.hidden = !isEdited;
      calm.hidden = isEdited;
      if (isEdited) area.focus(); else if (hadFocus) (edit.hidden ? add : edit).focus();
    }
    area.addEventListener('blur', () => { if (!inside.isDirty()) show(false); });
    return { node: h('div', null, calm, inside.node), buttons: [add, edit], update(row) {
      inside.update(row);
      setText(text, row.notes || t('note.none'));
      setAttribute(text, 'class', row.notes ? 'text' : 'text secondary');
      edit.hidden = !row.notes;
      // A draft, or what is typed while a colleague's change arrives.
      if (inside.isDirty() && inside.node.hidden) { inside.node.hidden = false; calm.hidden = true; }
    } };
  }

  // A text that is saved with its button or on leaving. If the server's value changes meanwhile, a line offers it.
  function textField(name, control, closed = () => {}) {
    const offer = h('p', { class: 'offer', hidden: true });
    const saveButton = h('button', { type: 'button', class: 'button small', hidden: true, onClick: () => save() },
      t('save'));
    let base = null;
    const isDirty = () => control.value !== (base ?? '');
    const show = () => { saveButton.hidden = !isDirty(); };
    let isSaving = false;
    async function save() {
      const fields = isSaving ? null : parsed();
      if (!fields) return;
      const theirs = String(lead.row[name] ?? '');
      if (theirs !== base && theirs !== control.value
        && !await keepsMine({ ...lead.row, [name]: base || null }, lead.row, fields, [name])) {
        control.value = base = theirs;
        keep(lead.row.id, name, '');
        offer.hidden = true;
        show();
        closed();
        return;
      }
      const typed = control.value;
      isSaving = true;
      let isSaved = false;
      try { isSaved = await change(lead, fields, { text: t('field.saved', { name: t(`field.${name}`) }) }); }
      finally { isSaving = false; }
      base = String(lead.row[name] ?? '');
      // After a failure the text stays, and so does what was typed meanwhile.
      if (isSaved && control.value === typed) {
        control.value = base;
        keep(lead.row.id, name, '');
      }
      offer.hidden = true;
      show();
      if (!isDirty()) closed();
    }
    function parsed() {
      const text = control.value.trim();
      if (name !== 'conversionValue') return { [name]: text || null };
      const value = amount(text);
      if (value !== null && !(value < 1e12)) {
        toast(t('status.valueFault'), { isError: true });
        control.focus();
        return null;
      }
      return { [name]: value };
    }
    control.addEventListener('input', show);
    control.addEventListener('keydown', event => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey
        || control.type === 'text')) { event.preventDefault(); save(); }
      if (event.key === 'Escape') { event.preventDefault(); control.value = base ?? ''; keep(lead.row.id, name,
        ''); show(); closed(); control.blur(); }
    });
    let isFollowed = false;
    const take = theirs => {
      base = theirs;
      control.value = theirs;
      keep(lead.row.id, name, '');
    };
    return { node: h('div', { class: 'text-field' }, control, offer, saveButton), isDirty, update(row) {
      if (isSaving) return;
      const theirs = String(row[name] ?? '');
      if (!isFollowed) {
        isFollowed = true;
        control.value = theirs;
        life.add(follow(control, row.id, name, null, () => base));
        // A draft was made from a value that may have changed since.
        base = control.value === theirs ? theirs : draftBase(row.id, name) ?? theirs;
      }
      if (control.value === theirs || !isDirty() && document.activeElement !== control) take(theirs);
      offer.hidden = theirs === base;
      if (!offer.hidden) {
        fill(offer, nodes('field.theirs', { value: theirs || '–' }), ' ',
          h('button', { type: 'button', class: 'link', onClick: () => {
            take(theirs);
            control.focus();
            offer.hidden = true;
            show();
            closed();
          } }, t('field.take')));
      }
      show();
    } };
  }

  async function saveQuality() {
    if (!await change(lead, { leadQuality: quality.value }, { text: t('field.saved',
      { name: t('field.leadQuality') }) })) quality.value = lead.row.leadQuality;
  }
  async function saveScore() {
    const wanted = Number(score.value);
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > 100) { toast(t('score.fault'), { isError: true }); return; }
    if (wanted !== lead.row.leadScore && !await change(lead, { leadScore: wanted },
      { text: t('field.saved', { name: t('field.leadScore') }) })) score.value = lead.row.leadScore;
  }
  // Single tags, so that neither another agent's nor one's own quick second change conflicts.
  const setTag = (tag, isAdded) => change(lead, { [isAdded ? 'addTags' : 'removeTags']: [tag] }, {
    text: t('field.saved', { name: t('field.tags') }), reverse: () => ({ [isAdded ? 'removeTags' : 'addTags']: [tag] }),
    shows: { tags: isAdded ? [...lead.row.tags, tag] : lead.row.tags.filter(one => one !== tag) },
  });
  async function saveTag() {
    const tag = addTag.value.trim();
    if (!tag || lead.row.tags.includes(tag)) { addTag.value = ''; return; }
    if (await setTag(tag, true)) addTag.value = '';
  }

  function showFollowUp(row) {
    const isOver = Date.parse(row.followUpDate) < now();
    once(next, [row.followUpDate, isOver], () => row.followUpDate
      ? fill(next,
        h('time', { datetime: row.followUpDate, class: isOver ? 'is-over' : null }, dateTime(row.followUpDate)),
        h('button', { type: 'button', class: 'button small', onClick: () => finish(row) }, t('followUp.done')))
      : fill(next, h('span', { class: 'secondary' }, t('followUp.none'))));
  }

  async function finish(row) {
    const reason = obstacle();
    if (reason) { toast(reason, { isError: true }); return; }
    try {
      const { data } = await api('GET',
        `/api/admin/follow-ups?conversationId=${row.id}&status=scheduled,in_progress,overdue&limit=1`).catch(() =>
        api('GET', `/api/admin/follow-ups?conversationId=${row.id}&limit=50`));
      const open = data.data.find(one => ['scheduled', 'in_progress', 'overdue'].includes(one.status));
      if (!open) { toast(t('followUp.gone')); return; }
      await api('PATCH', `/api/admin/follow-ups/${open.id}`, { body: { status: 'completed' } });
      toast(t('followUp.completed'));
    } catch (problem) { report(problem); }
  }

  function showKnown(row) {
    const item = (name, inside) => inside && h('div', { class: 'fact' }, h('dt', null, t(`field.${name}`)),
      h('dd', null, inside));
    const text = string => string && h('bdi', { dir: 'auto' }, string);
    const isWeb = /^https?:\/\//i.test(row.metadata?.propertyUrl ?? '');
    fill(known, item('customerPhone', row.customerPhone && phone(row.customerPhone)),
      item('customerEmail', row.customerEmail && h('bdi', { dir: 'ltr' }, row.customerEmail)),
      item('intent', row.intent && label('intent', row.intent)), item('budget', text(row.budget)),
        item('propertyType', text(row.propertyType)),
      item('preferredArea', text(row.preferredArea)), item('source', row.source && label('source', row.source)),
        item('outcome', text(row.outcome)),
      item('propertyUrl', isWeb && h('a', { href: row.metadata.propertyUrl, rel: 'noopener noreferrer',
        target: '_blank', dir: 'ltr' }, row.metadata.propertyUrl)),
      item('createdAt', dateTime(row.createdAt)), item('slaResponseDeadline', row.slaResponseDeadline
        && dateTime(row.slaResponseDeadline)),
      item('firstResponseAt', row.firstResponseAt && dateTime(row.firstResponseAt)));
  }

  // The customer's other conversations, found by the whole phone number or address.
  async function loadOthers(row) {
    const query = row.customerPhone ?? row.customerEmail;
    if (!query) return;
    try {
      const { data } = await api('GET',
        `/api/admin/conversations?limit=6&sort=recent&query=${encodeURIComponent(query)}`);
      const rows = data.data.filter(one => one.id !== row.id && one.customerId !== null
        && one.customerId === row.customerId);
      others.hidden = rows.length === 0;
      fill(others, h('h2', { class: 'small-title' }, t('lead.others', { count: rows.length })),
        h('ul', null, rows.map(one => h('li', null,
        h('a', { href: `/admin/conversations/${one.id}` }, h('bdi', { dir: 'auto' }, nameOf(one))), ' ',
          h('span', { class: 'secondary' }, `${label('status', one.status)} · ${dateTime(one.createdAt)}`)))));
    } catch { others.hidden = true; }
  }

  let shownOthers = false;
  let current = null;
  function update(row, isPending = false) {
    current = row;
    setAttribute(node, 'class', isPending ? 'facts-inside is-pending' : 'facts-inside');
    setText(statusButton.firstChild, label('status', row.status));
    setAttribute(statusButton, 'data-status', row.status);
    notSpam.hidden = row.status !== 'spam';
    setText(agentButton.firstChild, row.assignedAgentId ? row.assignedAgentName ?? '…' : t('agent.nobody'));
    if (document.activeElement !== quality) quality.value = row.leadQuality;
    if (document.activeElement !== score) score.value = row.leadScore;
    once(tags, row.tags, () => fill(tags, row.tags.map(tag => h('li', { class: 'tag' }, h('bdi', { dir: 'auto' }, tag),
      h('button', { type: 'button', 'aria-label': t('tag.remove', { tag }), onClick: event =>
        { setTag(tag, false); if (event.detail === 0) addTag.focus(); } }, icon('close'))))));
    value.update(row);
    notes.update(row);
    showFollowUp(row);
    const { customerPhone, customerEmail, intent, budget, propertyType, preferredArea, source, outcome,
      metadata } = row;
    once(known, [customerPhone, customerEmail, intent, budget, propertyType, preferredArea, source, outcome,
      metadata?.propertyUrl, row.createdAt, row.slaResponseDeadline, row.firstResponseAt], () => showKnown(row));
    allow();
    if (!shownOthers) { shownOthers = true; loadOthers(row); }
  }

  function allow() {
    const reason = obstacle();
    for (const control of [quality, score, addTag,
      ...tags.querySelectorAll('button')]) control.disabled = reason !== null;
    for (const control of [statusButton, agentButton, ...notes.buttons]) {
      setAttribute(control, 'aria-disabled', reason ? 'true' : null);
    }
    setAttribute(node, 'title', reason);
  }
  life.add(connection.subscribe(() => { if (current) allow(); }));
  return { node, update, end: () => life.end() };
}
