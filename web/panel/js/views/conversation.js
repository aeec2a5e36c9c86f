// One lead: what was said, what to do next, and what is known.
import { api, isAbort, onReconnect } from '../lib/api.js';
import { bind } from '../lib/keys.js';
import { back, navigate } from '../lib/router.js';
import { done, obstacle, onChange, report, assign, change } from '../lib/actions.js';
import { fill, h, icon, setAttribute, setText } from '../lib/dom.js';
import { label, number, t } from '../lib/i18n.js';
import { onEvent } from '../lib/live.js';
import { onTick } from '../lib/time.js';
import { agents, scope, trail } from '../lib/store.js';
import { contacts, errorState, loading, nameOf, qualityChip, slaChip } from '../parts/chips.js';
import { composer } from '../parts/composer.js';
import { deliveriesTab, timelineTab, whyTab } from '../parts/history.js';
import { factsPanel } from '../parts/facts.js';
import { thread } from '../parts/thread.js';
import { askFollowUp, askStatus } from '../parts/forms.js';
import { myself, pickAgent } from '../parts/assign.js';
import { toast } from '../parts/toast.js';
import { openMenu } from '../parts/menu.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const TABS = ['messages', 'timeline', 'deliveries', 'why'];
const ON_PHONE = ['messages', 'facts', 'timeline', 'deliveries', 'why'];

export function open({ params, query, outlet, memory }) {
  const life = scope();
  const path = `/api/admin/conversations/${params.id}`;
  // What every change of this view starts from: the row as it was read, and its ETag.
  const lead = { row: null, etag: null };
  const [quality, sla] = [qualityChip(), slaChip()];
  const heading = h('h1', { tabindex: '-1', dir: 'auto' }, '…');
  const { ids, address } = trail.get();
  const place = ids.indexOf(params.id);
  const step = (by, symbol) => {
    const id = place >= 0 ? ids[place + by] : undefined;
    return h(id ? 'a' : 'span', { class: 'icon-button', href: id && `/admin/conversations/${id}`,
      'aria-label': t(by < 0 ? 'lead.previous' : 'lead.next'),
      'aria-disabled': id ? null : 'true', role: id ? null : 'link' }, icon(symbol));
  };
  const reach = h('div', { class: 'reach' });
  const more = h('button', { type: 'button', class: 'icon-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false',
    'aria-label': t('lead.more'), onClick: () => openMenu(more, menuItems(), t('lead.more')) }, icon('more'));
  const head = h('header', { class: 'lead-head' },
    h('a', { class: 'icon-button', href: address, 'aria-label': t('lead.back'),
      onClick: event => { event.preventDefault(); event.stopPropagation(); goBack(); } }, icon('back', true)),
    h('div', { class: 'lead-title' }, heading, h('div', { class: 'lead-chips' }, quality.node, sla.node)),
    place >= 0 && h('div', { class: 'stepper' }, h('span', { class: 'secondary' },
      t('lead.place', { index: place + 1, count: ids.length })), step(-1, 'up'), step(1, 'down')),
    reach, more);
  const tabBar = h('div', { class: 'switches tabs', role: 'group', 'aria-label': t('lead.tabs') });
  const body = h('div', { class: 'lead-body' });
  const write = composer({ id: params.id, lead, askFollowUp: followUp, changed: () => reload() });
  const facts = factsPanel({ lead, assign: () => choose(), status: chooseStatus,
    note: () => focusOn('note')() });
  const side = h('aside', { class: 'facts', 'aria-label': t('lead.facts') }, facts.node);
  const column = h('section', { class: 'lead-main' }, tabBar, body, write.node);
  const state = h('div', { class: 'lead-state' });
  const frame = h('div', { class: 'lead-columns' }, column, side);
  let tab = ON_PHONE.includes(query.get('view')) ? query.get('view') : 'messages';
  let view = null;
  let openedAt = null;
  fill(outlet, head, state, frame);

  for (const name of ON_PHONE) {
    tabBar.append(h('button', { type: 'button', data: { id: name }, class: name === 'facts' ? 'phone-only' : null,
      'aria-pressed': 'false', onClick: () => showTab(name) },
      h('span', null, t(`leadTab.${name}`)), name === 'messages' && h('span', { class: 'count' })));
  }

  function showTab(name) {
    tab = name;
    outlet.dataset.tab = name;
    for (const button of tabBar.children) setAttribute(button, 'aria-pressed', String(button.dataset.id === tab));
    view?.end?.();
    view = null;
    if (name === 'facts') { fill(body); return; }
    const makers = { messages: () => thread(body, lead, openedAt), timeline: () => timelineTab(body, params.id),
      deliveries: () => deliveriesTab(body, params.id), why: () => whyTab(body, params.id) };
    fill(body);
    view = makers[name]();
  }

  async function load() {
    const end = loading(state, 4);
    frame.hidden = true;
    try {
      if (!UUID.test(params.id)) throw Object.assign(new Error(t('error.noLead')),
        { status: 404, code: 'conversation_not_found', details: [], title: t('notFound.title') });
      const { data, etag } = await api('GET', path);
      if (life.isOver) return;
      Object.assign(lead, { row: data, etag });
      openedAt = data.messages.at(-1)?.timestamp ?? data.createdAt;
      end();
      fill(state);
      frame.hidden = false;
      draw();
      showTab(tab);
      // Where one was on a phone, on coming back from another page.
      if (memory?.scroll) scrollTo(0, memory.scroll);
    } catch (problem) {
      end();
      if (isAbort(problem) || life.isOver) return;
      fill(state, errorState(problem, problem.status === 404 ? null : load));
      if (problem.status === 404) {
        setText(heading, t('notFound.title'));
        // The lead is gone, but what was typed for it is not.
        frame.hidden = write.draftText() === '';
        column.hidden = false;
        side.hidden = true;
        fill(body, h('p', { class: 'secondary pad' }, t('lead.draftKept')));
      }
    }
  }

  let timer = null;
  async function reload() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const { data, etag } = await api('GET', path, { kind: `lead ${params.id}` });
        if (life.isOver || !lead.row) return;
        Object.assign(lead, { row: data, etag });
        draw();
        view?.update?.();
      } catch (problem) {
        if (problem.status === 404 && !life.isOver) load();
        else if (!isAbort(problem) && problem.status !== 0) report(problem);
      }
    }, 500);
  }

  function draw(shown = lead.row, isPending = false) {
    const name = nameOf(shown);
    setText(heading, name);
    setAttribute(heading, 'title', name);
    quality.update(shown);
    sla.update(shown);
    setText(tabBar.querySelector('.count'), number(shown.messages?.length ?? lead.row.messages?.length ?? 0));
    const key = JSON.stringify([shown.customerPhone, shown.customerEmail]);
    if (reach.dataset.key !== key) {
      reach.dataset.key = key;
      fill(reach, contacts(shown).map(({ kind, href, label: text, icon: symbol }) =>
        h('a', { class: `button reach-${kind}`, href, rel: 'noopener noreferrer', onClick: () => write.reached(kind),
        target: href.startsWith('http') ? '_blank' : null, 'aria-keyshortcuts': { call: 'c', whatsapp: 'w' }[kind] },
          icon(symbol), h('span', null, text))));
    }
    facts.update(shown, isPending);
    write.update(shown);
  }

  const menuItems = () => {
    const copy = text => ({ label: t('copyText', { text }), icon: 'copy', run: () =>
      navigator.clipboard.writeText(text).then(() => toast(t('copied')), report) });
    return [lead.row?.customerPhone && copy(lead.row.customerPhone), lead.row?.customerEmail
      && copy(lead.row.customerEmail),
      { label: t('lead.copyLink'), icon: 'link', run: () =>
        navigator.clipboard.writeText(location.origin + location.pathname).then(() => toast(t('copied')), report) },
      { label: t('bulk.assign'), icon: 'person', key: 'A', reason: obstacle(), run: choose },
      { label: t('assign.me'), icon: 'person', key: 'I', reason: obstacle(), run: takeOver },
      { label: t('bulk.status'), icon: 'flag', key: 'S', reason: obstacle(), run: chooseStatus },
      { label: t('followUp.button'), icon: 'calendar', key: 'F', reason: obstacle(), run: followUp }].filter(Boolean);
  };

  const refused = () => {
    const reason = lead.row ? obstacle() : t('loading');
    if (reason) toast(reason, { isError: true });
    return reason !== null;
  };

  const give = ask => async () => {
    if (refused()) return;
    const agent = await ask();
    if (agent !== undefined) await assign(lead, agent);
  };
  const [choose, takeOver] = [give(pickAgent), give(myself)];

  async function chooseStatus() {
    if (refused()) return;
    const fields = await askStatus(lead.row);
    if (fields) await change(lead, fields, { text: t('bulk.statusDone',
      { count: 1, status: label('status', fields.status) }) });
  }

  async function followUp() {
    if (refused()) return;
    const made = await askFollowUp();
    if (!made) return;
    try {
      const agent = lead.row.assignedAgentId ? { assignedAgentId: lead.row.assignedAgentId } : {};
      const { data } = await api('POST', `${path}/follow-ups`, { body: { ...made, ...agent } });
      done(t('followUp.made'), async () => {
        await api('PATCH', `/api/admin/follow-ups/${data.id}`, { body: { status: 'cancelled' } });
        reload();
        return t('followUp.cancelled');
      });
      reload();
    } catch (problem) { report(problem); }
  }

  const goBack = () => back(address);
  const go = by => { const id = place >= 0 ? ids[place + by]
    : undefined; if (id) navigate(`/admin/conversations/${id}`); };
  const click = kind => () => reach.querySelector(`.reach-${kind}`)?.click();
  const focusOn = mode => () => { if (tab === 'facts') showTab('messages'); write.start(mode); };
  life.add(bind('view', [
    { key: 'c', label: t('contact.call'), run: click('call') },
      { key: 'w', label: 'WhatsApp', run: click('whatsapp') },
      { key: 'm', label: t('contact.mail'), run: click('email') },
    { key: 'r', label: t('answer.button'), run: focusOn('answer') },
      { key: 'n', label: t('note.button'), run: focusOn('note') },
    { key: 'f', label: t('followUp.button'), run: followUp }, { key: 'a', label: t('bulk.assign'), run: choose },
      { key: 'i', label: t('assign.me'), run: takeOver }, { key: 's', label: t('bulk.status'), run: chooseStatus },
    { key: '[', label: t('lead.previous'), run: () => go(-1), isAllowed: () => place > 0 },
      { key: ']', label: t('lead.next'), run: () => go(1), isAllowed: () => place >= 0 && place < ids.length - 1 },
    ...TABS.map((name, index) => ({ key: String(index + 1), label: t(`leadTab.${name}`), run: () => showTab(name) })),
    { key: 'Escape', label: t('lead.back'), run: goBack },
  ]));
  life.add(onEvent(({ name, data }) => { if (name === 'reset' || data?.conversationId === params.id) reload(); }));
  life.add(onReconnect(reload));
  life.add(onChange((row, isPending) => {
    if (row.id !== params.id || !lead.row) return;
    draw(row, isPending);
    if (!isPending) view?.update?.();
  }));
  life.add(agents.subscribe(() => { if (lead.row) facts.update(lead.row); }));
  life.add(onTick(() => { if (lead.row) { sla.update(lead.row); write.update(lead.row); } }));
  life.add(() => {
    clearTimeout(timer);
    view?.end?.();
    write.end();
    facts.end();
    life.isOver = true;
    delete outlet.dataset.tab;
  });
  // On phones the tabs stay below the head.
  const sizes = new ResizeObserver(() => outlet.style.setProperty('--head', `${head.offsetHeight}px`));
  sizes.observe(head);
  life.add(() => sizes.disconnect());
  load();
  return { title: t('lead.title'), heading, leave() { life.end(); return {}; } };
}
