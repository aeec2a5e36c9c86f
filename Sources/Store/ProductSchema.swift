/// The tables and columns that a migrated database has. Tests/EndToEnd/test_check.py compares them with one.
package enum ProductSchema {
  /// The tables of schema public, which the roles of a Supabase project could reach.
  package static let publicTables = [
    "admin_keys", "admin_sessions", "agents", "chat_messages", "conversation_changes", "conversation_summaries",
    "conversation_timeline", "conversation_words", "conversations", "customer_identities", "follow_up_tasks",
    "idempotency_keys", "known_words", "lead_events", "lead_tags", "newsletter_subscribers", "notification_attempts",
    "notification_channels", "notification_logs", "user_roles", "workers",
  ]

  /// The tables of schema leadpipe, which only functions use.
  package static let internalTables = [
    "admin_logins", "assigning", "assignment_decisions", "assignment_turns", "audit_log", "customer_merges",
    "direct_deliveries", "follow_up_reminders", "follow_up_sweep", "index_lock", "merged_rows", "person_lock",
    "rate_counts",
    "receipt_queue",
    "receipt_sweep", "receipts", "sla_sweep", "unsent_leads",
  ]

  /// The columns of public.conversations.
  package static let conversationColumns = [
    "id", "customer_id", "customer_name", "customer_phone", "customer_email", "start_time", "end_time",
    "duration_minutes", "status", "lead_score", "lead_quality", "budget", "property_type", "preferred_area", "intent",
    "assigned_agent_id", "tags", "notes", "conversation_summary", "follow_up_date", "outcome", "conversion_value",
    "lead_score_breakdown", "created_at", "updated_at", "metadata", "idempotency_key", "source", "first_response_at",
    "sla_response_deadline", "sla_breached", "device_info", "budget_amount", "budget_min", "budget_max",
    "budget_currency", "budget_period", "erased_at", "sla_warned_for",
  ]
}
