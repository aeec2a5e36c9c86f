// Signs outside the page: a notification of the browser and a sound. Both are off until somebody asks for them.
import { preference, setPreference } from './store.js';

/** Reports whether this browser has notifications at all. Chromium on Android has them, but refuses those of pages. */
export const hasNotifications = () => 'Notification' in globalThis;

/**
 * Shows a notification; `opened` is called for a click on it. Returns false and switches notifications off if the
 * browser refuses: on Android only service workers may show one.
 */
export function showNotification(text, { tag, opened } = {}) {
  try {
    const shown = new Notification(text, { tag, dir: 'auto', lang: document.documentElement.lang });
    shown.onclick = () => { focus(); opened?.(); shown.close(); };
    return true;
  } catch (error) {
    console.info('The browser refuses notifications of pages:', error.message);
    setPreference('notifications', false);
    return false;
  }
}

/** Reports whether notifications are switched on, allowed by the browser, and needed, because the page is hidden. */
export const wantsNotification = () => preference('notifications') === true && hasNotifications()
  && Notification.permission === 'granted' && document.hidden;

// Browsers allow a page only a few audio contexts.
let audio = null;
let isWaiting = false;

/** Plays a short tone. Before the first click or key in the page browsers play nothing. */
export async function ring() {
  audio ??= new AudioContext();
  if (audio.state === 'suspended') {
    // All the leads that arrive before that click are one tone.
    if (isWaiting) return;
    isWaiting = true;
    try { await audio.resume(); } finally { isWaiting = false; }
  }
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.setValueAtTime(0.08, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.5);
  tone.frequency.value = 660;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.5);
  tone.onended = () => { tone.disconnect(); volume.disconnect(); };
}
