// Keyboard commands. Each command has a key, a text and a place, and appears in the sheet and in the palette.
import { preference } from './store.js';

const scopes = new Map();
let prefix = null;
let prefixTimer = null;

/**
 * Sets the commands of a scope: [{key, label, run, isHidden, isAllowed}]. Keys are 'j', 'g i', 'X' (with Shift), '/'.
 * Returns what removes them.
 */
export function bind(scope, commands) {
  scopes.set(scope, commands);
  return () => { if (scopes.get(scope) === commands) scopes.delete(scope); };
}

/** All commands by scope, for the sheet and the palette; those that cannot run now are left out. */
export const commands = () => [...scopes].map(([scope, list]) =>
  ({ scope, list: list.filter(command => !command.isHidden && command.isAllowed?.() !== false) }));

/** The name of a key that does not depend on the layout: Latin letters of the key, otherwise of its place. */
export function keyOf(event) {
  const { key, code } = event;
  if (key.length > 1 || /^[\x21-\x7e]$/.test(key)) return key;
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter) return event.shiftKey ? letter : letter.toLowerCase();
  const digit = /^Digit(\d)$/.exec(code)?.[1];
  return digit ?? { Slash: event.shiftKey ? '?' : '/', Period: '.', BracketLeft: '[', BracketRight: ']' }[code] ?? key;
}

/** Reports whether keys typed there are text. */
export const isField = node => node instanceof Element
  && node.closest('input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, '
    + '[contenteditable]') !== null;

function find(key) {
  const sequence = prefix ? `${prefix} ${key}` : key;
  for (const list of [...scopes.values()].reverse()) {
    const command = list.find(({ key: own, isAllowed }) => own === sequence && isAllowed?.() !== false);
    if (command) return command;
  }
  return null;
}

const beginsSequence = key => [...scopes.values()].flat().some(command => command.key?.startsWith(`${key} `));

/** Starts listening. `openPalette` is called for Ctrl+K. */
export function start(openPalette) {
  document.addEventListener('keydown', event => {
    if (event.defaultPrevented || event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.code === 'KeyK') {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey || isField(event.target)) return;
    if (document.querySelector('dialog[open]:modal, [popover]:popover-open')) return;
    const key = keyOf(event);
    if (key === 'Shift') return;
    // A key that is held moves, and does nothing else again.
    if (event.repeat && !['j', 'k'].includes(key)) return;
    if (preference('keys', true) === false && key !== 'Escape') return;
    // Enter and Space belong to the button or link that has the focus.
    if ((key === 'Enter' || key === ' ')
      && event.target.closest?.('a, button, summary, [role=tab], [role=menuitem], input')) return;
    const command = find(key);
    const wasPrefixed = prefix !== null;
    clearTimeout(prefixTimer);
    prefix = null;
    if (command) {
      event.preventDefault();
      command.run(event);
    } else if (!wasPrefixed && beginsSequence(key)) {
      prefix = key;
      prefixTimer = setTimeout(() => { prefix = null; }, 1500);
    }
  });
}
