-- Takes some users off a dead node: those that no live node has, or false when there are no more, or when
-- the node lives.
if redis.call('EXISTS', mine) == 1 then return false end
local some = redis.call('HRANDFIELD', told, chunk, 'WITHVALUES')
if #some == 0 then
    redis.call('SREM', presence .. 'telling', node_id)
    return false
end
local users, stated = {}, {}
for i = 1, #some, 2 do
    table.insert(users, some[i])
    table.insert(stated, some[i + 1])
end
redis.call('HDEL', told, unpack(users))
redis.call('SET', presence .. 'swept:' .. node_id, 1, 'PX', owed)
return gone(users, stated)
