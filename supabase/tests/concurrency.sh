#!/bin/bash
# Tests the functions under concurrent calls, against a migrated database. Leaves rows behind, so use a separate
# database.
# Usage: concurrency.sh DATABASE        (PGHOST, PGUSER as for psql)
set -euo pipefail
db=$1
tag=$RANDOM$RANDOM
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
sql() { psql -XqAt -v ON_ERROR_STOP=1 -d "$db" "$@"; }
# at_once COUNT SQL NAME: COUNT sessions run SQL at the same time; %i is the session's number.
at_once() {
  local start i; start=$(sql -c "select clock_timestamp() + interval '1.5 seconds'"); rm -f "$out"/*; pids=()
  for i in $(seq "$1"); do
    sql -c "select pg_sleep(greatest(0, extract(epoch from '$start'::timestamptz - clock_timestamp())))" -c "${2//%i/$i}" >"$out/$i" 2>&1 & pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i" || { cat "$out"/* | grep -m3 ERROR; echo "not ok - $3"; exit 1; }; done
}
is() { [ "$1" = "$2" ] && echo "ok - $3" || { echo "not ok - $3: have $1, want $2"; exit 1; }; }

at_once 50 "select capture_lead('{\"route\":\"race\",\"source\":\"s\",\"idempotency\":{\"key\":\"$tag\",\"content\":{\"a\":1}},\"lead\":{\"customerName\":\"$tag same\",\"customerPhone\":\"+1$tag\"},
  \"messages\":[{\"id\":\"1\",\"text\":\"hi\"}]}') - 'outcome' - 'eventId' - 'messagesAdded'" 'fifty equal submissions'
is "$(cat "$out"/* | grep '^{' | sort -u | wc -l)" 1 'fifty equal submissions get equal replies'
is "$(sql -c "select count(*) from conversations where customer_name = '$tag same'")" 1 'fifty equal submissions create one conversation'

id=$(sql -c 'select gen_random_uuid()')
at_once 50 "select capture_lead('{\"route\":\"race\",\"source\":\"s\",\"conversationId\":\"$id\",\"lead\":{\"customerName\":\"$tag chat\",\"customerPhone\":\"+2$tag\",\"customerEmail\":\"$tag@x.y\"},
  \"messages\":[{\"id\":\"same\",\"text\":\"hi\"},{\"id\":\"%i\",\"text\":\"hi\"}]}')" 'fifty parts of one chat'
is "$(sql -c "select count(*) from chat_messages where conversation_id = '$id'")" 51 'fifty parts of one chat: every message is stored once'

at_once 50 "select capture_lead('{\"route\":\"race\",\"source\":\"s\",\"lead\":{\"customerName\":\"$tag person\",\"customerPhone\":\"+3$tag\",\"customerEmail\":\"p$tag@x.y\"},
  \"messages\":[{\"id\":\"$(sql -c 'select gen_random_uuid()')\",\"text\":\"hi\"}]}')" 'fifty leads of one person'
is "$(sql -c "select count(*), count(distinct customer_id) from conversations where customer_name = '$tag person'")" '50|1' 'fifty leads of one new person get one customer'
is "$(sql -c "select count(*) from chat_messages m join conversations c on c.id = m.conversation_id where c.customer_name = '$tag person'")" 50 'one message id in fifty chats: every message is stored'

claim='"channels":[{"channel":"slack","limit":500},{"channel":"email","recipient":"a@b.c","limit":500}]'
sql -c "select claim_deliveries('{\"worker\":\"w\",\"leaseSeconds\":0,$claim}')" -c "update lead_events set planned_at = now() where planned_at is null" \
    -c "delete from notification_logs" -c "insert into conversations (id, customer_name) values (gen_random_uuid(), '$tag claim')" >/dev/null
sql -c "select count(emit_lead_event('lead.created', c.id)) from conversations c, generate_series(1, 200) where customer_name = '$tag claim'" >/dev/null
for _ in 1 2; do sql -c "select claim_deliveries('{\"worker\":\"w\",\"channels\":[{\"channel\":\"slack\",\"limit\":0},{\"channel\":\"email\",\"recipient\":\"a@b.c\",\"limit\":0}]}')" >/dev/null; done
at_once 20 "select d ->> 'id' from jsonb_array_elements(claim_deliveries('{\"worker\":\"w%i\",\"channels\":[{\"channel\":\"slack\",\"limit\":7},{\"channel\":\"email\",\"recipient\":\"a@b.c\",\"limit\":5}]}') -> 'deliveries') d" 'twenty claimers'
claimed=$(cat "$out"/* | grep -c '^........-')
is "$(cat "$out"/* | grep '^........-' | sort -u | wc -l)" "$claimed" "twenty claimers get different deliveries ($claimed)"
sql -c "update notification_logs set lease_until = null" -c "select claim_deliveries('{\"worker\":\"w\",$claim}')" >/dev/null
sql -c "update notification_logs set lease_until = null" -c "select claim_deliveries('{\"worker\":\"w\",$claim}')" >/dev/null
is "$(sql -c "select count(*) from notification_logs")" 400 'each event is planned once per channel'
sql -c "update notification_logs set lease_until = null" -c "create table if not exists race_$tag as select row_number() over (order by random()) as n, (d ->> 'id')::uuid as id, (d ->> 'fence')::bigint as fence
  from jsonb_array_elements(claim_deliveries('{\"worker\":\"w\",$claim}') -> 'deliveries') d" >/dev/null
at_once 20 "select begin_deliveries(jsonb_build_object('worker', 'w', 'deliveries', (select jsonb_agg(jsonb_build_object('id', id, 'fence', fence)) from race_$tag where n % 20 = %i - 1)));
  select record_outcomes(jsonb_build_object('worker', 'w', 'outcomes', (select jsonb_agg(jsonb_build_object('id', id, 'fence', fence, 'class', 'delivered', 'status', 'sent', 'burned', true) order by random())
  from race_$tag where n % 20 = %i - 1)))" 'twenty recorders'
is "$(sql -c "select count(*) from lead_events e join conversations c on c.id = e.conversation_id where c.customer_name = '$tag claim' and event_type = 'lead.created' and not processed")" 0 \
   'an event is closed if its deliveries are recorded at the same time'
sql -c "drop table race_$tag"
