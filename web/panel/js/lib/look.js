// The theme and the density that are set in this browser.
import { preference } from './store.js';
import { setAttribute } from './dom.js';

export function applyLook() {
  const theme = preference('theme', 'auto');
  setAttribute(document.documentElement, 'data-theme', theme === 'auto' ? null : theme);
  setAttribute(document.documentElement, 'data-density', preference('density', 'default'));
}
