// A script of its own, so that the page says something if a module or its texts cannot be loaded, and loads again.
(() => {
  const WAIT = 10_000;
  // The files of the languages are no modules; main.js says if they are missing.
  addEventListener('leadpipe-unavailable', () => say());
  addEventListener('error', event => { if (event.target instanceof HTMLScriptElement) say(); }, true);

  function say() {
    const app = document.getElementById('app');
    if (!app || app.classList.contains('is-failed') || app.querySelector('main')) return;
    const isArabic = navigator.language.startsWith('ar');
    const text = document.createElement('p');
    text.setAttribute('role', 'alert');
    text.textContent = isArabic ? 'تعذّر تحميل الصفحة. ستُحمَّل مرة أخرى بعد قليل.'
      : 'The page could not be loaded. It loads again in a moment.';
    const button = document.createElement('button');
    button.textContent = isArabic ? 'تحميل الآن' : 'Load now';
    button.addEventListener('click', () => location.reload());
    document.documentElement.dir = isArabic ? 'rtl' : 'ltr';
    app.className = 'is-failed state';
    app.replaceChildren(text, button);
    setTimeout(() => location.reload(), WAIT);
  }

  // The session is asked for while the modules load, so that the first list comes a round trip earlier. A log-in link
  // opens a session of its own. The body is read at once: the time limit would also end one that waits for the modules.
  if (!/[#&]token=/.test(location.hash)) {
    const asked = fetch('/api/admin/session',
      { headers: { Accept: 'application/json' }, credentials: 'same-origin', cache: 'no-store',
        signal: AbortSignal.timeout(30_000) }).then(async reply => new Response(await reply.text(), reply));
    // The log-in asks again.
    asked.catch(() => {});
    globalThis.askedSession = asked;
  }
})();
