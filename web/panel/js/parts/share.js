// Shares leads evenly among several agents, in turn, and shows first how many each of them gets.
import { agents } from '../lib/store.js';
import { fill, h, setAttribute, setText } from '../lib/dom.js';
import { isOpen } from '../lib/time.js';
import { t } from '../lib/i18n.js';
import { busyness, readAgents } from './assign.js';
import { buttons, modal } from './dialogs.js';

/**
 * Deals rows to agents in turn, in the order of both. An agent without room gets no further open leads. A lead needs no
 * room at the agent who already has it. Returns {shares: a Map of agents to rows, rest: the rows that are left}.
 */
export function deal(rows, people) {
  const shares = new Map(people.map(agent => [agent, []]));
  const room = new Map(people.map(agent => [agent, agent.maxCapacity - agent.openConversations]));
  const rest = [];
  let turn = 0;
  for (const row of rows) {
    const needs = agent => isOpen(row) && row.assignedAgentId !== agent.id ? 1 : 0;
    const order = people.map((_, index) => people[(turn + index) % people.length]);
    const agent = order.find(one => needs(one) === 0 || room.get(one) > 0);
    if (!agent) { rest.push(row); continue; }
    room.set(agent, room.get(agent) - needs(agent));
    shares.get(agent).push(row);
    turn = people.indexOf(agent) + 1;
  }
  return { shares, rest };
}

/** Asks among whom to share. Returns {parts, text(count)}, one part for each agent; undefined without an answer. */
export async function askShare(rows) {
  await readAgents();
  const people = agents.get();
  const boxes = new Map();
  const gets = new Map();
  const summary = h('p', { role: 'status', class: 'secondary' });
  const fault = h('p', { class: 'fault', role: 'alert' });
  const chosen = () => people.filter(agent => boxes.get(agent).checked);
  const line = agent => {
    const box = h('input', { type: 'checkbox', name: 'agent', value: agent.id,
      checked: agent.status === 'available' && agent.openConversations < agent.maxCapacity, onChange: show });
    const count = h('strong', { class: 'end' });
    boxes.set(agent, box);
    gets.set(agent, count);
    return h('label', null, box, h('span', null, h('bdi', { dir: 'auto' }, agent.name), ' ',
      h('small', { class: 'secondary' }, busyness(agent))), count);
  };
  function show() {
    const { shares, rest } = deal(rows, chosen());
    for (const agent of people) {
      const count = shares.get(agent)?.length ?? null;
      setText(gets.get(agent), count === null ? '' : t('share.gets', { count }));
    }
    fill(fault);
    setAttribute(list, 'aria-describedby', null);
    fill(summary, t('share.summary', { count: rows.length - rest.length }), ' ',
      rest.length > 0 && t('share.rest', { count: rest.length }));
  }
  const list = h('fieldset', { class: 'checks' }, h('legend', null, t('share.among')), people.map(line));
  fault.id = 'share-fault';
  const form = h('form', { class: 'stack', onSubmit: event => {
    event.preventDefault();
    const { shares } = deal(rows, chosen());
    const parts = [...shares].filter(([, own]) => own.length)
      .map(([agent, own]) => ({ rows: own, fields: { agentId: agent.id } }));
    if (!parts.length) {
      fill(fault, t(chosen().length ? 'share.noRoom' : 'share.nobody'));
      setAttribute(list, 'aria-describedby', fault.id);
      form.querySelector('input')?.focus();
      return;
    }
    box.close({ parts, text: count => t('share.done', { count }) });
  } }, h('p', { class: 'secondary' }, t('share.how')), list, summary, fault, buttons(t('share.save')));
  const box = modal({ title: t('share.title', { count: rows.length }), body: form, size: 'narrow' });
  show();
  form.querySelector('input')?.focus();
  return box.closed;
}
