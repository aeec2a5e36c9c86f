// Builds the argument of capture_lead for a body. The values that lead-capture computes (score, deadline) are constant
// here, which favours the peers.
module.exports = (body) => {
  const { idempotencyKey, messages = [], ...lead } = body;
  return JSON.stringify({
    route: 'lead-capture', source: 'chatbot', receivedAt: new Date().toISOString(),
    idempotency: idempotencyKey ? { key: idempotencyKey, content: body } : null,
    lead: {
      ...lead, leadScore: 42, leadQuality: 'cold', leadScoreBreakdown: { source: 'server' }, tags: [],
      slaDeadline: '2027-01-01T00:00:00.000Z',
    },
    messages: messages.map((m) => ({ id: m.id, sender: m.sender === 'user' ? 'customer' : m.sender, text: m.messageText, type: 'text', timestamp: m.timestamp })),
    event: { type: 'lead.created', payload: { ...lead, metadata: undefined, source: 'chatbot', leadScore: 42 } },
    timeline: { title: 'Lead Created', description: 'Captured from chatbot' },
  });
};
