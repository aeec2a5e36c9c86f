// Who gets a lead: one agent, oneself, nobody, or several agents in turn.
import { agents, may, me, session, setPreference } from '../lib/store.js';
import { api } from '../lib/api.js';
import { h, icon } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';
import { pick } from './dialogs.js';

/** Reads the agents again, so that their numbers are current. Resolves also if that fails. */
export const readAgents = () =>
  api('GET', '/api/admin/agents', { kind: 'agents' }).then(({ data }) => agents.set(data.data), () => {});

/** "available · 3 of 15" */
export const busyness = agent => [label('agentStatus', agent.status),
  t('agent.load', { open: agent.openConversations, most: agent.maxCapacity })].join(' · ');

const item = agent => ({ id: agent.id, agent, label: agent.name, icon: 'person',
  more: agent.id === me() ? `${t('agent.you')} · ${busyness(agent)}` : busyness(agent) });

const addAgent = close => may('owner') && agents.get().length === 0
  && h('a', { class: 'button', href: '/admin/agents', onClick: () => close() }, icon('plus'), t('agents.add'));

/**
 * Lets the visitor pick an agent. Returns the agent, null for nobody, undefined if the dialog was closed. With
 * `canShare` it may return 'share': the leads are for several agents.
 */
export async function pickAgent({ count = 1, canShare = false } = {}) {
  // The dialog opens at once, so that what is typed next reaches it; new agents and numbers follow.
  const fresh = readAgents();
  if (!agents.get().length) await fresh;
  const items = () => [...agents.get().map(item).sort((a, b) => (b.id === me()) - (a.id === me())),
    { id: 'none', agent: null, label: t('agent.nobody'), icon: 'none' }];
  const foot = close => [addAgent(close),
    canShare && agents.get().length > 1 && h('button', { type: 'button', class: 'button', onClick: () =>
      close({ agent: 'share' }) }, icon('people'), t('share.button')),
    !me() && agents.get().length > 0 && h('button', { type: 'button', class: 'button', onClick: () =>
      close({ agent: 'me' }) }, icon('person'), t('assign.me'))];
  const chosen = await pick({ title: t('assign.title', { count }), items: items(), placeholder: t('assign.search'),
    empty: t('agents.empty'), later: fresh.then(items), foot });
  return chosen?.agent === 'me' ? await myself() : chosen?.agent;
}

/**
 * The agent who uses this panel. Asks if neither the key nor this browser names one, and keeps the answer as the
 * settings do. Undefined if there was no answer.
 */
export async function myself() {
  const own = session.get()?.agent;
  if (own) return own;
  if (!agents.get().length) await readAgents();
  const known = agents.get().find(agent => agent.id === me());
  if (known) return known;
  const foot = close => addAgent(close) || h('p', { class: 'secondary' }, t('who.text'));
  const chosen = await pick({ title: t('who.title'), items: agents.get().map(item), placeholder: t('assign.search'),
    empty: t('agents.empty'), foot });
  if (chosen) setPreference('agent', chosen.id);
  return chosen?.agent;
}
