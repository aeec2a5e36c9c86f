// Asks for a change of the chosen leads of the inbox.
import { label, t } from '../lib/i18n.js';
import { askStatus } from './forms.js';
import { myself, pickAgent } from './assign.js';
import { pick } from './dialogs.js';

const assigned = (rows, agent) => agent !== undefined && {
  parts: [{ rows, fields: { agentId: agent?.id ?? null } }],
  text: count => agent ? t('bulk.assigned', { count, name: agent.name }) : t('bulk.unassigned', { count }) };

const ASK = {
  async assign(rows) {
    const agent = await pickAgent({ count: rows.length, canShare: rows.length > 1 });
    return agent === 'share' ? ASK.share(rows) : assigned(rows, agent);
  },
  me: async rows => assigned(rows, await myself()),
  // Loaded when it is used first.
  share: async rows => (await import('./share.js')).askShare(rows),
  async status(rows) {
    const fields = await askStatus(rows.length === 1 ? rows[0] : null);
    return fields && { parts: [{ rows, fields }], text: count => t('bulk.statusDone',
      { count, status: label('status', fields.status) }) };
  },
  async quality(rows) {
    const item = await pick({ title: t('bulk.quality'), items: ['hot', 'warm', 'cold'].map(id =>
      ({ id, label: label('quality', id) })) });
    return item && { parts: [{ rows, fields: { leadQuality: item.id } }], text: count =>
      t('bulk.qualityDone', { count, quality: item.label }) };
  },
  async tag(rows, known) {
    const item = await pick({ title: t('bulk.tag'), items: known.map(id => ({ id, label: id, icon: 'tag' })),
      placeholder: t('tag.placeholder'),
      create: text => text && { id: text, label: text, icon: 'plus' } });
    return item && { parts: [{ rows, fields: { addTags: [item.id] } }], text: count =>
      t('bulk.tagDone', { count, tag: item.id }) };
  },
};

/**
 * Asks for the change `name` of `rows`: assign, me, share, status, quality or tag. `known` are the tags to choose from.
 * Returns what changeMany takes: {parts: [{rows, fields}], text(count)}; nothing if the dialog was closed.
 */
export const askChange = (name, rows, known) => ASK[name](rows, known);
