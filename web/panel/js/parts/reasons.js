// Why a notification was not sent, in plain words. The provider's own words stay beside them, for whoever mends it.
import { h } from '../lib/dom.js';
import { label, t } from '../lib/i18n.js';

// What the reasons of the server contain, and the text for it. The first that fits counts. A text that begins with the
// name of a channel is for that channel only.
const WORDS = [
  [/channel_is_archived/, 'slackArchived'],
  [/channel_not_found/, 'slackNoChannel'],
  [/action_prohibited|posting_to_general_channel_denied/, 'slackForbidden'],
  [/no_service|no_active_hooks|no_team|team_disabled|invalid_token|user_not_found|Slack answered (40[134]|410)/,
    'slackUnknown'],
  [/chat not found/i, 'telegramNoChat'],
  [/bot was (kicked|blocked)|bot is not a member/i, 'telegramRemoved'],
  [/not enough rights/i, 'telegramRights'],
  [/supergroup/i, 'telegramMoved'],
  [/group chat was deleted|user is deactivated/i, 'telegramDeleted'],
  [/Telegram answered 40[14]/, 'telegramToken'],
  [/quota_exceeded/, 'mailQuota'],
  [/invalid_api_key|missing_api_key|restricted_api_key|Resend answered 401|mail server answered 5(30|34|35)/,
    'mailLogin'],
  [/recipient was refused|recipient is not|mail server answered 55\d|validation_error/i, 'recipient'],
  [/recipient is not configured|no agent has this address/i, 'notConfigured'],
  [/marked as spam/, 'spam'],
  [/data was erased/, 'erased'],
  [/^cancelled: /, 'cancelled'],
  [/unknown whether|no usable response|no clear reply/, 'unknown'],
  [/could not be reached|message was not sent: /, 'unreachable'],
  [/answered 429/, 'throttled'],
  [/(Slack|Telegram|Resend) answered 5\d\d/, 'retry'],
];
const CLASSES = new Set(['config', 'permanent', 'retry', 'throttled', 'unknown']);
const NAMES = { slack: 'Slack', telegram: 'Telegram' };

/** The name of a channel for people. */
export const channelName = name => NAMES[name] ?? label('channel', name);

/** The reason of {channel, class, reason} in plain words; null if it has none, or none that is known. */
export function plainReason({ channel, class: kind, reason }) {
  if (!reason) return null;
  // A service that cannot be reached in a way that only a setting mends, such as a wrong address, is the setting's.
  const isOther = name => ['slack', 'telegram', 'mail'].some(kind => name.startsWith(kind)
    && kind !== (channel === 'email' ? 'mail' : channel));
  const found = WORDS.find(([words, name]) => words.test(reason) && !isOther(name))?.[1];
  const key = found === 'unreachable' && kind === 'config' ? 'config' : found ?? (CLASSES.has(kind) ? kind : null);
  return key && t(`reason.${key}`, { channel: channel === 'email' ? t('reason.mailService') : channelName(channel) });
}

/** The reason as nodes: in plain words, and below them as the server keeps it. Null if there is none. */
export function reasonNode(row) {
  if (!row.reason) return null;
  const plain = plainReason(row);
  const raw = h('bdi', { class: 'raw', dir: 'auto', lang: 'en' }, row.reason);
  return plain ? h('span', { class: 'reason' }, h('span', null, plain), raw) : raw;
}
