-- Takes users in: for each whether no node had it, its sockets elsewhere, and the chats told of it.
-- A node without `told` for a user has one that states no sockets: it counts as one.
local users, stated, entries = {}, {}, {}
for i = 1, #rest, 2 do
    table.insert(users, rest[i])
    table.insert(stated, rest[i + 1])
    table.insert(entries, rest[i])
    table.insert(entries, rest[i])
end
local found = on(users)
local before = redis.call('HMGET', told, unpack(users))
local result, kept = {}, {}
for i, user in ipairs(users) do
    local elsewhere, known = 0, chats(before[i])
    for _, node in ipairs(found[i] or {}) do
        if node ~= node_id then
            local there = redis.call('HGET', presence .. 'told:' .. node, user)
            local sockets = there and string.match(there, '^%d+') or 1
            elsewhere = elsewhere + sockets
            known = known .. ';' .. chats(there)
        end
    end
    local handed_over = string.match(before[i] or '', '^%d+;[^;]*;(.*)$') or ''
    table.insert(kept, user)
    table.insert(kept, stated[i] .. ';' .. handed_over)
    table.insert(result, {found[i] and 0 or 1, elsewhere, known})
end
redis.call('HSET', told, unpack(kept))
redis.call('PEXPIRE', told, owed)
redis.call('SADD', presence .. 'telling', node_id)
redis.call('ZADD', mine, unpack(entries))
redis.call('PEXPIRE', mine, lease)
redis.call('SADD', nodes, node_id)
return result
