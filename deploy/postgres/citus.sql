-- Where each table belongs on Citus: what belongs to a chat lies with its chat, `users` is copied to every node, and
-- everything else stays on the coordinator. Run it on the coordinator, after the migrations and before the first chat.
-- It has not been run: docs/sharding.md says what Citus refuses of today's statements.

-- Read beside chats, everywhere.
SELECT create_reference_table('users');

-- Unique in a bucket, which Citus does not know: it takes only keys that hold the distribution column. Without this one,
-- two people who write to each other at the same moment may get two private chats.
ALTER TABLE chats DROP CONSTRAINT chats_pair_key;
CREATE INDEX chats_by_pair ON chats (pair_key);

-- Triggers on distributed tables are off as a rule.
SET citus.enable_unsafe_triggers = on;

SELECT create_distributed_table('chats', 'id');
SELECT create_distributed_table('unnumbered_chats', 'id', colocate_with => 'chats');
SELECT create_distributed_table('members', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('messages', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('member_events', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('chat_events', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('edits', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('departures', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('wakes', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('bans', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('statistics', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('senders', 'chat_id', colocate_with => 'chats');
SELECT create_distributed_table('stretches', 'chat_id', colocate_with => 'chats');
