// Below the messages: log an answer, write a note, plan a follow-up. What is typed is kept until it is saved.
import { draft, follow, keep } from '../lib/drafts.js';
import { change, obstacle, report, respond } from '../lib/actions.js';
import { connection } from '../lib/api.js';
import { fill, h, icon, setAttribute, setText } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { me } from '../lib/store.js';
import { isOpen } from '../lib/time.js';
import { toast } from './toast.js';

const CHANNELS = ['call', 'whatsapp', 'email', 'sms', 'chat', 'meeting'];

/**
 * Returns {node, start(mode), reached(by), update(row), draftText(), end()}. `changed()` is called after a save.
 * `reached` chooses the channel by which the agent has just tried to reach the customer.
 */
export function composer({ id, lead, askFollowUp, changed }) {
  let mode = draft(id, 'note') && !draft(id, 'answer') ? 'note' : 'answer';
  let endDraft = null;
  let hasFirstAnswer = true;
  const channel = h('select', { name: 'channel', 'aria-label': t('answer.channel') },
    CHANNELS.map(value => h('option', { value }, label('channel', value))));
  const text = h('textarea', { rows: '2', maxlength: '5000', dir: 'auto' });
  const hint = h('p', { class: 'secondary hint' });
  const saved = h('span', { class: 'secondary', role: 'status' });
  const save = h('button', { type: 'submit', class: 'button primary' });
  const tab = name => h('button', { type: 'button', data: { id: name }, 'aria-pressed': 'false',
    'aria-keyshortcuts': name === 'answer' ? 'r' : 'n', onClick: () => start(name) },
    icon(name === 'answer' ? 'check' : 'note'), h('span', null, t(`${name}.button`)));
  const modes = h('div', { class: 'switches', role: 'group', 'aria-label': t('composer.label') }, tab('answer'),
    tab('note'));
  const form = h('form', { class: 'composer', 'aria-label': t('composer.label'), onSubmit: submit },
    h('div', { class: 'composer-head' }, modes, channel,
      // On phones only its icon is shown.
      h('button', { type: 'button', class: 'button end', 'aria-label': t('followUp.button'), 'aria-keyshortcuts': 'f',
        onClick: askFollowUp },
        icon('calendar'), h('span', null, t('followUp.button')))),
    text, h('div', { class: 'composer-foot' }, hint, saved, save));
  form.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat && !save.disabled) form.requestSubmit();
    }
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close();
    document.getElementById('main').focus({ preventScroll: true });
  });
  text.addEventListener('input', fit);
  // On phones the fields are shown only while one writes. The focus is no sign of it: Safari gives buttons none, and a
  // button that moves when it gets the focus misses its own tap.
  const close = () => { delete form.dataset.open; };
  const outside = event => { if (!form.contains(event.target)) close(); };
  document.addEventListener('pointerdown', outside);

  function fit() {
    text.style.setProperty('block-size', 'auto');
    text.style.setProperty('block-size', `${Math.min(240, text.scrollHeight + 2)}px`);
  }

  function setMode(name) {
    mode = name;
    endDraft?.();
    text.value = '';
    endDraft = follow(text, id, mode, value => setText(saved, value ? t('draft.saved') : ''));
    for (const button of modes.children) setAttribute(button, 'aria-pressed', String(button.dataset.id === mode));
    channel.hidden = mode !== 'answer';
    setAttribute(text, 'aria-label', t(`${mode}.text`));
    setAttribute(text, 'placeholder', t(`${mode}.text`));
    setText(saved, text.value ? t('draft.saved') : '');
    if (lead.row) update(lead.row);
    fit();
  }

  function start(name) {
    form.dataset.open = '';
    if (name !== mode) setMode(name);
    fit();
    text.focus();
  }

  function update(row) {
    const reason = obstacle();
    hasFirstAnswer = Boolean(row.firstResponseAt);
    setText(save, t(mode === 'answer' ? 'answer.save' : 'note.save'));
    setAttribute(save, 'aria-disabled', reason ? 'true' : null);
    setAttribute(form, 'class', `composer ${mode}`);
    setText(hint, reason ?? (mode === 'note' ? t('note.hint') : hasFirstAnswer || !isOpen(row) ? t('answer.hint')
      : t('answer.hintFirst')));
  }

  async function submit(event) {
    event.preventDefault();
    const reason = obstacle();
    if (reason) { toast(reason, { isError: true }); return; }
    if (save.disabled) return;
    const words = text.value.trim();
    const saving = mode;
    if (mode === 'note' && !words) { text.focus(); toast(t('note.empty'), { isError: true }); return; }
    save.disabled = true;
    try {
      if (await (mode === 'note' ? addNote(words) : logAnswer(words))) {
        // Only what was saved is removed; what was typed meanwhile stays.
        if (text.value.trim() === words) text.value = '';
        keep(id, saving, saving === mode ? text.value : '');
        setText(saved, '');
        fit();
        changed();
        close();
        document.getElementById('main').focus({ preventScroll: true });
      }
    } catch (problem) { report(problem); }
    save.disabled = false;
  }

  const logAnswer = words => respond(lead, { channel: channel.value, ...words ? { message: words } : {}, ...me()
    ? { agentId: me() } : {} });

  // Appended by the server, so that it replaces no note of another agent.
  async function addNote(words) {
    const notes = [lead.row.notes, words].filter(Boolean).join('\n');
    return change(lead, { notes: words, notesMode: 'append' }, {
      text: t('note.done'), shows: { notes }, reverse: row => ({ notes: row.notes ?? null }) });
  }

  const endConnection = connection.subscribe(() => { if (lead.row) update(lead.row); });
  setMode(mode);
  return { node: form, start, reached: by => { channel.value = by; }, update, draftText: () => text.value,
    end() {
      endDraft?.();
      endConnection();
      document.removeEventListener('pointerdown', outside);
      fill(saved);
    } };
}
