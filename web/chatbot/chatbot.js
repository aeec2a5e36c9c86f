// The chatbot, for any page: <script type="module" src="https://leads.example.com/chatbot.js"></script>
// docs/how-to/put-the-chatbot-on-a-website.md lists the data- attributes.
import { LeadpipeChat } from './leadpipe/chat.js';

if (!customElements.get('leadpipe-chat')) customElements.define('leadpipe-chat', LeadpipeChat);

function place() {
  if (document.querySelector('leadpipe-chat')) return;
  const script = [...document.querySelectorAll('script[src]')].find(one => one.src === import.meta.url);
  const chat = document.createElement('leadpipe-chat');
  Object.assign(chat.dataset, script?.dataset);
  chat.dataset.api = (chat.dataset.api || new URL(import.meta.url).origin).replace(/\/+$/, '');
  document.body.append(chat);
}

// The page's own links and buttons: <a href="/contact" data-leadpipe-open>.
document.addEventListener('click', event => {
  if (!event.target.closest?.('[data-leadpipe-open]')) return;
  event.preventDefault();
  document.querySelector('leadpipe-chat')?.open();
});

if (document.body) place();
else addEventListener('DOMContentLoaded', place);
