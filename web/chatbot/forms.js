// The forms, for any page: <script type="module" src="https://leads.example.com/forms.js"></script> and
// <leadpipe-form type="contact"></leadpipe-form>. docs/how-to/put-the-chatbot-on-a-website.md lists the attributes.
import { LeadpipeForm } from './leadpipe/form.js';

if (!customElements.get('leadpipe-form')) customElements.define('leadpipe-form', LeadpipeForm);
